//! The password of each cache, in a Secret that is created once. The operator never reads a Secret, so it never compares
//! or repairs one either. I/O out.

use super::writer::{WriteError, Writer};
use crate::{
    kinds::Kind,
    labels::MANAGER,
    render::cache,
    resolve::app::{App, Component},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use std::{fmt::Write, io};

/// Random bytes of a password.
const BYTES: usize = 32;

/// Creates the Secret of a cache. One that exists is used as it is.
///
/// # Errors
/// As [`Writer::send`].
pub async fn create(writer: &Writer, app: &App, component: &Component) -> Result<(), WriteError> {
    let api: Api<Secret> = Api::namespaced(writer.client(), &app.namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let request = async {
        let password = password().map_err(|error| kube::Error::Service(error.into()))?;
        match api.create(&params, &cache::secret(app, component, &password)).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            answer => answer.map(|_| ()),
        }
    };
    writer.send(Kind::Secret.name(), request).await
}

/// A new password, in hexadecimal digits, which need no quotes anywhere.
fn password() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut password = String::with_capacity(2 * BYTES);
    for byte in bytes {
        write!(password, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_passwords_are_the_same_and_none_needs_quotes() {
        let [one, other] = [password(), password()].map(|password| password.expect("random bytes"));
        assert_ne!(one, other);
        assert_eq!((one.len(), one.chars().all(|c| c.is_ascii_hexdigit())), (64, true));
    }
}
