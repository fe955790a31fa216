//! The reference service: how an app should be built to scale.
