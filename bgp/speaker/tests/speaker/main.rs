//! Speakers that talk to each other over real TCP, on loopback addresses of their own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

mod common;
mod dynamic;
mod exchange;
mod octets;
mod peers;
mod restart;
mod slow;
