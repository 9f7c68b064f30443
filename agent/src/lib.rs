//! The node agent of Twill.
//!
//! ```text
//! source (file, kube) -> Snapshot -> desired (pure) -> reconcile {speaker, routes, host, cni} -> kernel
//!                                        ^ learned routes (twill-bgp)
//! control: what the command line and the metrics see of all this
//! ```

pub mod agent;
pub mod cli;
pub mod config;
pub mod control;
pub mod desired;
pub mod doctor;
pub mod drain;
pub mod kernel;
pub mod reconcile;
pub mod source;
