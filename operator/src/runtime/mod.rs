//! The process: arguments, lease, HTTP server, metrics, logs and traces. I/O.
