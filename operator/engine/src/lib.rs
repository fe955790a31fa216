//! Every decision of ScalableApp, as pure functions.
