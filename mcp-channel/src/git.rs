//! The branch a directory is on, read from git's own files: no git process per session.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Most of a file of git's that is read, in bytes.
const FILE_BYTES: u64 = 4_096;
/// Parents looked at for a `.git`.
const DEPTH: usize = 64;

/// Returns the branch checked out at `dir`, or the first digits of the commit where none is.
pub(crate) fn branch(dir: &Path) -> Option<String> {
    let head = read(&git_dir(dir)?.join("HEAD"))?;
    match head.strip_prefix("ref:") {
        Some(reference) => {
            let reference = reference.trim();
            Some(
                reference
                    .strip_prefix("refs/heads/")
                    .unwrap_or(reference)
                    .to_owned(),
            )
        }
        None => {
            let commit = head.trim();
            let is_hash = commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            is_hash.then(|| commit[..12].to_owned())
        }
    }
}

/// Returns the folder with HEAD: `.git` itself, or where a worktree's `.git` file points.
fn git_dir(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().take(DEPTH).find_map(|parent| {
        let dot_git = parent.join(".git");
        if dot_git.is_dir() {
            return Some(dot_git);
        }
        let text = read(&dot_git)?;
        let target = text.strip_prefix("gitdir:")?.trim();
        // An absolute target replaces the parent.
        Some(parent.join(target))
    })
}

fn read(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::fs;

    #[test]
    fn the_branch_is_found_from_a_folder_below() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/HEAD"), "ref: refs/heads/feature/x\n").unwrap();
        assert_eq!(branch(&below).as_deref(), Some("feature/x"));
    }

    #[test]
    fn a_worktree_and_a_detached_head_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let (main, tree) = (
            dir.path().join("main/.git/worktrees/t"),
            dir.path().join("t"),
        );
        fs::create_dir_all(&main).unwrap();
        fs::create_dir(&tree).unwrap();
        fs::write(main.join("HEAD"), format!("{}\n", "ab12".repeat(10))).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", main.display())).unwrap();
        assert_eq!(branch(&tree).as_deref(), Some("ab12ab12ab12"));
        fs::write(tree.join(".git"), "gitdir: ../main/.git/worktrees/t\n").unwrap();
        assert_eq!(branch(&tree).as_deref(), Some("ab12ab12ab12"));
    }

    #[test]
    fn what_is_no_repository_has_no_branch() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".git"), "nonsense").unwrap();
        assert_eq!(branch(dir.path()), None);
        fs::remove_file(dir.path().join(".git")).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/HEAD"), "é".repeat(9_000)).unwrap();
        assert_eq!(branch(dir.path()), None);
    }
}
