//! Topologies in containerlab's file format, in the lab's namespaces.
//!
//! The same file runs unchanged under containerlab, in containers. What both have to agree on:
//! programs start before their cables are in; `exec` runs once all cables are, without a shell; a
//! path in `binds` begins at the file's folder; a cable has an MTU of 9500. What is not here is
//! refused where it would make another network of the file, with its place and a remedy: images
//! that nobody knows ([`Role`]), other kinds, keys of which nothing is done.

mod document;
mod image;
mod picture;
mod running;
#[cfg(test)]
mod tests;
mod topology;

pub use image::Role;
pub use picture::picture;
pub use running::Clab;
pub use topology::{Bind, Link, Machine, Node, Topology, TopologyError};
