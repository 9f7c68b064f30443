//! Who is let in: by password, and by distance.

use anyhow::Result;

use crate::matrix::Cell;
use crate::partner::{Start, Terms};
use crate::stage::{Ours, Stage};

pub(crate) fn run(name: &str, start: Start) -> Result<()> {
    let secret = Terms { password: Some("rack-7/ok"), ..Terms::external() };
    let mut stage = Stage::begin(name, start, &secret, &Ours::default())?;
    stage.wait_established()?;
    stage.wait_routes()?;
    stage.restart_partner(&Terms { password: Some("rack-8/no"), ..secret.clone() })?;
    stage.wait_down()?;
    stage.hold_down("another password")?;
    stage.restart_partner(&Terms { password: None, ..secret.clone() })?;
    stage.hold_down("no password")?;
    stage.yes(Cell::Password)?;

    let near = Terms { ttl_security: true, ..Terms::external() };
    stage.partner.kill()?;
    stage.reload(&near, &Ours::default())?;
    stage.partner.restart(&near)?;
    stage.wait_established()?;
    stage.wait_routes()?;
    stage.restart_partner(&Terms::external())?;
    stage.wait_down()?;
    stage.hold_down("a TTL below 255")?;
    stage.yes(Cell::TtlSecurity)?;
    stage.lab.passed()
}
