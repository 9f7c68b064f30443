//! Comparisons with other daemons, side by side in one run.

fn main() {}
