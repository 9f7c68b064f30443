//! The CNI plugin of Twill: a thin bridge with a built-in host-local allocator.

fn main() {}
