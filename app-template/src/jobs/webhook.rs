//! Telling a caller that a job has ended. I/O: HTTP.
//!
//! The body is signed with the time at which it is sent, so that nobody else can send it, nor later again:
//! `X-Signature: t=<Unix seconds>,v1=<HMAC-SHA256 of "<t>.<body>">`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use uuid::Uuid;

use super::enqueue::NewJob;
use super::lease::{JobError, Lease};
use crate::problem::Problem;
use crate::shop::Shop;

pub(super) const KIND: &str = "webhook";

const TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: i32 = 12;

/// In characters, as it is sent.
const LONGEST: usize = 2000;

/// The address as it will be used; refuses one to which this service must not send: a caller could make it speak to
/// anything it can reach.
pub(crate) fn check(shop: &Shop, text: &str) -> Result<String, Problem> {
    let address = address(text, &shop.webhook_hosts).filter(|_| shop.webhook_key.is_some());
    address.map(String::from).ok_or_else(|| {
        Problem::unprocessable(format!(
            "webhook is an http:// URL of at most {LONGEST} characters on a host that this service may send to (WEBHOOK_HOSTS); without it, ask at the status URL."
        ))
    })
}

/// What was read, not what was sent: a reader of URLs passes over signs that the database cannot store.
fn address(text: &str, hosts: &[String]) -> Option<Url> {
    let is_allowed = |host: &str| hosts.iter().any(|allowed| allowed == host);
    Url::parse(text).ok().filter(|url| {
        url.scheme() == "http" && url.host_str().is_some_and(is_allowed) && url.as_str().len() <= LONGEST
    })
}

pub(super) fn job<'a>(queue: &'static str, url: &str, body: &Value) -> NewJob<'a> {
    NewJob {
        id: Uuid::now_v7(),
        queue,
        kind: KIND,
        // As text: it is signed and sent as it is here.
        payload: json!({ "url": url, "body": body.to_string() }),
        max_attempts: ATTEMPTS,
        delay: Duration::ZERO,
        webhook: None,
    }
}

/// Sends once; any answer of the 200s is taken as received. The receiver may see it twice, and knows it by `job`.
pub(super) async fn deliver(shop: &Shop, lease: &Lease) -> Result<(), JobError> {
    let (Some(url), Some(body)) = (lease.payload["url"].as_str(), lease.payload["body"].as_str()) else {
        return Err(JobError::Hopeless("the webhook has no address".to_owned()));
    };
    let Some(key) = &shop.webhook_key else {
        return Err(JobError::Retry("this worker has no WEBHOOK_KEY".to_owned()));
    };
    let time = Timestamp::now().as_second();
    let signature = key.sign(&format!("{time}.{body}"));
    // An allowed host must not lead on to one that is not.
    let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build();
    let client = client.map_err(|error| JobError::Retry(error.to_string()))?;
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("x-signature", format!("t={time},v1={signature}"))
        .body(body.to_owned())
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    answer.map_err(|error| JobError::Retry(format!("failed to deliver the webhook: {error}")))?;
    let mut transaction = shop.database.begin().await?;
    lease.finish(&mut transaction, &Value::Null).await?;
    transaction.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts() -> [String; 1] {
        ["hooks.example".to_owned()]
    }

    #[test]
    fn only_an_allowed_host_is_sent_to() {
        for good in
            ["http://hooks.example", "http://HOOKS.example:8080/a?b#c", "http://user:word@hooks.example/"]
        {
            assert!(address(good, &hosts()).is_some(), "{good}");
        }
        for bad in [
            "",
            "hooks.example",
            "https://hooks.example",
            "http://hooks.example.org",
            "http://hooks.example@elsewhere/",
            "http://elsewhere/#@hooks.example",
            "http://elsewhere\\@hooks.example:80",
        ] {
            assert!(address(bad, &hosts()).is_none(), "{bad}");
        }
        assert!(address(&format!("http://hooks.example/{}", "a".repeat(LONGEST)), &hosts()).is_none());
    }

    #[test]
    fn what_is_kept_has_no_sign_that_the_database_cannot_store() {
        let kept = address("http://hooks.example/a\0\n-", &hosts()).unwrap();
        assert_eq!(kept.as_str(), "http://hooks.example/a%00-");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_leads_to_an_allowed_host(
            text in "(http|https|ftp)?:?[/\\\\]{0,3}\\PC{0,9}(hooks.example)?[:/?#@\\\\]?\\PC{0,20}|.*",
        ) {
            if let Some(url) = address(&text, &hosts()) {
                prop_assert_eq!(url.host_str(), Some("hooks.example"));
                prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{}", url);
            }
        }
    }
}
