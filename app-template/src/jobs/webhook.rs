//! Sending to a caller, signed. I/O: HTTP.
//!
//! The body is signed with the time at which it is sent, so that nobody else can send it, nor later again:
//! `X-Signature: t=<Unix seconds>,v1=<HMAC-SHA256 of "<t>.<body>">`.

use std::collections::BTreeMap;
use std::error::Error;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect::Policy as Redirects;
use reqwest::{Client, StatusCode, Url};

use super::lease::JobError;
use super::receiver::{CheckedNames, Receiver};
use crate::http_client;
use crate::resilience::{Backoff, BreakerSettings, Dependencies, Dependency, Fault, Policy, is_refusal};
use crate::signing::SigningKey;

/// In characters, as it is sent.
const LONGEST: usize = 2000;

/// Of each receiver for itself: one that hangs must not stop the webhooks to others.
const fn policy(concurrency: usize) -> Policy {
    Policy {
        concurrency,
        attempt_timeout: Duration::from_secs(5),
        deadline: Duration::from_secs(5),
        // The queue repeats it.
        retries: 0,
        backoff: Backoff { base: Duration::ZERO, max: Duration::ZERO },
        retry_share: 0.0,
        breaker: BreakerSettings {
            window: Duration::from_secs(60),
            minimum_calls: 5,
            failure_share: 0.5,
            open_for: Duration::from_secs(30),
            probes: 2,
        },
        fallback: "the job is repeated later",
    }
}

/// Why a receiver did not take a webhook.
#[derive(Debug, thiserror::Error)]
enum WebhookError {
    /// It would answer the same again.
    #[error("the receiver refuses the webhook with {0}")]
    Refused(StatusCode),
    #[error("the receiver answered {0}")]
    Failed(StatusCode),
    #[error("failed to send the webhook: {0}")]
    Transport(String),
}

impl Fault for WebhookError {
    fn is_fault(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// An address to which no webhook is sent; in words for whoever named it.
#[derive(Debug, thiserror::Error)]
#[error(
    "webhook is an http:// URL without a password, of at most {} characters, on a host and port that this service may send to (WEBHOOK_HOSTS); without it, ask at the status URL.",
    LONGEST
)]
pub(crate) struct ForbiddenReceiver;

/// Where webhooks may go, and how they are sent.
#[derive(Debug)]
pub(crate) struct Webhooks {
    key: SigningKey,
    receivers: Vec<Receiver>,
    client: Client,
    /// One for each receiver; none in a process that sends nothing.
    dependencies: BTreeMap<Receiver, Arc<Dependency>>,
}

impl Webhooks {
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(crate) fn new(key: SigningKey, receivers: &[Receiver]) -> Result<Self, reqwest::Error> {
        // An allowed host must not lead on to one that is not, neither by a redirect nor by its name.
        let client = http_client::builder()
            .redirect(Redirects::none())
            .no_proxy()
            .dns_resolver(CheckedNames)
            .build()?;
        Ok(Self { key, receivers: receivers.to_vec(), client, dependencies: BTreeMap::new() })
    }

    /// The same in a worker that runs `concurrency` jobs of a queue at a time, of which one receiver gets half.
    pub(crate) fn sending(mut self, concurrency: usize, dependencies: &Dependencies) -> Self {
        let policy = policy((concurrency / 2).max(1));
        for receiver in &self.receivers {
            // Kept for the life of the process, as all names of series are: once for each host that is configured.
            let name = format!("receiver {receiver}").leak();
            self.dependencies.entry(receiver.clone()).or_insert_with(|| dependencies.add(name, policy));
        }
        self
    }

    /// The address as it will be used.
    ///
    /// # Errors
    /// When this service must not send there: a caller could make it speak to anything it can reach.
    pub(crate) fn check(&self, text: &str) -> Result<String, ForbiddenReceiver> {
        self.address(text).map(String::from).ok_or(ForbiddenReceiver)
    }

    /// Sends once.
    ///
    /// # Errors
    /// Whether to try again: an answer that is not of the 200s, a receiver that is left alone, or one that this worker
    /// was not told of.
    pub(super) async fn deliver(&self, url: &str, body: &str) -> Result<(), JobError> {
        let address = self.address(url);
        let target =
            address.as_ref().and_then(|url| Some((url, self.dependencies.get(&Receiver::of(url)?)?)));
        let Some((url, dependency)) = target else {
            return Err(JobError::NotTried(
                "the WEBHOOK_HOSTS of this worker do not name the receiver".to_owned(),
            ));
        };
        Ok(dependency.call(|| self.send(url, body)).await?)
    }

    /// What was read, not what was sent: a reader of URLs passes over signs that the database cannot store.
    fn address(&self, text: &str) -> Option<Url> {
        Url::parse(text).ok().filter(|url| {
            let is_plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
            let is_allowed = Receiver::of(url).is_some_and(|receiver| self.receivers.contains(&receiver));
            is_plain && is_allowed && url.as_str().len() <= LONGEST
        })
    }

    async fn send(&self, url: &Url, body: &str) -> Result<(), WebhookError> {
        let time = Timestamp::now().as_second();
        let signature = self.key.sign(&format!("{time}.{body}"));
        let request = self
            .client
            .post(url.clone())
            .header("content-type", "application/json")
            .header("x-signature", format!("t={time},v1={signature}"))
            .body(body.to_owned());
        // Its path may be a secret of the receiver's.
        let answer =
            request.send().await.map_err(|error| WebhookError::Transport(causes(&error.without_url())))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() || is_refusal(status) => Err(WebhookError::Refused(status)),
            status => Err(WebhookError::Failed(status)),
        }
    }
}

/// An error of the client says nothing without what caused it.
fn causes(error: &reqwest::Error) -> String {
    let causes = successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn webhooks() -> Webhooks {
        let key = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let receivers = ["hooks.example", "hooks.example:8080"].map(|text| text.parse().unwrap());
        Webhooks::new(key, &receivers).unwrap()
    }

    #[test]
    fn only_an_allowed_host_is_sent_to() {
        for good in ["http://hooks.example", "http://HOOKS.example:8080/a?b#c", "http://hooks.example:80/"] {
            assert!(webhooks().address(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "hooks.example",
            "https://hooks.example",
            "http://hooks.example.org",
            "http://hooks.example@elsewhere/",
            "http://elsewhere/#@hooks.example",
            "http://elsewhere\\@hooks.example:80",
            "http://hooks.example:6379/",
            "http://hooks.example.:8080/",
            "http://user:word@hooks.example/",
            "http://user@hooks.example/",
            "http://:word@hooks.example/",
        ] {
            assert!(webhooks().address(bad).is_none(), "{bad}");
        }
        assert!(webhooks().address(&format!("http://hooks.example/{}", "a".repeat(LONGEST))).is_none());
    }

    #[test]
    fn what_is_kept_has_no_sign_that_the_database_cannot_store() {
        let kept = webhooks().address("http://hooks.example/a\0\n-").unwrap();
        assert_eq!(kept.as_str(), "http://hooks.example/a%00-");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_leads_to_an_allowed_host(
            text in "(http|https|ftp)?:?[/\\\\]{0,3}\\PC{0,9}(hooks.example)?[:/?#@\\\\]?\\PC{0,20}|.*",
        ) {
            if let Some(url) = webhooks().address(&text) {
                prop_assert_eq!(url.host_str(), Some("hooks.example"));
                prop_assert!([None, Some(8080)].contains(&url.port()), "{}", url);
                prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{}", url);
            }
        }
    }
}
