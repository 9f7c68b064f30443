//! The CNI plugin of Twill: a thin bridge with a built-in host-local allocator.

pub mod address;
mod boot;
pub mod config;
pub mod error;
pub mod link;
