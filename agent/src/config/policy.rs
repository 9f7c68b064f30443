//! `import` and `export` of a router outside the mesh: the short form, and ordered rules.

use std::collections::HashMap;
use std::fmt::Display;

use twill_bgp::MaxPrefixes;
use twill_bgp::proto::rib::policy::PrefixRange;
use twill_bgp::proto::types::Origin;

use super::read::{Field, Section, Sited};
use super::{mesh, or, values};
use crate::source::policy::{
    AsPathMatch, ExportRules, ImportRules, PolicyRule, RouteSource, RuleAction, RuleMatch, RuleSet,
    ServiceKinds,
};

/// Rules in one list: more are a mistake of whatever wrote them.
const MAX_RULES: usize = 1000;

/// What the rules of a peer are read with.
pub(super) struct Reader<'r, 'a> {
    /// The peer is of our own AS.
    pub(super) internal: bool,
    /// Services are known.
    pub(super) services: bool,
    /// Names that rules match on, to be looked up once all names are known.
    pub(super) mentioned: &'r mut Vec<Sited<'a, String>>,
}

/// Which way routes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl<'a> Reader<'_, 'a> {
    pub(super) fn import(&mut self, section: &mut Section<'a>) -> Option<ImportRules> {
        let accept_by_default = accept_by_default(section);
        let prefixes = section.get("prefixes").map(|field| mesh::ranges(&field));
        let max_prefixes = max_prefixes(section);
        Some(ImportRules {
            rules: self.rules(section.get("rules"), Way::In)?,
            accept_by_default: accept_by_default?,
            prefixes: prefixes.unwrap_or_default(),
            max_prefixes: max_prefixes?,
        })
    }

    pub(super) fn export(&mut self, section: &mut Section<'a>) -> Option<ExportRules> {
        let accept_by_default = accept_by_default(section);
        let mut rules = ExportRules::default();
        if let Some(field) = section.get("prefixes") {
            let mut items = field.list(RANGES);
            items.retain(|item| !self.service_word(item, &mut rules.services));
            (rules.prefixes, rules.pod_cidrs) = ranges_or_pod_cidrs(items);
        }
        if let Some(field) = section.get("communities") {
            let read = field.list_of("communities", |item| item.parse("a community", str::parse));
            rules.communities = read.into_iter().map(|community| community.value).collect();
        }
        let prepend =
            section.get("prepend").map_or(Some(0), |field| self.prepend(&field, Way::Out));
        let med = or(section.get("med"), None, |field| field.number(0..=u32::MAX).map(Some));
        rules.rules = self.rules(section.get("rules"), Way::Out)?;
        rules.accept_by_default = accept_by_default?;
        rules.prepend = prepend?;
        rules.med = med?;
        Some(rules)
    }

    /// Takes a word for addresses of Services.
    fn service_word(&self, item: &Field<'a>, services: &mut ServiceKinds) -> bool {
        let kind = match item.scalar() {
            Some("clusterIPs") => &mut services.cluster,
            Some("externalIPs") => &mut services.external,
            Some("loadBalancerIPs") => &mut services.load_balancer,
            _ => return false,
        };
        *kind = true;
        if !self.services {
            item.wrong("Services are known only where the world comes from the API server");
        }
        true
    }

    fn rules(&mut self, field: Option<Field<'a>>, way: Way) -> Option<Vec<PolicyRule>> {
        let Some(field) = field else { return Some(Vec::new()) };
        let items = field.list("rules");
        if items.len() > MAX_RULES {
            field.wrong(format!("more than {MAX_RULES} rules: match on lists of prefixes instead"));
            return None;
        }
        let count = items.len();
        let mut lines: HashMap<String, u32> = HashMap::new();
        let mut decided: Option<(String, u32)> = None;
        let mut rules = Vec::new();
        for item in items {
            let Some(rule) = item.section(|section| self.rule(section, way)) else { continue };
            if let Some(line) = lines.insert(rule.name.clone(), item.line()) {
                item.wrong(format!(
                    "the name {} is taken by the rule on line {line}: a refused route shows it",
                    rule.name
                ));
            }
            if let Some((name, line)) = &decided {
                item.doubt(format!(
                    "never asked: {name} on line {line} has no `match` and decides every route"
                ));
            }
            if rule.when == RuleMatch::default() && rule.action != RuleAction::Continue {
                decided.get_or_insert((rule.name.clone(), item.line()));
            }
            rules.push(rule);
        }
        (rules.len() == count).then_some(rules)
    }

    fn rule(&mut self, section: &mut Section<'a>, way: Way) -> Option<PolicyRule> {
        let name = section.need("name", "what is shown beside a route that it refuses");
        let name = name.and_then(|field| field.parse("a name", values::name));
        let when = match section.get("match") {
            Some(field) => field.section(|section| self.conditions(section, way)),
            None => Some(RuleMatch::default()),
        };
        let set = section.get("set");
        let changes = match &set {
            Some(field) => field.section(|section| self.changes(section, way)),
            None => Some(RuleSet::default()),
        };
        let action = section.need("action", "accept, reject, or continue with the next rule");
        let action = action.and_then(|field| {
            field.choice(&[
                ("accept", RuleAction::Accept),
                ("reject", RuleAction::Reject),
                ("continue", RuleAction::Continue),
            ])
        });
        match (action, &set, &changes) {
            (Some(RuleAction::Reject), Some(set), _) => {
                set.wrong("a refused route is not changed: remove `set`, or accept it");
            }
            (Some(RuleAction::Continue), _, Some(changes)) if changes.is_empty() => {
                section.field.doubt("it changes nothing and decides nothing: give it a `set`");
            }
            _ => {}
        }
        Some(PolicyRule { name: name?, when: when?, set: changes?, action: action? })
    }

    fn conditions(&mut self, section: &mut Section<'a>, way: Way) -> Option<RuleMatch> {
        let mut when = RuleMatch::default();
        let mut whole = true;
        if let Some(field) = section.get("prefixes") {
            let items = some_of(&field, RANGES);
            whole &= items.is_some();
            let items = items.unwrap_or_default();
            let own = items.iter().find(|item| item.scalar() == Some("podCIDRs")).cloned();
            if let (Some(own), Way::In) = (&own, way) {
                own.wrong("this node's pod CIDRs are never taken from outside: remove it");
            }
            (when.prefixes, when.pod_cidrs) = ranges_or_pod_cidrs(items);
        }
        if let Some(field) = section.get("neighbor") {
            let names = all_of(&field, "names of nodes or peers", |item| {
                item.parse("a name", values::name)
            });
            whole &= names.is_some();
            for name in names.into_iter().flatten() {
                when.neighbors.push(name.value.clone());
                self.mentioned.push(name);
            }
        }
        when.source = or(section.get("source"), None, |field| {
            let sources = [
                ("local", RouteSource::Local),
                ("internal", RouteSource::Internal),
                ("external", RouteSource::External),
            ];
            field.choice(&sources).map(Some)
        })
        .unwrap_or_else(|| {
            whole = false;
            None
        });
        let as_path =
            or(section.get("asPath"), AsPathMatch::default(), |field| field.section(as_path));
        let communities = values_of(section.get("communities"), "communities", str::parse);
        let large = values_of(section.get("largeCommunities"), "large communities", str::parse);
        let origins = or(section.get("origin"), Vec::new(), |field| {
            let origins =
                [("igp", Origin::Igp), ("egp", Origin::Egp), ("incomplete", Origin::Incomplete)];
            let read = all_of(field, "origins", |item| item.choice(&origins))?;
            Some(read.into_iter().map(|origin| origin.value).collect())
        });
        let next_hops = values_of(section.get("nextHop"), "addresses", values::address_or_prefix);
        when.as_path = as_path?;
        when.communities = communities?;
        when.large_communities = large?;
        when.origins = origins?;
        when.next_hops = next_hops?;
        whole.then_some(when)
    }

    fn changes(&mut self, section: &mut Section<'a>, way: Way) -> Option<RuleSet> {
        let number = |field: Option<Field<'a>>| {
            or(field, None, |field| field.number(0..=u32::MAX).map(Some))
        };
        let local_pref = section.get("localPref");
        if let (Some(field), Way::Out, false) = (&local_pref, way, self.internal) {
            field.wrong("a router of another AS is sent no local preference: use med or prepend");
        }
        let next_hop_self = section.get("nextHopSelf");
        let flag = or(next_hop_self.clone(), None, |field| field.flag().map(Some));
        match (&next_hop_self, way, flag) {
            (Some(field), Way::In, _) => field.wrong(
                "our own address as the next hop of what we learn would send its packets back to \
                 us: remove it, or set it on export",
            ),
            (Some(field), Way::Out, Some(Some(false))) if !self.internal => field.wrong(
                "a router of another AS is always sent our own address as next hop: remove it",
            ),
            _ => {}
        }
        let local_pref = number(local_pref);
        let med = number(section.get("med"));
        let communities = lists(section.get("communities"), "communities");
        let large = lists(section.get("largeCommunities"), "large communities");
        let prepend = section.get("prepend").map_or(Some(0), |field| self.prepend(&field, way));
        let ((add, remove), (add_large, remove_large)) = (communities?, large?);
        Some(RuleSet {
            local_pref: local_pref?,
            med: med?,
            remove_communities: remove,
            add_communities: add,
            remove_large_communities: remove_large,
            add_large_communities: add_large,
            prepend: prepend?,
            next_hop_self: flag?,
        })
    }

    fn prepend(&self, field: &Field<'a>, way: Way) -> Option<u8> {
        let times = field.number(0..=255).and_then(|number| u8::try_from(number).ok())?;
        if self.internal && times > 0 {
            field.wrong(match way {
                Way::In => {
                    "this peer is of our own AS, which in front of a path is a loop: remove it"
                }
                Way::Out => {
                    "this peer is of our own AS, and takes a path that holds it for a loop: remove \
                     it, or set localPref by a rule"
                }
            });
            return None;
        }
        Some(times)
    }
}

/// What a list of prefixes to be sent may hold.
const RANGES: &str = "prefix ranges or podCIDRs";

fn accept_by_default(section: &mut Section<'_>) -> Option<bool> {
    or(section.get("default"), false, |field| field.choice(&[("reject", false), ("accept", true)]))
}

fn max_prefixes(section: &mut Section<'_>) -> Option<Option<MaxPrefixes>> {
    let limit = or(section.get("maxPrefixes"), None, |field| field.number(1..=u32::MAX).map(Some));
    let warning = section.get("maxPrefixesWarning");
    let restart = section.get("maxPrefixesRestart");
    if let Some(None) = limit {
        for field in [&warning, &restart].into_iter().flatten() {
            field.wrong("without a limit there is nothing to warn of: give maxPrefixes as well");
        }
    }
    let percent = or(warning, None, |field| percent(field).map(Some));
    let restart_after = or(restart, None, |field| {
        let time = field.parse("a duration", values::duration)?;
        if time.is_zero() {
            field.wrong("a peer that is let in again at once has no limit: expected 1s or more");
        }
        (!time.is_zero()).then_some(Some(time))
    });
    let (limit, percent, restart_after) = (limit?, percent?, restart_after?);
    Some(limit.map(|limit| MaxPrefixes {
        limit,
        // Rounded up, so that of a small limit not the first prefix is near it.
        warn_at: percent.map(|percent| part(limit, percent)),
        restart_after,
    }))
}

/// `80` or `80%`.
fn percent(field: &Field<'_>) -> Option<u32> {
    field.accept("a percentage from 1 to 100", |text| {
        let number = text.strip_suffix('%').unwrap_or(text);
        number.parse().ok().filter(|percent| (1..=100).contains(percent))
    })
}

/// A percentage of a number, rounded up.
fn part(of: u32, percent: u32) -> u32 {
    let part = (u64::from(of) * u64::from(percent)).div_ceil(100);
    u32::try_from(part).unwrap_or(of)
}

fn ranges_or_pod_cidrs(items: Vec<Field<'_>>) -> (Vec<PrefixRange>, bool) {
    let (mut ranges, mut pod_cidrs) = (Vec::new(), false);
    for item in items {
        if item.scalar() == Some("podCIDRs") {
            pod_cidrs = true;
        } else {
            ranges.extend(item.parse("a prefix range or podCIDRs", values::prefix_range));
        }
    }
    (ranges, pod_cidrs)
}

/// A condition's values, one or a list. An empty list would match nothing, or, taken for no
/// condition, everything: neither is likely to be meant.
fn some_of<'a>(field: &Field<'a>, expected: &str) -> Option<Vec<Field<'a>>> {
    let items = field.one_or_list(expected);
    if items.is_empty() && field.is_list() {
        field.wrong("an empty list matches nothing: remove the key to match everything");
    }
    (!items.is_empty()).then_some(items)
}

/// The same, each value read; `None` where one of them cannot be.
fn all_of<'a, T>(
    field: &Field<'a>,
    expected: &str,
    mut read: impl FnMut(&Field<'a>) -> Option<T>,
) -> Option<Vec<Sited<'a, T>>> {
    let items = some_of(field, expected)?;
    let count = items.len();
    let values: Vec<Sited<'a, T>> = items
        .into_iter()
        .filter_map(|field| read(&field).map(|value| Sited { value, field }))
        .collect();
    (values.len() == count).then_some(values)
}

/// The same for values that know how to read themselves; none where the key is not there.
fn values_of<T, E: Display>(
    field: Option<Field<'_>>,
    expected: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let Some(field) = field else { return Some(Vec::new()) };
    let singular = format!("one of these {expected}");
    let read = all_of(&field, expected, |item| item.parse(&singular, &read))?;
    Some(read.into_iter().map(|value| value.value).collect())
}

fn as_path(section: &mut Section<'_>) -> Option<AsPathMatch> {
    let hops =
        |field: Option<Field<'_>>| or(field, None, |field| field.number(0..=u32::MAX).map(Some));
    let contains = values_of(section.get("contains"), "AS numbers", str::parse);
    let begins_with = values_of(section.get("beginsWith"), "AS numbers", str::parse);
    let originates_from = values_of(section.get("originatesFrom"), "AS numbers", str::parse);
    let empty = or(section.get("empty"), None, |field| field.flag().map(Some));
    let min_length = hops(section.get("minLength"));
    let max_length = hops(section.get("maxLength"));
    if let (Some(Some(min)), Some(Some(max))) = (min_length, max_length)
        && min > max
    {
        section.field.wrong(format!("no path has at least {min} hops and at most {max}"));
    }
    Some(AsPathMatch {
        contains: contains?,
        begins_with: begins_with?,
        originates_from: originates_from?,
        empty: empty?,
        min_length: min_length?,
        max_length: max_length?,
    })
}

/// `{add: [...], remove: [...]}`.
fn lists<T, F>(field: Option<Field<'_>>, what: &str) -> Option<(Vec<T>, Vec<F>)>
where
    T: std::str::FromStr<Err = &'static str>,
    F: std::str::FromStr<Err = &'static str>,
{
    let Some(field) = field else { return Some((Vec::new(), Vec::new())) };
    field.section(|section| {
        let add = values_of(section.get("add"), what, str::parse);
        let remove = values_of(section.get("remove"), what, str::parse);
        Some((add?, remove?))
    })
}
