//! Owners, each level-triggered over the same Snapshot; a slow one never holds another up.

pub mod cni;
mod fight;
pub mod host;
pub mod report;
pub mod routes;
