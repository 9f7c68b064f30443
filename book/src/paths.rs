//! Paths within the repository, as text with `/` between the parts.

/// `target` as seen from the folder of the file `from`; `None` where it leaves the repository.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// How the file `from` names the file `to`.
pub(crate) fn relative(from: &str, to: &str) -> String {
    let from: Vec<&str> = from.split('/').collect();
    let to: Vec<&str> = to.split('/').collect();
    let folders = from.len() - 1;
    let common = (0..folders.min(to.len() - 1)).take_while(|at| from[*at] == to[*at]).count();
    let up = "../".repeat(folders - common);
    up + &to[common..].join("/")
}

#[test]
fn paths_are_walked() {
    assert_eq!(resolve("docs/guide/a.md", "../../README.md").as_deref(), Some("README.md"));
    assert_eq!(resolve("docs/guide/a.md", "b.md").as_deref(), Some("docs/guide/b.md"));
    assert_eq!(resolve("README.md", "docs/").as_deref(), Some("docs"));
    assert_eq!(resolve("README.md", "../elsewhere"), None);
    assert_eq!(relative("guide/a.md", "guide/b.md"), "b.md");
    assert_eq!(relative("guide/a.md", "project/readme.md"), "../project/readme.md");
    assert_eq!(relative("a.md", "files/x/y.md"), "files/x/y.md");
    assert_eq!(relative("x/y/a.md", "b.md"), "../../b.md");
}
