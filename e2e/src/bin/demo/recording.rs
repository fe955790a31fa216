//! What the demo has seen: the numbers of its picture. Pure.

/// A run of the demo. Times are seconds since the load began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recording {
    /// Corners of the offered load: time, and requests per second.
    pub(crate) offered: Vec<(f64, f64)>,
    /// What the operator said, one after the other.
    pub(crate) samples: Vec<Sample>,
    /// The decisions that were made meanwhile, the oldest first.
    pub(crate) decisions: Vec<Mark>,
}

/// One look at the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    /// Requests per second; nothing while they are not measured.
    pub(crate) request_rate: Option<f64>,
    /// The 99th percentile of the latency in seconds; nothing without requests.
    pub(crate) p99: Option<f64>,
    pub(crate) desired: i32,
    pub(crate) ready: i32,
}

/// A decision on the time axis.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) at: f64,
    pub(crate) from: i32,
    pub(crate) to: i32,
    /// Why, as a sentence.
    pub(crate) message: String,
}
