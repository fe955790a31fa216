//! What is known of a kind whose definition may be missing. Pure.

use http::StatusCode;
use kube::runtime::watcher;

/// What is known of the objects of such a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// The operator was not told to read them.
    #[default]
    Off,
    /// They were not listed yet.
    Unlisted,
    /// Kubernetes does not know the kind.
    NotInstalled,
    /// The operator may not read them.
    Forbidden,
    /// They are in the cache.
    Listed,
}

/// What an event of the watch tells; `None` for a fault that may pass, during which the cache still counts.
pub(super) fn told<K>(event: &watcher::Result<watcher::Event<K>>) -> Option<Access> {
    let code = match event {
        Ok(watcher::Event::InitDone) => return Some(Access::Listed),
        Ok(_) => return None,
        Err(
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status)),
        ) => status.code,
        Err(watcher::Error::WatchError(status)) => status.code,
        Err(_) => return None,
    };
    match StatusCode::from_u16(code) {
        Ok(StatusCode::NOT_FOUND) => Some(Access::NotInstalled),
        Ok(StatusCode::FORBIDDEN) => Some(Access::Forbidden),
        _ => None,
    }
}
