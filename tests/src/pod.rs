//! Pods, attached and detached the way a container runtime does it: by executing every plugin of
//! the conflist that the agent wrote.

use std::net::IpAddr;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::lab::{Host, Process};

/// A network namespace of a node with an interface made by the plugins.
pub struct Pod {
    host: Rc<Host>,
    name: String,
    conflist: Value,
    bin_dir: String,
    /// What the last plugin answered to ADD.
    pub result: Value,
}

/// A plugin's answer where it failed: exit code and output.
#[derive(Debug, thiserror::Error)]
#[error("{plugin} {verb} failed: {output}")]
pub struct PluginError {
    plugin: String,
    verb: String,
    /// The error object of the CNI specification, as printed.
    pub output: String,
}

impl Pod {
    /// Makes the namespace, and attaches it by the conflist at `conf_file`.
    pub fn attach(host: &Rc<Host>, name: &str, conf_file: &str, bin_dir: &str) -> Result<Pod> {
        let conflist = host.read(conf_file)?;
        let conflist = serde_json::from_str(&conflist).context("the conflist is no JSON")?;
        Pod::attach_with(host, name, conflist, bin_dir)
    }

    /// The same with a conflist of one's own.
    pub fn attach_with(host: &Rc<Host>, name: &str, conflist: Value, bin_dir: &str) -> Result<Pod> {
        host.run(&["ip", "netns", "add", name])?;
        host.run(&["ip", "-n", name, "link", "set", "lo", "up"])?;
        let mut pod = Pod {
            host: host.clone(),
            name: name.to_owned(),
            conflist,
            bin_dir: bin_dir.to_owned(),
            result: Value::Null,
        };
        pod.result = pod.chain("ADD")?;
        Ok(pod)
    }

    fn chain(&self, verb: &str) -> Result<Value> {
        let plugins = self.conflist["plugins"].as_array().context("the conflist has no plugins")?;
        let mut previous = self.result.clone();
        let forward = verb != "DEL";
        let order: Vec<&Value> =
            if forward { plugins.iter().collect() } else { plugins.iter().rev().collect() };
        for plugin in order {
            let mut config = plugin.clone();
            config["cniVersion"] = self.conflist["cniVersion"].clone();
            config["name"] = self.conflist["name"].clone();
            if !previous.is_null() {
                config["prevResult"] = previous.clone();
            }
            let kind = plugin["type"].as_str().context("a plugin without a type")?;
            let output = self.execute(kind, verb, &config)?;
            if verb == "ADD" {
                previous = serde_json::from_str(&output)
                    .with_context(|| format!("{kind} answered no JSON: {output}"))?;
            }
        }
        Ok(previous)
    }

    fn execute(&self, kind: &str, verb: &str, config: &Value) -> Result<String> {
        let program = format!("{}/{kind}", self.bin_dir);
        let output = self.host.output(
            &[
                "env",
                &format!("CNI_COMMAND={verb}"),
                &format!("CNI_CONTAINERID=lab-{}", self.name),
                &format!("CNI_NETNS=/run/netns/{}", self.name),
                "CNI_IFNAME=eth0",
                &format!("CNI_PATH={}", self.bin_dir),
                &program,
            ],
            &config.to_string(),
        )?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        bail!(PluginError { plugin: kind.to_owned(), verb: verb.to_owned(), output: said })
    }

    /// CHECK by every plugin.
    pub fn check(&self) -> Result<()> {
        self.chain("CHECK").map(drop)
    }

    /// DEL by every plugin; the namespace goes too.
    pub fn detach(self) -> Result<()> {
        self.chain("DEL")?;
        self.host.run(&["ip", "netns", "del", &self.name]).map(drop)
    }

    /// As the lab calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node it runs on.
    pub fn host(&self) -> &Rc<Host> {
        &self.host
    }

    /// Its addresses, from the plugins' result.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let ips = self.result["ips"].as_array().cloned().unwrap_or_default();
        ips.iter()
            .filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok())
            .collect()
    }

    fn within<'a>(&'a self, command: &[&'a str]) -> Vec<&'a str> {
        [&["ip", "netns", "exec", &self.name], command].concat()
    }

    /// Runs a command in the pod.
    pub fn run(&self, command: &[&str]) -> Result<String> {
        self.host.run(&self.within(command))
    }

    /// Starts a program in the pod, its output for the test alone.
    pub fn spawn(&self, name: &str, command: &[&str]) -> Result<Process> {
        self.host.spawn_quietly(&format!("{}.{name}", self.name), &self.within(command))
    }

    /// One ping; the error is what it said.
    pub fn ping(&self, address: IpAddr) -> Result<()> {
        let address = address.to_string();
        self.run(&["ping", "-c", "1", "-W", "2", "-n", "-q", &address]).map(drop)
    }
}

/// A netconf for a chain of one plugin, for scenarios that need another than the agent writes.
pub fn conflist(plugin: &Value) -> Value {
    json!({"cniVersion": "1.0.0", "name": "twill", "plugins": [plugin]})
}
