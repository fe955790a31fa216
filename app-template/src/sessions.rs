//! Sessions in Redis, so that any pod answers any request. I/O: Redis.
//!
//! The cookie holds a random id and nothing else. Two requests of one session at the same time each write
//! all of its data: the later one wins. tower-sessions has the same traits; this is ours because there a
//! store that fails becomes a bare 500, and a session that is only read runs out.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use redis::cmd;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::shard::{Operation, StoreError};
use crate::shared_store::SharedStore;

static GETEX: Operation = Operation::new("GETEX");
static SET: Operation = Operation::new("SET");

const COOKIE_NAME: &str = "session";

/// How long a session lives after it was last used.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Where sessions are.
#[derive(Debug, Clone)]
pub(crate) struct Sessions(SharedStore);

/// One client's data.
#[derive(Debug)]
pub(crate) struct Session<T> {
    /// 122 random bits from the operating system: whoever knows them is the client.
    id: Uuid,
    pub(crate) data: T,
}

impl Sessions {
    pub(crate) fn new(store: SharedStore) -> Self {
        Self(store)
    }

    /// The session that the request's cookie names, or a new one.
    ///
    /// An id that names no session is not adopted: it may come from somebody who wants to know it.
    ///
    /// # Errors
    /// When Redis cannot be asked. A new session instead would log everybody out.
    pub(crate) async fn open<T: DeserializeOwned + Default>(
        &self,
        headers: &HeaderMap,
    ) -> Result<Session<T>, StoreError> {
        if let Some(id) = id(headers) {
            let mut command = cmd("GETEX");
            command.arg(key(id)).arg("EX").arg(LIFETIME.as_secs());
            let (command, shard) = (&command, self.0.home(&key(id)));
            let found: Option<Vec<u8>> =
                shard.call(&GETEX, |mut redis| async move { command.query_async(&mut redis).await }).await?;
            // Data in a form of another revision is as good as none.
            if let Some(data) = found.and_then(|data| serde_json::from_slice(&data).ok()) {
                return Ok(Session { id, data });
            }
        }
        Ok(Session { id: Uuid::new_v4(), data: T::default() })
    }

    /// Keeps the session, and returns the value of the `Set-Cookie` header.
    ///
    /// # Errors
    /// When Redis did not confirm it.
    pub(crate) async fn save<T: Serialize>(&self, session: &Session<T>) -> Result<String, SaveError> {
        let data = serde_json::to_vec(&session.data)?;
        let mut command = cmd("SET");
        command.arg(key(session.id)).arg(data).arg("EX").arg(LIFETIME.as_secs());
        let (command, shard) = (&command, self.0.home(&key(session.id)));
        let () = shard.call(&SET, |mut redis| async move { command.query_async(&mut redis).await }).await?;
        let (id, seconds) = (session.id.simple(), LIFETIME.as_secs());
        Ok(format!("{COOKIE_NAME}={id}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"))
    }
}

/// Why a session was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error("failed to write a session as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn key(id: Uuid) -> String {
    format!("session:{}", id.simple())
}

/// The id in the request's cookies; the first counts, as browsers send the most specific one first.
fn id(headers: &HeaderMap) -> Option<Uuid> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE_NAME)
        .and_then(|(_, id)| Uuid::try_parse(id).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_of_cookies_are_read(bytes in prop::collection::vec(0x20..=0xff_u8, 0..60), number: u128) {
            let read = |cookies: &[u8]| {
                let value = axum::http::HeaderValue::from_bytes(cookies).ok()?;
                id(&HeaderMap::from_iter([(COOKIE, value)]))
            };
            read(&bytes);
            let known = Uuid::from_u128(number);
            let text: Vec<u8> = bytes.into_iter().filter(|byte| *byte < 0x7f && *byte != b'=').collect();
            let cookies = [&text[..], b"; session=", known.simple().to_string().as_bytes(), b"; a=b"].concat();
            prop_assert_eq!(read(&cookies), Some(known));
        }
    }

    fn read(cookies: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(COOKIE, cookies.parse().unwrap())]);
        id(&headers).map(|id| id.simple().to_string())
    }

    #[test]
    fn the_id_is_found_among_other_cookies_and_garbage_is_no_id() {
        let id = "67e5504410b1426f9247bb680e5fe0c8";
        for cookies in
            [format!("session={id}"), format!("a=b; session={id};c"), format!("xsession=1;session={id}")]
        {
            assert_eq!(read(&cookies).as_deref(), Some(id), "{cookies}");
        }
        for cookies in
            ["session", "session=", "session=*", "sessions=67e5504410b1426f9247bb680e5fe0c8", ";;=;"]
        {
            assert_eq!(read(cookies), None, "{cookies}");
        }
    }
}
