//! `twill install-cni --bin-dir DIR`: puts the CNI plugin where the container runtime looks for
//! it. A file appears whole or not at all: it is written beside its place and renamed, so that a
//! runtime may execute it at any moment, and a plugin that runs keeps its old file.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Exit;

const PLUGIN: &str = "twill-cni";
const LOOPBACK: &str = "loopback";

/// Arguments of `twill install-cni`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the container runtime looks for plugins.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    bin_dir: PathBuf,
    /// The plugin to install, instead of the `twill-cni` beside this program.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Exit {
    match install(args) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            Exit::Yes
        }
        Err(error) => {
            eprintln!("twill: {error}");
            Exit::No
        }
    }
}

/// What went wrong, where.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(
        "{} is not there: install it beside `twill`, or name it with --from",
        .0.display()
    )]
    NoPlugin(PathBuf),
    #[error("{} does not answer as a CNI plugin: {what}; name another with --from", path.display())]
    NotAPlugin { path: PathBuf, what: String },
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> InstallError + 'a {
    move |source| InstallError::Io { what, path: path.to_owned(), source }
}

fn install(args: &Args) -> Result<Vec<String>, InstallError> {
    let source = match &args.from {
        Some(source) => source.clone(),
        None => std::env::current_exe()
            .map_err(failed("find", Path::new("/proc/self/exe")))?
            .with_file_name(PLUGIN),
    };
    if !source.is_file() {
        return Err(InstallError::NoPlugin(source));
    }
    answers_version(&source)?;
    let dir = &args.bin_dir;
    fs::create_dir_all(dir).map_err(failed("make", dir))?;
    let place = dir.join(PLUGIN);
    let mut lines = vec![if same(&source, &place) {
        format!("{} is up to date", place.display())
    } else {
        copy(&source, &place)?;
        format!("{} installed", place.display())
    }];
    lines.push(install_loopback(dir, &place)?);
    Ok(lines)
}

/// A symbolic link, so that it follows the plugin when that is replaced.
fn install_loopback(dir: &Path, plugin: &Path) -> Result<String, InstallError> {
    let place = dir.join(LOOPBACK);
    if fs::symlink_metadata(&place).is_ok() {
        return Ok(format!("{} was there already", place.display()));
    }
    if !answers_as_loopback(plugin) {
        return Ok(format!(
            "{} left out: this {PLUGIN} does not answer as loopback, and a runtime such as \
             containerd needs one; install the reference plugin",
            place.display()
        ));
    }
    match symlink(PLUGIN, &place) {
        Ok(()) => Ok(format!("{} installed, answered by {PLUGIN}", place.display())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(format!("{} was there already", place.display()))
        }
        Err(error) => Err(failed("link", &place)(error)),
    }
}

/// Whether both files hold the same, and the second may be executed.
fn same(source: &Path, place: &Path) -> bool {
    let executable = fs::metadata(place)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o777 == 0o755);
    executable
        && matches!((fs::read(source), fs::read(place)), (Ok(one), Ok(other)) if one == other)
}

fn copy(source: &Path, place: &Path) -> Result<(), InstallError> {
    // In the same directory, so that the rename is atomic; runtimes look for exact names only.
    let temporary = place.with_file_name(format!(".{PLUGIN}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        let mut from = File::open(source)?;
        let mut to = File::create(&temporary)?;
        io::copy(&mut from, &mut to)?;
        to.set_permissions(Permissions::from_mode(0o755))?;
        to.sync_all()?;
        fs::rename(&temporary, place)
    };
    write().map_err(|error| {
        // What is left of a failure is not worth a second error.
        drop(fs::remove_file(&temporary));
        failed("write", place)(error)
    })
}

/// VERSION changes nothing, and every plugin answers it.
fn answers_version(plugin: &Path) -> Result<(), InstallError> {
    let wrong = |what: String| InstallError::NotAPlugin { path: plugin.to_owned(), what };
    let answer = call(plugin, &[("CNI_COMMAND", "VERSION")], "{\"cniVersion\":\"1.0.0\"}")
        .map_err(|error| wrong(error.to_string()))?;
    match answer.get("supportedVersions") {
        Some(_) => Ok(()),
        None => Err(wrong("it names no supportedVersions".to_owned())),
    }
}

/// Asks the plugin, as `loopback`, to set up a namespace that does not exist: one that answers as
/// loopback says so (code 3, unknown container), another misses its configuration.
fn answers_as_loopback(plugin: &Path) -> bool {
    let environment = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "probe"),
        ("CNI_NETNS", "/nonexistent/twill-probe"),
        ("CNI_IFNAME", "lo"),
        ("CNI_PATH", "/nonexistent"),
    ];
    let config = r#"{"cniVersion":"1.0.0","name":"probe","type":"loopback"}"#;
    call(plugin, &environment, config)
        .is_ok_and(|answer| answer.get("code").and_then(serde_json::Value::as_u64) == Some(3))
}

fn call(plugin: &Path, environment: &[(&str, &str)], stdin: &str) -> io::Result<serde_json::Value> {
    let mut child = Command::new(plugin)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(stdin.as_bytes())?;
    }
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        output.take(64 << 10).read_to_string(&mut text)?;
    }
    child.wait()?;
    serde_json::from_str(&text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::TempDir;

    /// A plugin that answers VERSION, and anything else with an error of this code.
    fn plugin(dir: &Path, code: u32) -> PathBuf {
        let path = dir.join("plugin");
        let script = format!(
            "#!/bin/sh\nread -r _\nif [ \"$CNI_COMMAND\" = VERSION ]; then\n\
             echo '{{\"supportedVersions\":[\"1.0.0\"]}}'\nelse echo '{{\"code\":{code}}}'; fi\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn installs_once_and_says_so() {
        let dir = TempDir::new();
        let from = Some(plugin(dir.path(), 3));
        let args = Args { bin_dir: dir.path().join("opt/bin"), from };
        let first = install(&args).unwrap();
        assert!(first[0].ends_with("twill-cni installed"), "{first:?}");
        assert!(first[1].ends_with("loopback installed, answered by twill-cni"), "{first:?}");
        let bin = &args.bin_dir;
        assert_eq!(fs::metadata(bin.join(PLUGIN)).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(bin.join(LOOPBACK)).unwrap(), Path::new(PLUGIN));
        let second = install(&args).unwrap();
        assert!(second[0].ends_with("is up to date"), "{second:?}");
        assert!(second[1].ends_with("was there already"), "{second:?}");
        assert_eq!(fs::read_dir(bin).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn loopback_is_left_out_where_the_plugin_does_not_answer_as_one() {
        let dir = TempDir::new();
        let args = Args { bin_dir: dir.path().join("bin"), from: Some(plugin(dir.path(), 7)) };
        let lines = install(&args).unwrap();
        assert!(lines[1].contains("left out"), "{lines:?}");
        assert!(!args.bin_dir.join(LOOPBACK).exists());
    }

    #[test]
    fn what_is_no_plugin_is_refused_before_anything_is_made() {
        let dir = TempDir::new();
        let bin_dir = dir.path().join("bin");
        let from = Some(dir.path().join("missing"));
        let refused = install(&Args { bin_dir: bin_dir.clone(), from }).unwrap_err().to_string();
        assert!(refused.contains("is not there"), "{refused}");
        let from = Some(PathBuf::from("/bin/true"));
        let refused = install(&Args { bin_dir: bin_dir.clone(), from }).unwrap_err().to_string();
        assert!(refused.contains("/bin/true does not answer as a CNI plugin"), "{refused}");
        assert!(!bin_dir.exists());
    }
}
