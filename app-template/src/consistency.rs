//! Read your own writes: the place of a client's last write, carried to the client and back, signed. No I/O.
//!
//! An answer to a write carries the place where it ends in the log, as the header `x-consistency-token` for programs
//! and as a cookie for browsers. A read that brings it back is answered by a server that shows that write. Without a
//! signature anybody could name a place in the future and send every read to the primary.
//!
//! A token never replaces one that its request did not bring: the answers to two writes at the same time may arrive in
//! either order. So each token is a cookie of a name of its own, and an answer deletes the cookies that its request
//! brought, whose places are all before its own. A read shows the latest of those that it brings.

use std::convert::Infallible;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};

use crate::position::{Position, ReadAfter};
use crate::problem::Problem;
use crate::signing::SigningKeys;

const HEADER: HeaderName = HeaderName::from_static("x-consistency-token");
const COOKIE_NAME: &str = "consistency";

/// In seconds: longer than a replica may stand still while the primary is gone, because then reads without a token see
/// its old state. While the primary answers, a few seconds would do.
const MAX_AGE: u32 = 3600;

/// Without a key there are no tokens, and nothing that was written has to be shown.
impl<S> FromRequestParts<S> for ReadAfter
where
    S: Send + Sync,
    Option<SigningKeys>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(keys) = Option::<SigningKeys>::from_ref(state) else { return Ok(Self::Nothing) };
        if parts.headers.contains_key(HEADER) {
            return of_header(&keys, &parts.headers).ok_or_else(|| {
                Problem::bad_request(
                    "The header x-consistency-token is not one that this service gave out; send it as received, several separated by commas, or leave it out."
                        .to_owned(),
                )
            });
        }
        // A person can do nothing about a cookie that is no token: it counts as none.
        let tokens = cookies(&parts.headers).filter_map(|(_, token)| verify(&keys, token));
        Ok(tokens.max().unwrap_or(Self::Nothing))
    }
}

/// The names of the cookies that a write supersedes: it began when its client had them already.
#[derive(Debug, Default)]
pub(crate) struct Superseded(Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for Superseded {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(cookies(&parts.headers).map(|(name, _)| name.to_owned()).collect()))
    }
}

/// Adds the place of a write to its answer.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// None where there are no replicas, and so nothing to wait for.
    pub(crate) keys: Option<&'a SigningKeys>,
    pub(crate) superseded: Superseded,
    pub(crate) position: Position,
}

impl IntoResponseParts for Written<'_> {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        let Some(keys) = self.keys else { return Ok(response) };
        let token = sign(keys, self.position);
        let own = format!("{COOKIE_NAME}-{}", self.position);
        let deleted =
            self.superseded.0.iter().filter(|name| **name != own).map(|name| (name.as_str(), "", 0));
        for (name, value, age) in deleted.chain([(own.as_str(), token.as_str(), MAX_AGE)]) {
            let cookie = format!("{name}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax");
            // Hexadecimal digits and such, which a header can hold.
            if let Ok(cookie) = HeaderValue::try_from(cookie) {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
        }
        if let Ok(token) = HeaderValue::try_from(token) {
            response.headers_mut().insert(HEADER, token);
        }
        Ok(response)
    }
}

fn sign(keys: &SigningKeys, position: Position) -> String {
    let place = position.to_string();
    let signature = keys.sign(&place);
    format!("{place}-{signature}")
}

/// What a token asks for. One of a key that is not known here may be of a key that other pods have already: then its
/// place is not to be trusted, and everything is shown, as far as the primary has room for that.
fn verify(keys: &SigningKeys, token: &str) -> Option<ReadAfter> {
    let (place, signature) = token.rsplit_once('-')?;
    let position = place.parse().ok()?;
    if keys.verifies(place, signature) {
        return Some(ReadAfter::At(position));
    }
    let is_signature = signature.len() == 64 && signature.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_signature.then_some(ReadAfter::Everything)
}

/// What the tokens of the header ask for together; none if one of them is no token.
fn of_header(keys: &SigningKeys, headers: &HeaderMap) -> Option<ReadAfter> {
    let mut after = ReadAfter::Nothing;
    for tokens in headers.get_all(HEADER) {
        for token in tokens.to_str().ok()?.split(',') {
            after = after.max(verify(keys, token.trim())?);
        }
    }
    Some(after)
}

/// The names and tokens of all consistency cookies.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| {
            name.strip_prefix(COOKIE_NAME).is_some_and(|rest| {
                rest.is_empty()
                    || rest.strip_prefix('-').is_some_and(|place| place.parse::<Position>().is_ok())
            })
        })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use proptest::prelude::*;

    use super::*;

    fn keys() -> SigningKeys {
        "0123456789abcdef0123456789abcdef".parse().unwrap()
    }

    proptest! {
        #[test]
        fn any_text_but_a_signed_place_is_no_place(text in "\\PC*|[0-9a-f]{0,8}-[0-9a-f]{0,16}-[0-9a-f]{0,64}") {
            prop_assert!(!matches!(verify(&keys(), &text), Some(ReadAfter::At(_))));
        }

        #[test]
        fn any_place_survives_the_way(timeline: u32, lsn: u64) {
            let position = Position { timeline, lsn };
            prop_assert_eq!(verify(&keys(), &sign(&keys(), position)), Some(ReadAfter::At(position)));
        }

        #[test]
        fn any_bytes_of_cookies_are_read(bytes in prop::collection::vec(0x20..=0xff_u8, 0..60), token in "[0-9a-f-]{1,40}") {
            let read = |cookies: &[u8]| {
                let value = HeaderValue::from_bytes(cookies).ok()?;
                let headers = HeaderMap::from_iter([(COOKIE, value)]);
                super::cookies(&headers).next().map(|(_, token)| token.to_owned())
            };
            read(&bytes);
            let text: Vec<u8> = bytes.into_iter().filter(|byte| *byte < 0x7f && *byte != b'=').collect();
            prop_assert_eq!(read(&[b"consistency=", token.as_bytes(), b"; ", &text].concat()), Some(token));
        }

        /// Each answer is of a write whose request brought what its client had when it was sent.
        #[test]
        fn any_order_of_answers_leaves_the_latest_place(sent in prop::collection::vec((any::<bool>(), 0..5_usize), 1..20)) {
            let mut jar: Vec<(String, String)> = Vec::new();
            let mut under_way: Vec<Vec<HeaderValue>> = Vec::new();
            let mut arrived = ReadAfter::Nothing;
            for (lsn, (is_held, next)) in sent.into_iter().enumerate() {
                let position = Position::at(lsn as u64);
                let superseded = Superseded(cookies(&brought(&jar)).map(|(name, _)| name.to_owned()).collect());
                let answer = (Written { keys: Some(&keys()), superseded, position }, ()).into_response();
                under_way.push(answer.headers().get_all(SET_COOKIE).iter().cloned().collect());
                let most = if is_held { 3 } else { 0 };
                while under_way.len() > most {
                    for cookie in under_way.swap_remove(next % under_way.len()) {
                        arrived = arrived.max(keep(&mut jar, cookie.to_str().unwrap()));
                    }
                    let tokens = brought(&jar);
                    let shown = cookies(&tokens).filter_map(|(_, token)| verify(&keys(), token)).max();
                    prop_assert_eq!(shown, Some(arrived));
                }
            }
            prop_assert!(jar.len() <= 4, "no more than there were writes at the same time: {:?}", jar);
        }
    }

    fn brought(jar: &[(String, String)]) -> HeaderMap {
        let pairs: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        HeaderMap::from_iter([(COOKIE, pairs.join("; ").parse().unwrap())])
    }

    /// As a browser does; returns the place of the token.
    fn keep(jar: &mut Vec<(String, String)>, cookie: &str) -> ReadAfter {
        let (name, rest) = cookie.split_once('=').unwrap();
        let (value, attributes) = rest.split_once("; ").unwrap();
        jar.retain(|(kept, _)| kept != name);
        if attributes.contains("Max-Age=0;") {
            return ReadAfter::Nothing;
        }
        jar.push((name.to_owned(), value.to_owned()));
        verify(&keys(), value).unwrap()
    }

    #[test]
    fn a_token_survives_the_way_and_a_changed_one_names_no_place() {
        let position = Position { timeline: 3, lsn: 0x16_B374_D848 };
        let token = sign(&keys(), position);
        assert_eq!(verify(&keys(), &token), Some(ReadAfter::At(position)));
        let forged = token.replacen("16b", "17b", 1);
        assert_eq!(verify(&keys(), &forged), Some(ReadAfter::Everything), "another place");
        assert_eq!(verify(&keys(), &token[..token.len() - 2]), None, "a cut signature");
        assert_eq!(verify(&keys(), ""), None);
    }

    #[test]
    fn a_header_holds_several_tokens_and_nothing_else() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(HEADER, text.parse().unwrap())]);
            of_header(&keys(), &headers)
        };
        let [early, late] = [3, 5].map(|lsn| sign(&keys(), Position::at(lsn)));
        assert_eq!(of(&format!("{late}, {early}")), Some(ReadAfter::At(Position::at(5))));
        assert_eq!(of(&format!("{late}, 1-2-3")), None);
        assert_eq!(of(&format!("{late},")), None);
        let unknown: SigningKeys = "fedcba9876543210fedcba9876543210".parse().unwrap();
        let unknown = sign(&unknown, Position::at(1));
        assert_eq!(of(&format!("{late},{unknown}")), Some(ReadAfter::Everything));
    }

    #[test]
    fn the_cookies_are_found_among_others() {
        let found = |text: &str| {
            let headers = HeaderMap::from_iter([(COOKIE, text.parse().unwrap())]);
            cookies(&headers).map(|(name, token)| format!("{name} {token}")).collect::<Vec<_>>()
        };
        let both = found("a=b; consistency=1-2-3; consistencyx=4;consistency-1-2f=1-2-4; consistency-x=5");
        assert_eq!(both, ["consistency 1-2-3", "consistency-1-2f 1-2-4"]);
        assert_eq!(found("xconsistency=1; b"), Vec::<String>::new());
    }
}
