//! The ScalableApp operator process.

fn main() {}
