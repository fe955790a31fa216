//! From what the user wrote to what the operator works with: defaults filled in, everything checked once. Pure.
