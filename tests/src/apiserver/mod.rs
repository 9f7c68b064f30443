//! A stand-in for the Kubernetes API server: the part of it that an agent and kubectl meet.
//!
//! ```text
//! ApiServer ── a thread ── World: objects, their history, faults, what was asked
//!                            ├─ connections, each request: serve -> request -> auth -> fault ->
//!                            │    list | watching | world, write (admit, defaults, custom,
//!                            │    patch, apply)
//!                            └─ closures of the test, and the control socket
//! ```
//!
//! It answers as the real one does: the same paths, objects, errors and watch events; resource
//! versions from one counter; optimistic concurrency; schemas of CustomResourceDefinitions; RBAC,
//! once tokens are known. What it does not do: admission policies, protobuf, tables for kubectl's
//! columns, CEL's functions beyond the language's own, anything that a controller would do. On demand it does what a real one
//! does on a bad day ([`Fault`]).
//!
//! In a test it runs in a thread, on the loopback: [`ApiServer`]. As the program
//! `twill-lab-apiserver` it runs on a host of the lab, and a Unix socket steers it.

mod admit;
mod apply;
mod auth;
mod control;
mod custom;
mod defaults;
mod fault;
mod handle;
mod list;
mod listen;
mod lists;
mod patch;
mod record;
mod request;
mod resource;
mod selector;
mod serve;
mod status;
mod store;
mod tls;
mod watching;
mod world;
mod write;

pub use auth::User;
pub use fault::{Effect, Fault};
pub use handle::ApiServer;
pub use listen::{Options, run};
pub use record::Asked;
pub use resource::Kind;
pub use status::Refusal;
pub use tls::Tls;
pub use world::World;
