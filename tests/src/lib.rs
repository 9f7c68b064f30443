//! The lab: whole networks in namespaces of one machine, with real packets, real routers and our
//! own binaries.
//!
//! ```text
//! Lab ── switches (bridges in a namespace of their own)
//!  ├─ Host node-a ── eth0 on a switch; twill agent; pods made by twill-cni
//!  ├─ Host node-b
//!  └─ Host tor ──── FRR or BIRD
//! ```
//!
//! Every [`lab::Host`] is a process with its own network, mount, UTS and PID namespaces. The kernel
//! ends it, and all that runs in it, when the test process ends for whatever reason, so nothing is
//! left behind. Nothing in here waits for a time to pass: [`lab::wait`] asks for a state until it
//! is there, and when it does not come, the lab prints what each host believed.

pub mod apiserver;
pub mod booted;
pub mod clab;
pub mod cluster;
pub mod kube;
pub mod lab;
pub mod node;
pub mod pod;
pub mod routelog;
pub mod router;
pub mod scene;
pub mod skip;
pub mod traffic;
