//! Who acts, and from where.

use crate::error::CliError;
use ecorelay_protocol::Name;
use std::path::Path;

/// Longest `.git` file or `HEAD` read, in bytes.
const HEAD_BYTES: u64 = 4_096;

/// Returns the acting name: `asked` (`--as`), else `RELAY_PEER_ID`, else a name made from the
/// user name.
pub(crate) fn acting_name(asked: Option<&str>) -> Result<Name, CliError> {
    let set = |key: &str| {
        std::env::var(key)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    if let Some(name) = asked {
        return Name::parse(name, "The name after --as")
            .map_err(|refusal| CliError::usage(refusal.message));
    }
    if let Some(name) = set("RELAY_PEER_ID") {
        return Name::parse(&name, "The name in RELAY_PEER_ID").map_err(|refusal| {
            CliError::usage(refusal.message).hint("Set it right, or use `--as NAME`.")
        });
    }
    let user = ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(set)
        .or_else(|| {
            let home = std::env::home_dir()?;
            Some(home.file_name()?.to_string_lossy().into_owned())
        });
    Ok(Name::slug(user.as_deref().unwrap_or_default(), "terminal").parse()?)
}

/// Returns this program as it is written in a command line: its full path, quoted where a shell
/// would take it apart.
pub(crate) fn program() -> String {
    let path = std::env::current_exe().map_or_else(
        |_| "ecorelay".to_owned(),
        |path| path.to_string_lossy().into_owned(),
    );
    let plain = |c: char| c.is_alphanumeric() || "/\\:._-+@".contains(c);
    if path.chars().all(plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// Where the person is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The working directory.
    pub(crate) cwd: String,
    /// The branch checked out there; empty outside a repository.
    pub(crate) git_branch: String,
}

impl Place {
    /// Returns the place of this process; empty texts where it cannot be found out.
    pub(crate) fn here() -> Self {
        let Ok(cwd) = std::env::current_dir() else {
            return Self::default();
        };
        Self {
            git_branch: git_branch(&cwd).unwrap_or_default(),
            cwd: cwd.to_string_lossy().into_owned(),
        }
    }
}

/// Returns the branch checked out in the repository that holds `folder`.
fn git_branch(folder: &Path) -> Option<String> {
    let git = folder
        .ancestors()
        .map(|dir| dir.join(".git"))
        .find(|git| git.exists())?;
    let head = if git.is_dir() {
        git.join("HEAD")
    } else {
        // A worktree: a file that names the real folder.
        let pointer = read_short(&git)?;
        let target = pointer.strip_prefix("gitdir:")?.trim();
        git.parent()?.join(target).join("HEAD")
    };
    Some(
        read_short(&head)?
            .strip_prefix("ref: refs/heads/")?
            .trim()
            .to_owned(),
    )
}

fn read_short(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .ok()?
        .take(HEAD_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_branch_is_found_from_a_folder_below_and_in_a_worktree() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("repo/.git/HEAD", "ref: refs/heads/feat/x\n");
        write("repo/a/b/file", "");
        write("tree/.git", "gitdir: ../repo/.git/worktrees/tree\n");
        write("repo/.git/worktrees/tree/HEAD", "ref: refs/heads/side\n");
        let branch = |path: &str| git_branch(&root.path().join(path));
        assert_eq!(branch("repo/a/b").as_deref(), Some("feat/x"));
        assert_eq!(branch("tree").as_deref(), Some("side"));
        write("repo/.git/HEAD", "0123456789abcdef\n");
        assert_eq!(branch("repo"), None);
    }

    #[test]
    fn a_wrong_name_is_wrong_usage() {
        let error = acting_name(Some("a b")).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Usage);
        assert!(error.message.contains("--as"), "{}", error.message);
    }
}
