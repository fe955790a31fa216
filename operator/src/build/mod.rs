//! From a resolved app to the children that it should have. Pure.
