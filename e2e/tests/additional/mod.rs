//! What `make test` shows in less time, at HPA's default window of stabilization: on a real cluster, by `make test-all`.

mod at_rest_for_a_default_window;
mod scales_in_after_the_default_window;

use std::time::Duration;

/// HPA's default window of stabilization.
const DEFAULT_WINDOW: Duration = Duration::from_secs(300);
