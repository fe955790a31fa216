//! The one list of the routes, each with a request that is in order. Pure.

use super::request::Request;

/// A route and what a good request to it brings. `ACCOUNT`, `PRODUCT` and the like stand for what is there.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) pattern: &'static str,
    /// What `{id}` is.
    id: &'static str,
    query: &'static str,
    content_type: &'static str,
    body: &'static str,
}

impl Route {
    /// The route's good request; `there` replaces the names of what is there.
    pub(super) fn request(&self, there: &[(&'static str, String)]) -> Request {
        let filled =
            |text: &str| there.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
        let mut headers = vec![("idempotency-key".to_owned(), b"a key".to_vec())];
        if !self.content_type.is_empty() {
            headers.push(("content-type".to_owned(), self.content_type.into()));
        }
        let query = self.query.split('&').filter_map(|pair| pair.split_once('='));
        Request {
            method: self.method.to_owned(),
            path: filled(&self.pattern.replace("{id}", self.id)),
            query: query.map(|(name, value)| (name.to_owned(), filled(value))).collect(),
            headers,
            body: filled(self.body).into_bytes(),
            is_chunked: false,
        }
    }

    /// On the port of the metrics.
    pub(super) fn is_metrics(&self) -> bool {
        self.pattern == "/metrics"
    }
}

const fn get(pattern: &'static str, id: &'static str, query: &'static str) -> Route {
    Route { method: "GET", pattern, id, query, content_type: "", body: "" }
}

const fn json(method: &'static str, pattern: &'static str, id: &'static str, body: &'static str) -> Route {
    Route { method, pattern, id, query: "", content_type: "application/json", body }
}

pub(super) const ROUTES: &[Route] = &[
    get("/", "", ""),
    get("/work", "", "ms=1"),
    get("/wait", "", "ms=1"),
    get("/livez", "", ""),
    get("/readyz", "", ""),
    get("/healthz", "", ""),
    get("/metrics", "", ""),
    json("POST", "/payments", "", r#"{"amount":1250,"currency":"EUR"}"#),
    get("/payments/methods", "", ""),
    json("POST", "/visits", "", ""),
    get("/products", "", "category=tea&after=0&limit=5"),
    json("POST", "/products", "", r#"{"name":"Té","category":"tea","priceCents":100}"#),
    get("/products/{id}", "PRODUCT", ""),
    json("PUT", "/products/{id}", "PRODUCT", r#"{"name":"Té","category":"tea","priceCents":100}"#),
    json("POST", "/accounts", "", r#"{"email":"NEW@example.org","name":"Zoë"}"#),
    get("/accounts/{id}", "ACCOUNT", ""),
    json("PUT", "/accounts/{id}/name", "ACCOUNT", r#"{"name":"Zoë"}"#),
    json("POST", "/orders", "", r#"{"account":ACCOUNT,"items":[{"product":PRODUCT,"quantity":1}]}"#),
    get("/orders", "", "account=ACCOUNT&before=ORDER&limit=5"),
    get("/orders/{id}", "ORDER", ""),
    json(
        "POST",
        "/reports",
        "",
        r#"{"from":"2026-01-01","to":"2026-01-31","webhook":"http://127.0.0.1/hook"}"#,
    ),
    get("/reports/{id}", "REPORT", ""),
    Route {
        method: "POST",
        pattern: "/media",
        id: "",
        query: "product=PRODUCT",
        content_type: "image/webp",
        body: crate::media::PICTURE,
    },
    get("/media", "", "product=PRODUCT"),
    get("/media/{id}", "MEDIA", ""),
    get("/jobs/{id}", "JOB", ""),
];
