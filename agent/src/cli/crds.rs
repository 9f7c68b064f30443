//! `twill crds`: the definitions of our resources, for `kubectl apply`.

use super::Exit;
use crate::source::kube::crd;

/// Arguments of `twill crds`.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run() -> Exit {
    print!("{}", crd::yaml());
    Exit::Yes
}
