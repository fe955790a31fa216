//! What is: objects from the API server's watches, samples from Prometheus. I/O in.
