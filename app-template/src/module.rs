//! One module of the app: its name, its routes and their series. No I/O.
//!
//! The name becomes the label `module` of the request metrics. It is the evidence for moving a module into a
//! component of its own: how much of the load and of the time is its.

use axum::Router;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

use crate::guard::{self, Guards};
use crate::metrics::Requests;
use crate::problem;

/// Routes that belong together and could be served by a process of their own; `S` is what their handlers share.
#[derive(Debug)]
pub(crate) struct Module<S> {
    requests: Requests,
    router: Router<S>,
}

impl<S: Clone + Send + Sync + 'static> Module<S> {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { requests: Requests::of(name), router: Router::new() }
    }

    /// Adds `GET path`, and shows its series from now on, at zero.
    pub(crate) fn get<T: 'static>(mut self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.requests.expect("GET", path, StatusCode::OK);
        Self { router: self.router.route(path, get(handler)), ..self }
    }

    /// Adds `POST path`, which answers with `success`.
    pub(crate) fn post<T: 'static>(
        mut self,
        path: &'static str,
        success: StatusCode,
        handler: impl Handler<T, S>,
    ) -> Self {
        self.requests.expect("POST", path, success);
        Self { router: self.router.route(path, post(handler)), ..self }
    }

    /// Adds `PUT path`.
    pub(crate) fn put<T: 'static>(mut self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.requests.expect("PUT", path, StatusCode::OK);
        Self { router: self.router.route(path, put(handler)), ..self }
    }

    /// The routes, guarded.
    pub(crate) fn into_router<Outer>(self, state: S, guards: &Guards) -> Router<Outer> {
        self.router
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(from_fn_with_state(guards.around(self.requests), guard::answer))
            .with_state(state)
    }
}
