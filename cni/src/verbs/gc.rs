//! GC: what belongs to no attachment is freed, and errors stop nothing.
//!
//! Links as well as leases: a lease names its holder, and the holder names the host's end.

use std::collections::HashSet;

use crate::config::{Attachment, Ipam};
use crate::error::{Code, Error};
use crate::ipam::{Delegate, Network};
use crate::link::{self, Netlink, PairNames};
use crate::verbs::Request;

pub(crate) fn gc(request: &Request) -> Result<(), Error> {
    let config = request.config()?;
    let valid = config.valid_attachments.ok_or_else(|| {
        let message = "network configuration: cni.dev/valid-attachments: missing; \
                       without it every pod would lose its address";
        Error::new(Code::NetworkConfig, message)
    })?;
    let ipam = match config.ipam {
        Ipam::Delegate(kind) => {
            let path = &request.environment.path;
            return Delegate::find(&kind, path, &request.envelope.value)?.run("GC").map(drop);
        }
        Ipam::BuiltIn(ipam) => ipam,
        // No lease names the holder of a link.
        Ipam::Layer2 => return Ok(()),
    };
    let valid: HashSet<Attachment> = valid.into_iter().collect();
    let containers: HashSet<&str> =
        valid.iter().map(|attachment| attachment.container_id.as_str()).collect();
    let mut host = Netlink::open()?;
    let mut failed = None;
    let network = Network::new(&config.name, ipam);
    let freed = network.collect(|lease| {
        // A lease of an old version of the reference names the container alone.
        if lease.interface.is_empty() && containers.contains(lease.container_id.as_str()) {
            return false;
        }
        let attachment = Attachment {
            container_id: lease.container_id.clone(),
            interface: lease.interface.clone(),
        };
        if valid.contains(&attachment) {
            return false;
        }
        let names = PairNames::of(&lease.container_id, &lease.interface);
        match link::delete(&mut host, names.host) {
            Ok(()) => true,
            Err(error) => {
                // Its packets may still travel: the address stays held.
                failed.get_or_insert(Error::from(error));
                false
            }
        }
    });
    freed.map_err(Error::from)?;
    failed.map_or(Ok(()), Err)
}
