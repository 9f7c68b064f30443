//! The CNI plugin of Twill: a thin bridge with a built-in host-local allocator.
//!
//! A call of a runtime goes [`verbs`] -> [`config`] (what is asked), [`ipam`] (which addresses),
//! [`link`] (the kernel) -> [`result`] (the answer). No thread, no fork, and no exec but for another
//! plugin's `ipam.type`. The agent uses [`config::Conflist`] to write the network configuration,
//! [`link::ensure_bridge`] to keep the bridge, and [`ipam::view`] to show addresses.
//!
//! CNI specification 0.3.0 to 1.1.0.

pub mod address;
mod boot;
pub mod config;
pub mod error;
mod hash;
pub mod ipam;
pub mod link;
mod netns;
pub mod result;
#[cfg(test)]
mod testing;
pub mod verbs;
