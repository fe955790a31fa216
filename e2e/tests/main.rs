//! The promises on a cluster, one file for each. The first part of a test's name says on which cluster it runs, and when:
//! the README of the crate.

mod additional;
mod attacks;
mod each;
mod fleet;
