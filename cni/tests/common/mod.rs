//! A host for the plugin: network, mount and PID namespaces of its own, gone with the test that
//! made it, also when that is killed. Everything in it is the real kernel's.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// The plugin under test.
pub const PLUGIN: &str = env!("CARGO_BIN_EXE_twill-cni");

/// False, and says so, where namespaces cannot be made.
pub fn can_run() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        twill_tests::skip::left_out("lab", "root is needed to make network namespaces");
    }
    root
}

/// A program of this machine, or a word about its absence.
pub fn installed(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = Path::new(program).is_absolute() && Path::new(program).exists()
        || std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    if !there {
        let why = format!("`{program}` is not installed (package {package})");
        twill_tests::skip::left_out(package, &why);
    }
    there
}

/// A machine.
pub struct Host {
    holder: Child,
    pid: String,
    directory: PathBuf,
}

/// What the plugin said.
#[derive(Debug)]
pub struct Answer {
    /// Its exit status.
    pub success: bool,
    /// Its output; null where there was none.
    pub json: Value,
}

impl Answer {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.success, "{}", self.json);
        self.json
    }

    /// Asserts an error of the specification's form with this code and words in its message.
    #[track_caller]
    pub fn refused(self, code: u64, words: &str) {
        assert!(!self.success, "{}", self.json);
        assert_eq!(self.json["code"], code, "{}", self.json);
        let message = self.json["msg"].as_str().unwrap_or_default();
        assert!(message.contains(words), "\"{words}\" is not in: {message}");
        assert!(self.json["cniVersion"].is_string(), "{}", self.json);
    }
}

impl Host {
    pub fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("twill-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/netns && ip link set lo up \
                      && echo $$ && exec sleep infinity";
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--pid", "--fork"])
            .args(["--kill-child=KILL", "--mount-proc", "--", "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "1\n", "the host did not start");
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let pid = std::fs::read_to_string(children).unwrap().trim().to_owned();
        Self { holder, pid, directory }
    }

    /// Where its leases are.
    pub fn data(&self) -> PathBuf {
        self.directory.join("networks")
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--pid", "-t", &self.pid, "--"]).args(words);
        command
    }

    /// The same outside of its process ids: the process started is the command itself, so that
    /// it can be killed.
    pub fn command_outside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "-t", &self.pid, "--"]).args(words);
        command
    }

    pub fn output(&self, words: &[&str]) -> Output {
        self.command(words).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed; what it wrote.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {text}{error}");
        text
    }

    /// The same in a pod.
    #[track_caller]
    pub fn run_in(&self, pod: &str, words: &[&str]) -> String {
        self.run(&[&["ip", "netns", "exec", pod], words].concat())
    }

    pub fn pod(&self, name: &str) {
        self.run(&["ip", "netns", "add", name]);
    }

    /// The variables of a call for `eth0` of a pod, container id the pod's name.
    pub fn variables(verb: &str, pod: &str) -> Vec<(String, String)> {
        let pairs = [
            ("CNI_COMMAND", verb.to_owned()),
            ("CNI_CONTAINERID", pod.to_owned()),
            ("CNI_NETNS", format!("/run/netns/{pod}")),
            ("CNI_IFNAME", "eth0".to_owned()),
            ("CNI_PATH", "/usr/lib/cni:/opt/cni/bin".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    pub fn call_with(
        &self,
        program: &[&str],
        variables: &[(String, String)],
        stdin: &[u8],
    ) -> Answer {
        let mut child = self
            .command(program)
            .env_remove("CNI_COMMAND")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A plugin that refuses its environment need not read.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        Answer { success: output.status.success(), json }
    }

    pub fn call(&self, verb: &str, pod: &str, config: &Value) -> Answer {
        let stdin = config.to_string();
        self.call_with(&[PLUGIN], &Self::variables(verb, pod), stdin.as_bytes())
    }

    /// A netconf of this host.
    pub fn config(&self, version: &str, gateway: &str, subnets: &[&str]) -> Value {
        let ranges: Vec<Value> = subnets.iter().map(|s| json!([{"subnet": s}])).collect();
        json!({
            "cniVersion": version, "name": "net", "type": "twill-cni", "bridge": "twill0",
            "hairpinMode": true, "gateway": gateway,
            "ipam": {"ranges": ranges, "dataDir": self.data(), "cooldown": "60s"},
        })
    }

    /// The names of all leases and keys, of pods' links on the host, and of links in these pods.
    pub fn left(&self, pods: &[&str]) -> BTreeSet<String> {
        let names = |output: String| -> Vec<String> {
            let name = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
            output.lines().map(name).collect()
        };
        let host = names(self.run(&["ip", "-br", "link", "show", "type", "veth"]));
        let mut left: BTreeSet<String> =
            host.iter().map(|n| n.split('@').next().unwrap().to_owned()).collect();
        for pod in pods {
            let links = names(self.run_in(pod, &["ip", "-br", "link"]));
            left.extend(links.into_iter().filter(|name| name.starts_with("eth")));
        }
        left.extend(self.leases());
        let keys = std::fs::read_dir(self.data().join("net/.twill/keys"));
        for key in keys.into_iter().flatten() {
            left.insert(key.unwrap().file_name().into_string().unwrap());
        }
        left
    }

    /// The addresses that are leased.
    pub fn leases(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.data().join("net")).into_iter().flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.parse::<std::net::IpAddr>().is_ok()).collect()
    }

    /// Pings until one is answered: neighbours must be found first. Bounded.
    #[track_caller]
    pub fn reaches(&self, from: Option<&str>, to: &str) {
        let ping = ["ping", "-n", "-c", "1", "-W", "1", to];
        let words: Vec<&str> = match from {
            Some(pod) => [&["ip", "netns", "exec", pod], &ping[..]].concat(),
            None => ping.to_vec(),
        };
        let answered = (0..10).any(|_| self.output(&words).status.success());
        assert!(answered, "{} cannot reach {to}", from.unwrap_or("the host"));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The addresses of a result, without their lengths.
pub fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().unwrap().iter();
    ips.map(|ip| ip["address"].as_str().unwrap().split('/').next().unwrap().to_owned()).collect()
}

/// The configuration of a CHECK or DEL: with the result of the ADD.
pub fn after(config: &Value, result: &Value) -> Value {
    let mut config = config.clone();
    config["prevResult"] = result.clone();
    config
}
