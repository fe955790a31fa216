//! HTTP requests in flight of each component. Pure.

use super::selection::{COMPONENT, Selection, once};
use super::template::Template;
use crate::observe::prometheus::parts::Part;

/// HTTP requests in flight, by component, where there are some.
pub const ACTIVE: Template = Template { name: "active_requests", query: active };

/// The gauge of the same OpenTelemetry convention as the requests. It is optional.
const ACTIVE_REQUESTS: &str = "http_server_active_requests";

fn active(selection: &Selection, part: &Part<'_>) -> String {
    format!("sum by ({COMPONENT}) ({}) > 0", once(&selection.of_apps(ACTIVE_REQUESTS, part)))
}
