//! The ScalableApp operator process.
