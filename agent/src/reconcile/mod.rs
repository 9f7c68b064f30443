//! Owners, each level-triggered over the same Snapshot; a slow one never holds another up.

pub mod cni;
pub mod report;
pub mod routes;
