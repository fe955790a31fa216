//! A single-node Kubernetes on this machine, from package registries alone. One module for each concept.
//!
//! `up` runs: doctor, packages, parts, images, state folder, launch, wait until ready. The launched process is process
//! 1 of its own process namespace (`init`), so its end ends everything.

pub mod addresses;
mod base;
mod certificates;
pub mod chart;
pub mod cloud_native_pg;
mod command;
mod components;
mod config;
pub mod doctor;
mod down;
mod forwarder;
pub mod gateway;
mod image;
mod init;
mod isolation;
mod launch;
mod lock;
mod machine;
mod nodes;
mod packages;
mod parts;
pub mod paths;
mod progress;
mod ready;
mod servers;
pub mod status;
pub mod tools;
mod up;
mod volumes;

pub use down::down;
pub use image::{BuildRequest, build_and_load, load_archive, load_project_images, load_server_images};
pub use init::init;
pub use launch::launch;
pub use nodes::Nodes;
pub use parts::build_all as build_parts;
pub use up::{UpOptions, up};
