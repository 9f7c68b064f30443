//! What an operator sees. Iterators walk the table as they are consumed and copy nothing but
//! what they yield.

use std::net::IpAddr;

use super::base::Rib;
use super::decision;
use super::loc::{Best, Loc, routes_from};
use super::table::{Key, Path};
use super::{PeerKey, Route, RouteView};
use crate::types::Prefix;

impl Rib {
    /// The best route of every prefix as it was last told by [`Rib::settle`]: with the changes
    /// told after that, this is always the whole Loc-RIB. In no order.
    pub fn best_routes(&self) -> impl Iterator<Item = (Prefix, Route)> {
        let v4 = self.v4.told_bests().map(|(prefix, best)| (prefix.prefix(), best));
        let v6 = self.v6.told_bests().map(|(prefix, best)| (prefix.prefix(), best));
        v4.chain(v6).map(|(prefix, best)| (prefix, best.route(&self.attrs)))
    }

    /// The best route of one prefix as it is now, told or not.
    pub fn best_route(&self, prefix: Prefix) -> Option<Route> {
        let path = match prefix {
            Prefix::V4(prefix) => best(&self.v4, prefix),
            Prefix::V6(prefix) => best(&self.v6, prefix),
        };
        path.map(|path| Best::of(path).route(&self.attrs))
    }

    /// Every route of one prefix, the best first, each loser with its reason.
    pub fn routes(&self, prefix: Prefix) -> Vec<RouteView> {
        match prefix {
            Prefix::V4(prefix) => match self.v4.table.find(prefix) {
                Some(place) => self.views(&self.v4, place),
                None => Vec::new(),
            },
            Prefix::V6(prefix) => match self.v6.table.find(prefix) {
                Some(place) => self.views(&self.v6, place),
                None => Vec::new(),
            },
        }
    }

    /// Every route of every prefix; see [`Rib::routes`].
    pub fn all_routes(&self) -> impl Iterator<Item = RouteView> {
        let v4 = (0..self.v4.table.places()).flat_map(|place| self.views(&self.v4, place));
        let v6 = (0..self.v6.table.places()).flat_map(|place| self.views(&self.v6, place));
        v4.chain(v6)
    }

    /// What a peer sent, refused routes included.
    pub fn received(&self, key: PeerKey) -> impl Iterator<Item = RouteView> {
        let from = super::RoutesFrom::Peer(key);
        let sent = move |path: &Path| path.from().key() == Some(key);
        let v4 = (0..self.v4.table.places())
            .filter(move |place| self.v4.table.paths(*place).iter().any(sent))
            .flat_map(|place| self.views(&self.v4, place));
        let v6 = (0..self.v6.table.places())
            .filter(move |place| self.v6.table.paths(*place).iter().any(sent))
            .flat_map(|place| self.views(&self.v6, place));
        v4.chain(v6).filter(move |view| view.from == from)
    }

    /// The longest prefix that holds `address` and has a usable route.
    pub fn longest_match(&self, address: IpAddr) -> Option<Prefix> {
        let longest = Prefix::host(address).len();
        (0..=longest).rev().find_map(|length| {
            let prefix = Prefix::truncating(address, length).ok()?;
            let best = match prefix {
                Prefix::V4(prefix) => best(&self.v4, prefix),
                Prefix::V6(prefix) => best(&self.v6, prefix),
            };
            best.map(|_| prefix)
        })
    }

    fn views<K: Key>(&self, loc: &Loc<K>, place: u32) -> Vec<RouteView> {
        let paths = loc.table.paths(place);
        if paths.is_empty() {
            return Vec::new();
        }
        let prefix = loc.table.prefix(place).prefix();
        let refusal = |path| self.refusing_rule(prefix, path);
        let reasons = decision::reasons(paths, &self.attrs, &self.peers, refusal);
        let views = paths.iter().zip(reasons).map(|(path, lost)| RouteView {
            prefix,
            attributes: self.attrs.get(path.used).clone(),
            from: routes_from(path.from()),
            stale: path.is_stale(),
            lost,
        });
        views.collect()
    }
}

fn best<K: Key>(loc: &Loc<K>, prefix: K) -> Option<Path> {
    loc.table.best(loc.table.find(prefix)?)
}
