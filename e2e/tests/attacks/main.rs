//! What one tenant may try against another, on a hollow cluster: one test after the other, because each has an operator
//! of its own.

#[allow(dead_code, reason = "the first attack is not here yet")]
mod arena;
