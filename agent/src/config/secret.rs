//! Passwords: from a file or the environment, read when the configuration is read, so that a
//! missing one is found before any session is touched.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use twill_bgp::Secret;

use super::Environment;
use super::file::read_bounded;
use super::read::Field;

/// The kernel's limit for a TCP MD5 key (TCP_MD5SIG_MAXKEYLEN).
const MAX_PASSWORD: usize = 80;

/// Reads `{file: PATH}` or `{env: NAME}`, and remembers the file so that its change is noticed.
pub(super) fn read(
    field: &Field<'_>,
    environment: &Environment<'_>,
    files: &mut Vec<PathBuf>,
) -> Option<Secret> {
    if field.scalar().is_some() {
        // The value is not repeated: it may be the password.
        field.wrong("a password is not written here: put it into a file and write {file: PATH}");
        return None;
    }
    let (file, variable) = field.section(|section| (section.get("file"), section.get("env")));
    let bytes = match (&file, &variable) {
        (Some(file), None) => {
            let path = file.text("the path of a file")?;
            let path = environment.directory.join(path);
            files.push(path.clone());
            from_file(file, &path)?
        }
        (None, Some(variable)) => {
            let name = variable.text("the name of an environment variable")?;
            match (environment.variable)(name) {
                Some(value) => value.into_bytes(),
                None => {
                    variable.wrong(format!("the environment has no variable `{name}`: set it"));
                    return None;
                }
            }
        }
        _ => {
            field.wrong("expected {file: PATH} or {env: NAME}, one of the two");
            return None;
        }
    };
    let place = file.as_ref().or(variable.as_ref()).unwrap_or(field);
    match bytes.len() {
        0 => place.wrong("the password is empty: remove the key for none"),
        1..=MAX_PASSWORD => return Some(Secret(bytes.into())),
        more => place.wrong(format!(
            "the password has {} bytes or more: TCP MD5 takes at most {MAX_PASSWORD}",
            more.min(MAX_PASSWORD + 1)
        )),
    }
    None
}

/// Without the line end that editors leave behind.
fn from_file(field: &Field<'_>, path: &Path) -> Option<Vec<u8>> {
    let shown = path.display();
    // More than the longest password and its line end, to see that there is more.
    let (mut bytes, metadata) = match read_bounded(path, MAX_PASSWORD + 3) {
        Ok(read) => read,
        Err(error) => {
            field.wrong(format!("the password file {shown} cannot be read: {error}"));
            return None;
        }
    };
    if metadata.mode() & 0o004 != 0 {
        field.doubt(format!("every user can read {shown}: chmod 600 {shown}"));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Some(bytes)
}
