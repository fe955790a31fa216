//! The API types of ScalableApp: what kubectl reads and writes.
