//! Read your own writes: the place of a client's last write, carried to the client and back, signed. No I/O.
//!
//! An answer to a write carries the place where it ends in the log, as the header `x-consistency-token` for programs
//! and as a cookie for browsers. A read that brings it back is answered by a server that shows that write. Without a
//! signature anybody could name a place in the future and send every read to the primary.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponseParts, ResponseParts};

use crate::problem::Problem;
use crate::shop::Shop;
use crate::signing::SigningKey;

use super::position::Position;

const HEADER: HeaderName = HeaderName::from_static("x-consistency-token");
const COOKIE_NAME: &str = "consistency";

/// Well beyond any lag with which a replica may still answer; then the cookie has nothing more to say.
const MAX_AGE: u32 = 60;

/// The place that a read has to show, if the request names one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadAfter(pub(crate) Option<Position>);

impl FromRequestParts<Shop> for ReadAfter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shop: &Shop) -> Result<Self, Problem> {
        let Some(key) = &shop.key else { return Ok(Self(None)) };
        if let Some(token) = parts.headers.get(HEADER) {
            let position = token.to_str().ok().and_then(|token| verify(key, token));
            let refused = || {
                Problem::bad_request(
                    "The header x-consistency-token is not one that this service gave out; send it as received, or leave it out."
                        .to_owned(),
                )
            };
            return position.map(|position| Self(Some(position))).ok_or_else(refused);
        }
        // A person can do nothing about a cookie from another key: it counts as none.
        Ok(Self(cookie(&parts.headers).and_then(|token| verify(key, token))))
    }
}

/// Adds the place of a write to its answer.
#[derive(Debug)]
pub(crate) struct Written<'a> {
    /// None where there are no replicas, and so nothing to wait for.
    pub(crate) key: Option<&'a SigningKey>,
    pub(crate) position: Position,
}

impl IntoResponseParts for Written<'_> {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        let Some(key) = self.key else { return Ok(response) };
        let token = sign(key, self.position);
        let cookie = format!("{COOKIE_NAME}={token}; Max-Age={MAX_AGE}; Path=/; HttpOnly; SameSite=Lax");
        // Both are hexadecimal digits and such, which a header can hold.
        if let (Ok(token), Ok(cookie)) = (HeaderValue::try_from(token), HeaderValue::try_from(cookie)) {
            response.headers_mut().insert(HEADER, token);
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

fn sign(key: &SigningKey, position: Position) -> String {
    let place = format!("{:x}-{:x}", position.timeline, position.lsn);
    let signature = key.sign(&place);
    format!("{place}-{signature}")
}

fn verify(key: &SigningKey, token: &str) -> Option<Position> {
    let (place, signature) = token.rsplit_once('-')?;
    if !key.verifies(place, signature) {
        return None;
    }
    let (timeline, lsn) = place.split_once('-')?;
    Some(Position {
        timeline: u32::from_str_radix(timeline, 16).ok()?,
        lsn: u64::from_str_radix(lsn, 16).ok()?,
    })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split("; "))
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_but_a_signed_place_is_no_token(text in "\\PC*|[0-9a-f]{0,8}-[0-9a-f]{0,16}-[0-9a-f]{0,64}") {
            let key: SigningKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
            prop_assert_eq!(verify(&key, &text), None);
        }

        #[test]
        fn any_place_survives_the_way(timeline: u32, lsn: u64) {
            let key: SigningKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
            let position = Position { timeline, lsn };
            prop_assert_eq!(verify(&key, &sign(&key, position)), Some(position));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_of_cookies_are_read(bytes in prop::collection::vec(0x20..=0xff_u8, 0..60), token in "[0-9a-f-]{1,40}") {
            let read = |cookies: &[u8]| {
                let value = HeaderValue::from_bytes(cookies).ok()?;
                cookie(&HeaderMap::from_iter([(COOKIE, value)])).map(str::to_owned)
            };
            read(&bytes);
            let text: Vec<u8> = bytes.into_iter().filter(|byte| *byte < 0x7f && *byte != b'=').collect();
            prop_assert_eq!(read(&[b"consistency=", token.as_bytes(), b"; ", &text].concat()), Some(token));
        }
    }

    #[test]
    fn a_token_survives_the_way_and_no_change() {
        let key: SigningKey = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let position = Position { timeline: 3, lsn: 0x16_B374_D848 };
        let token = sign(&key, position);
        assert_eq!(verify(&key, &token), Some(position));
        assert_eq!(verify(&key, &token.replacen("16b", "17b", 1)), None, "another place");
        assert_eq!(verify(&key, &token[..token.len() - 2]), None, "a cut signature");
        assert_eq!(verify(&key, ""), None);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; consistency=1-2-3; consistencyx=4".parse().unwrap());
        assert_eq!(cookie(&headers), Some("1-2-3"));
        headers.clear();
        headers.append(COOKIE, "xconsistency=1; b".parse().unwrap());
        assert_eq!(cookie(&headers), None);
    }
}
