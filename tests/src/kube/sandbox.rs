//! An agent with no more rights than its pod has, by the DaemonSet of `deploy/`.
//!
//! A container runtime would do the same: the capabilities of the manifest, no new privileges, a
//! root file system that cannot be written but for the mounts of the manifest, and a `/proc/sys`
//! that cannot be written but for what is mounted of it. (Not here: seccomp.)

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The manifests.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Where hosts of the lab can be written at all: their own `/run`. The host's settings are mounted
/// below it.
const HOST: &str = "/run/host";

/// Opens the host's settings, and closes a container's own.
const SETTINGS: &str = "
mkdir -p $HOST/proc/sys/net
mount --bind /proc/sys/net $HOST/proc/sys/net
mount --bind /proc/sys /proc/sys
";

/// Closes all mounts of a host but those that were opened before.
const CLOSE: &str = "
for d in / /etc /var /var/lib /opt /run /proc/sys; do mount -o remount,bind,ro $d; done
";

/// The command that runs `program` as the agent of the DaemonSet.
pub fn command(program: &[&str]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(deploy().join("base/daemon-set.yaml"))?;
    let object: Value = serde_saphyr::from_str(&text)?;
    let agent = &object["spec"]["template"]["spec"]["containers"][0];
    let mut script = format!("set -e\nHOST={HOST}\n{SETTINGS}");
    for mount in agent["volumeMounts"].as_array().context("no mounts")? {
        let path = mount["mountPath"].as_str().unwrap_or_default();
        if path.starts_with("/host/") {
            continue;
        }
        script += &format!("mkdir -p {path}; mount --bind {path} {path}\n");
        if mount["readOnly"] == true {
            script += &format!("mount -o remount,bind,ro {path}\n");
        }
    }
    script += CLOSE;
    let mut capabilities = String::from("-all");
    let context = &agent["securityContext"];
    if context["readOnlyRootFilesystem"] != true || context["allowPrivilegeEscalation"] != false {
        bail!("the agent's container is less confined than this sandbox");
    }
    for capability in context["capabilities"]["add"].as_array().into_iter().flatten() {
        capabilities += &format!(",+{}", capability.as_str().unwrap_or_default().to_lowercase());
    }
    script += &format!(
        "exec setpriv --no-new-privs --bounding-set {capabilities} -- env \
         TWILL_PROC_SYS={HOST}/proc/sys \"$@\"\n"
    );
    let mut command: Vec<String> =
        ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).into();
    command.extend(program.iter().map(|word| (*word).to_owned()));
    Ok(command)
}
