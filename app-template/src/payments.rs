//! The client of the payment provider. I/O: HTTP.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry_http::HeaderInjector;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::cache::{Cache, Caches};
use crate::http_client;
use crate::resilience::{
    Backoff, BreakerSettings, CallError, Dependencies, Dependency, Fault, Policy, is_refusal,
};
use crate::secret::Secret;

/// Repeating is safe, because the provider knows a payment by its key.
pub(crate) const FOR_REQUESTS: Policy = Policy {
    concurrency: 64,
    attempt_timeout: Duration::from_secs(1),
    deadline: Duration::from_millis(2500),
    retries: 2,
    backoff: Backoff { base: Duration::from_millis(50), max: Duration::from_millis(500) },
    retry_share: 0.1,
    breaker: BreakerSettings::USUAL,
    fallback: "orders are charged by a job; payment methods as last heard, or invoice; a payment gets 503 and may be \
               repeated",
};

/// As many calls are repeated as fail, and the breaker never opens: a provider with too many calls gets twice as many.
pub(crate) const CARELESS: Policy = Policy {
    retry_share: 10.0,
    breaker: BreakerSettings { minimum_calls: u32::MAX, ..BreakerSettings::USUAL },
    ..FOR_REQUESTS
};

/// Nobody waits for a job, and its queue repeats it: retries here would only multiply with those.
pub(crate) const FOR_JOBS: Policy = Policy {
    attempt_timeout: Duration::from_secs(5),
    deadline: Duration::from_secs(5),
    retries: 0,
    fallback: "the job is repeated later",
    ..FOR_REQUESTS
};

/// What is offered if the provider was never heard: needs no provider.
const WITHOUT_PROVIDER: &str = "invoice";

/// A method that the provider adds or drops may be seen this much later.
pub(crate) const METHODS_TOLERANCE: Duration = Duration::from_secs(60);

/// What is to be paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    /// In the smallest unit of the currency, at least 1.
    pub(crate) amount: u64,
    /// Three capital letters (ISO 4217).
    pub(crate) currency: String,
}

/// What was paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The provider's name for the payment.
    pub(crate) id: String,
    pub(crate) amount: u64,
    pub(crate) currency: String,
}

/// The answer to a question that has a fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Methods {
    Asked(Arc<Vec<String>>),
    Fallback(Arc<Vec<String>>),
}

/// Why the provider took no payment, or did not say so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PaymentError {
    /// The provider refuses this payment, and would again.
    #[error("the payment provider refuses the payment with {0}")]
    Refused(StatusCode),
    #[error("the payment provider answered {0}")]
    Failed(StatusCode),
    #[error("failed to talk to the payment provider: {0}")]
    Transport(reqwest::Error),
}

impl From<reqwest::Error> for PaymentError {
    fn from(error: reqwest::Error) -> Self {
        // Its URL may hold a key.
        Self::Transport(error.without_url())
    }
}

impl Fault for PaymentError {
    fn is_fault(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// The payment provider, as this process sees it.
#[derive(Debug)]
pub(crate) struct Payments {
    client: Client,
    url: Secret<Url>,
    dependency: Arc<Dependency>,
    methods: Cache<Vec<String>>,
    last_methods: Mutex<Arc<Vec<String>>>,
}

impl Payments {
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(crate) fn new(
        url: Url,
        policy: Policy,
        dependencies: &Dependencies,
        caches: &Caches,
    ) -> Result<Self, reqwest::Error> {
        // The policy's time-outs hold for connecting too. A redirect is no answer that a provider gives.
        let client = http_client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self {
            client,
            url: Secret::new(url),
            dependency: dependencies.add("payments", policy),
            methods: caches.cache("payment_methods", 1, METHODS_TOLERANCE),
            last_methods: Mutex::new(Arc::new(vec![WITHOUT_PROVIDER.to_owned()])),
        })
    }

    /// Takes a payment. It is taken once, however often it is asked for with the same `key`.
    ///
    /// After any error but [`PaymentError::Refused`] it may have been taken or not: ask again with the same
    /// key.
    pub(crate) async fn pay(&self, key: &str, payment: &Payment) -> Result<Receipt, CallError<PaymentError>> {
        self.dependency
            .call(|| {
                let request = self.client.post(self.route("payments")).header("idempotency-key", key);
                answer(request.json(payment))
            })
            .await
    }

    /// Counts a payment that is put off because the provider did not take it now.
    pub(crate) fn put_off(&self) {
        self.dependency.fell_back();
    }

    /// How customers can pay.
    pub(crate) async fn methods(&self) -> Methods {
        let ask = |_| self.dependency.call(|| answer(self.client.get(self.route("methods"))));
        let asked = self.methods.get("all", ask).await;
        let mut last = self.last_methods.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(methods) => {
                last.clone_from(&methods);
                Methods::Asked(methods)
            }
            Err(error) => {
                tracing::debug!(%error, "offering the payment methods last heard");
                self.dependency.fell_back();
                Methods::Fallback(Arc::clone(&last))
            }
        }
    }

    fn route(&self, path: &str) -> Url {
        let mut url = self.url.reveal().clone();
        url.set_path(path);
        url
    }
}

/// Sends one request, inside a span of its own.
async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, PaymentError> {
    let span = info_span!("payments", otel.kind = "client", otel.status_code = Empty);
    let sent = span.clone();
    async move {
        let answer = match request.headers(trace_context()).send().await {
            Ok(response) => read(response).await,
            Err(error) => Err(error.into()),
        };
        if answer.as_ref().is_err_and(Fault::is_fault) {
            sent.record("otel.status_code", "ERROR");
        }
        answer
    }
    .instrument(span)
    .await
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, PaymentError> {
    let status = response.status();
    match status {
        _ if status.is_success() => Ok(response.json().await?),
        _ if is_refusal(status) => Err(PaymentError::Refused(status)),
        _ => Err(PaymentError::Failed(status)),
    }
}

/// The headers by which the provider's spans continue the trace of the span that is current.
fn trace_context() -> HeaderMap {
    let mut headers = HeaderMap::new();
    get_text_map_propagator(|propagator| {
        propagator.inject_context(&Span::current().context(), &mut HeaderInjector(&mut headers));
    });
    headers
}
