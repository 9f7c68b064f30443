//! Who reaches whom, as a table.

use std::net::IpAddr;

use anyhow::Result;
use twill_tests::lab::Host;
use twill_tests::pod::Pod;

/// Where pings begin and end.
pub(crate) enum Station<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// An outside router: pings, and is pinged at these addresses.
    Router(&'a Host, Vec<IpAddr>),
}

impl Station<'_> {
    fn name(&self) -> &str {
        match self {
            Station::Pod(pod) => pod.name(),
            Station::Router(host, _) => host.name(),
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Station::Pod(pod) => pod.addresses(),
            Station::Router(_, addresses) => addresses.clone(),
        }
    }

    /// Pings from one of our own addresses, as an outside client would.
    fn ping(&self, to: IpAddr) -> Result<()> {
        match self {
            Station::Pod(pod) => pod.ping(to),
            Station::Router(host, own) => {
                let from = own.iter().find(|own| own.is_ipv4() == to.is_ipv4());
                let from = from.map(ToString::to_string).unwrap_or_default();
                let to = to.to_string();
                host.run(&["ping", "-c", "1", "-W", "2", "-n", "-q", "-I", &from, &to]).map(drop)
            }
        }
    }
}

/// The table, and what failed.
pub(crate) struct Matrix {
    pub(crate) text: String,
    pub(crate) sent: usize,
    pub(crate) failures: Vec<String>,
}

/// Every station pings every other, in both families; `progress` is told after each row.
pub(crate) fn ping_all(stations: &[Station<'_>], mut progress: impl FnMut(usize)) -> Matrix {
    let width = stations.iter().map(|station| station.name().len()).max().unwrap_or(0).max(7);
    let mut text = format!("{:width$}", "from\\to");
    for station in stations {
        text += &format!("  {:>width$}", station.name());
    }
    text.push('\n');
    let mut matrix = Matrix { text, sent: 0, failures: Vec::new() };
    for (row, from) in stations.iter().enumerate() {
        matrix.text += &format!("{:width$}", from.name());
        for (column, to) in stations.iter().enumerate() {
            let cell = if row == column { "-".to_owned() } else { matrix.cell(from, to) };
            matrix.text += &format!("  {cell:>width$}");
        }
        matrix.text.push('\n');
        progress(row + 1);
    }
    matrix
}

impl Matrix {
    fn cell(&mut self, from: &Station<'_>, to: &Station<'_>) -> String {
        let mut words = Vec::new();
        for address in to.addresses() {
            let family = if address.is_ipv4() { "v4" } else { "v6" };
            self.sent += 1;
            match from.ping(address) {
                Ok(()) => words.push(family.to_owned()),
                Err(error) => {
                    words.push(format!("{family}!"));
                    self.failures.push(format!(
                        "{} -> {} ({address}): {error:#}",
                        from.name(),
                        to.name()
                    ));
                }
            }
        }
        words.join(" ")
    }
}
