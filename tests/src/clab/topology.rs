//! A topology, checked: what every node is, and which cables there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_saphyr::{Location, Spanned};

use super::document::{Document, Node as RawNode};
use super::image::Role;

/// The MTU of a cable that names none, as containerlab has it.
const MTU: u32 = 9500;
/// The longest name that the kernel takes for an interface.
const LONGEST_NAME: usize = 15;

/// What is wrong with a file: place, fault and remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TopologyError(String);

/// A file, read.
#[derive(Debug)]
pub struct Topology {
    /// As the file calls it.
    pub name: String,
    /// By name.
    pub nodes: BTreeMap<String, Node>,
    /// In the order of the file.
    pub links: Vec<Link>,
}

/// What a name of the file stands for.
#[derive(Debug)]
pub enum Node {
    /// Kind `bridge`: a switch.
    Bridge,
    /// Kind `linux`: a machine.
    Machine(Machine),
}

/// A node of kind `linux`.
#[derive(Debug)]
pub struct Machine {
    /// As the file has it.
    pub image: String,
    /// What the image stands for; plain where a command says what to run.
    pub role: Role,
    /// What it runs; nothing where empty.
    pub command: Vec<String>,
    /// What is put over its files.
    pub binds: Vec<Bind>,
    /// Run when all cables are in, one after the other.
    pub exec: Vec<Vec<String>>,
    /// For the program, `exec`, and who enters.
    pub env: BTreeMap<String, String>,
    /// Settings below `/proc/sys`, as paths.
    pub sysctls: BTreeMap<String, String>,
}

/// A file or folder of this machine in a node.
#[derive(Debug)]
pub struct Bind {
    /// Of this machine.
    pub from: PathBuf,
    /// In the node.
    pub to: PathBuf,
    /// Nobody in the node can write it.
    pub read_only: bool,
}

/// A cable.
#[derive(Debug)]
pub struct Link {
    /// Node and interface.
    pub ends: [(String, String); 2],
    /// Octets.
    pub mtu: u32,
}

/// Reads the file at hand, with the places of what it says.
struct Reader<'a> {
    file: &'a Path,
    folder: PathBuf,
}

impl Topology {
    /// Reads a file and checks it whole.
    pub fn read(file: &Path) -> Result<Topology, TopologyError> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| TopologyError(format!("{shown}: {error}: name a topology file")))?;
        let document: Document = serde_saphyr::from_str(&text)
            .map_err(|error| TopologyError(format!("{shown}: {}", error.render())))?;
        let folder = std::fs::canonicalize(file)
            .ok()
            .and_then(|file| file.parent().map(Path::to_owned))
            .unwrap_or_default();
        Reader { file, folder }.topology(&document)
    }

    /// Its nodes of kind `linux`, by name.
    pub fn machines(&self) -> impl Iterator<Item = (&str, &Machine)> {
        self.nodes.iter().filter_map(|(name, node)| match node {
            Node::Machine(machine) => Some((name.as_str(), machine)),
            Node::Bridge => None,
        })
    }
}

impl Reader<'_> {
    fn wrong<T>(&self, at: Location, what: impl std::fmt::Display) -> Result<T, TopologyError> {
        let (line, column) = (at.line(), at.column());
        Err(TopologyError(format!("{}:{line}:{column}: {what}", self.file.display())))
    }

    fn topology(&self, document: &Document) -> Result<Topology, TopologyError> {
        let name = &document.name;
        let fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.value.is_empty() || name.value.starts_with('.') || !name.value.chars().all(fit) {
            let what = "a lab's name is made of letters, digits, `-`, `_` and `.`";
            return self.wrong(name.referenced, what);
        }
        let mut nodes = BTreeMap::new();
        for (name, raw) in &document.topology.nodes {
            nodes.insert(name.clone(), self.node(document, name, raw)?);
        }
        let links = self.links(document, &nodes)?;
        Ok(Topology { name: name.value.clone(), nodes, links })
    }

    fn node(
        &self,
        document: &Document,
        name: &str,
        raw: &Spanned<Option<RawNode>>,
    ) -> Result<Node, TopologyError> {
        let at = raw.referenced;
        let own = raw.value.clone().unwrap_or_default();
        let defaults = &document.topology.defaults;
        let Some(kind) = own.kind.as_ref().or(defaults.kind.as_ref()) else {
            return self.wrong(at, format_args!("{name} has no `kind`: write `kind: linux`"));
        };
        match kind.value.as_str() {
            "bridge" if name.len() <= LONGEST_NAME => return Ok(Node::Bridge),
            "bridge" => {
                let what = format!("{name}: a bridge's name has at most {LONGEST_NAME} letters");
                return self.wrong(at, what);
            }
            "linux" => {}
            other => {
                let what = format!(
                    "`{other}` is no kind that the lab in namespaces knows: `linux` or `bridge`"
                );
                return self.wrong(kind.referenced, what);
            }
        }
        let of_kind = document.topology.kinds.get(&kind.value).cloned().unwrap_or_default();
        self.machine(name, at, [defaults, &of_kind, &own]).map(Node::Machine)
    }

    /// `levels`: defaults, the kind's, the node's own. Lists add up, of the rest the last counts.
    fn machine(
        &self,
        name: &str,
        at: Location,
        levels: [&RawNode; 3],
    ) -> Result<Machine, TopologyError> {
        let last = |of: fn(&RawNode) -> &Option<Spanned<String>>| {
            levels.iter().rev().find_map(|level| of(level).as_ref())
        };
        let Some(image) = last(|node| &node.image) else {
            return self.wrong(at, format_args!("{name} has no `image`"));
        };
        self.plain_text(image)?;
        let mut command = Vec::new();
        for part in [last(|node| &node.entrypoint), last(|node| &node.cmd)].into_iter().flatten() {
            command.extend(self.words(part)?);
        }
        let role = match (Role::of_image(&image.value), command.is_empty()) {
            (Some(role), true) => {
                command = role.command().iter().map(|word| (*word).to_owned()).collect();
                role
            }
            (_, false) => Role::Plain,
            (None, true) => {
                let what = format!(
                    "nobody knows what `{}` runs: say it by `cmd`, or take an image named \
                     `twill-lab`, `frr`, `bird` or `debian`",
                    image.value
                );
                return self.wrong(image.referenced, what);
            }
        };
        let mut machine = Machine {
            image: image.value.clone(),
            role,
            command,
            binds: Vec::new(),
            exec: Vec::new(),
            env: BTreeMap::new(),
            sysctls: BTreeMap::new(),
        };
        for level in levels {
            for bind in &level.binds {
                let bind = self.bind(bind)?;
                machine.binds.retain(|other| other.to != bind.to);
                machine.binds.push(bind);
            }
            for line in &level.exec {
                machine.exec.push(self.words(line)?);
            }
            machine.env.extend(level.env.iter().map(|(key, value)| (key.clone(), value.0.clone())));
            for (key, value) in &level.sysctls {
                if !key.starts_with("net.") || key.contains('/') {
                    let what = format!("`{key}` is no setting of a network: only `net.` has any");
                    return self.wrong(value.referenced, what);
                }
                machine.sysctls.insert(key.replace('.', "/"), value.value.0.clone());
            }
        }
        Ok(machine)
    }

    /// Containerlab would put variables and names in the place of these.
    fn plain_text(&self, text: &Spanned<String>) -> Result<(), TopologyError> {
        for sign in ["${", "__clab"] {
            if text.value.contains(sign) {
                let what = format!("`{sign}` is not replaced here: write out what it stands for");
                return self.wrong(text.referenced, what);
            }
        }
        Ok(())
    }

    /// Cut at spaces outside of quotes; no shell looks at it.
    fn words(&self, line: &Spanned<String>) -> Result<Vec<String>, TopologyError> {
        self.plain_text(line)?;
        match shlex::split(&line.value) {
            Some(words) if !words.is_empty() => Ok(words),
            _ => self.wrong(line.referenced, "no command: quotes must be closed, words be there"),
        }
    }

    fn bind(&self, bind: &Spanned<String>) -> Result<Bind, TopologyError> {
        self.plain_text(bind)?;
        let parts: Vec<&str> = bind.value.split(':').collect();
        let (from, to, options) = match parts[..] {
            [from, to] => (from, to, ""),
            [from, to, options] => (from, to, options),
            _ => {
                let what = format!("`{}`: write HERE:THERE or HERE:THERE:ro", bind.value);
                return self.wrong(bind.referenced, what);
            }
        };
        if !matches!(options, "" | "ro" | "rw") {
            let what = format!("`{options}` is no option of a bind here: `ro` or `rw`");
            return self.wrong(bind.referenced, what);
        }
        if !to.starts_with('/') || to.split('/').any(|part| part == "..") {
            let what = format!("`{to}`: a place in the node is a path from `/`");
            return self.wrong(bind.referenced, what);
        }
        let from = self.folder.join(from);
        if !from.exists() {
            let what = format!("{} is not there", from.display());
            return self.wrong(bind.referenced, what);
        }
        Ok(Bind { from, to: to.into(), read_only: options == "ro" })
    }

    fn links(
        &self,
        document: &Document,
        nodes: &BTreeMap<String, Node>,
    ) -> Result<Vec<Link>, TopologyError> {
        let mut taken = BTreeSet::new();
        let mut links = Vec::new();
        for raw in &document.topology.links {
            let [one, other] = raw.endpoints.value.as_slice() else {
                let what = "a link has two ends: `endpoints: [\"a:eth1\", \"b:eth1\"]`";
                return self.wrong(raw.endpoints.referenced, what);
            };
            let mut ends = Vec::new();
            for end in [one, other] {
                let (node, interface) = self.end(end, nodes)?;
                // All bridges are in one namespace, and so are their ports.
                let bridge = matches!(nodes.get(&node), Some(Node::Bridge));
                let place = if bridge { String::new() } else { node.clone() };
                if !taken.insert((place, interface.clone()))
                    || (bridge && nodes.contains_key(&interface))
                {
                    let what = format!("`{}` is taken: name another interface", end.value);
                    return self.wrong(end.referenced, what);
                }
                ends.push((node, interface));
            }
            if let Ok(ends) = ends.try_into() {
                links.push(Link { ends, mtu: raw.mtu.unwrap_or(MTU) });
            }
        }
        Ok(links)
    }

    fn end(
        &self,
        end: &Spanned<String>,
        nodes: &BTreeMap<String, Node>,
    ) -> Result<(String, String), TopologyError> {
        let Some((node, interface)) = end.value.split_once(':') else {
            return self.wrong(end.referenced, "an end is written NODE:INTERFACE");
        };
        let Some(kind) = nodes.get(node) else {
            let known: Vec<&str> = nodes.keys().map(String::as_str).collect();
            let what = format!("no node is called `{node}`: there are {}", known.join(", "));
            return self.wrong(end.referenced, what);
        };
        if interface.is_empty() || interface.len() > LONGEST_NAME || interface.contains(['/', ' '])
        {
            let what = format!("`{interface}` is no name of an interface");
            return self.wrong(end.referenced, what);
        }
        if interface == "eth0" && matches!(kind, Node::Machine(_)) {
            let what = "`eth0` is containerlab's own, of its management network: begin with `eth1`";
            return self.wrong(end.referenced, what);
        }
        Ok((node.to_owned(), interface.to_owned()))
    }
}
