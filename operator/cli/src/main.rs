//! kubectl plugin for ScalableApp.

fn main() {}
