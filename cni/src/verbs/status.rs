//! STATUS: can ADD be served?
//!
//! No, until this node was ready to route once since it booted: the agent then makes the readiness
//! file, under /run, which a boot empties. After that always yes: a later failure would have the
//! kubelet take the node for unready and evict every pod of it.

use std::path::Path;

use crate::config::Ipam;
use crate::error::{Code, Error};
use crate::ipam::Delegate;
use crate::verbs::Request;

pub(crate) fn status(request: &Request) -> Result<(), Error> {
    let config = request.config()?;
    if let Some(file) = &config.readiness_file
        && !Path::new(file).exists()
    {
        return Err(Error::new(
            Code::NotAvailable,
            format!(
                "this node was not ready to route since it booted ({file} is missing); \
                 see twill status"
            ),
        ));
    }
    match &config.ipam {
        Ipam::BuiltIn(_) | Ipam::Layer2 => Ok(()),
        Ipam::Delegate(kind) => {
            let path = &request.environment.path;
            Delegate::find(kind, path, &request.envelope.value)?.run("STATUS").map(drop)
        }
    }
}
