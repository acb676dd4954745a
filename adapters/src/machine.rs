//! What stands on a machine that setting assistants up depends on.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program may take to say its version; some unpack themselves first.
const VERSION_WITHIN: Duration = Duration::from_secs(20);
/// How often a program that was asked is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Most of a package's description that is read, in bytes.
const PACKAGE_BYTES: u64 = 1024 * 1024;
/// Most of an answer that is read, in bytes.
const ANSWER_BYTES: u64 = 4 * 1024;

/// One machine, or a made-up one in a test.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The home folder.
    pub home: PathBuf,
    /// This program, as assistants are to start it.
    pub program: PathBuf,
    /// The data directory, where it is not the usual one.
    pub data_dir: Option<PathBuf>,
    /// Folders in which programs are looked for.
    pub path: Vec<PathBuf>,
    /// The environment.
    pub vars: BTreeMap<String, String>,
}

impl Machine {
    /// Returns the machine of this process; `None` where there is no home folder.
    pub fn of_process(program: PathBuf, data_dir: Option<PathBuf>) -> Option<Self> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let vars = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        Some(Self {
            home,
            program,
            data_dir,
            path: std::env::split_paths(&path).collect(),
            vars: vars.collect(),
        })
    }

    /// Returns a variable of the environment that is set and not empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        let value = self.vars.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    /// Returns the folder that a variable names, else one below the home folder.
    pub fn folder(&self, variable: &str, below_home: &str) -> PathBuf {
        self.var(variable)
            .map_or_else(|| self.home.join(below_home), PathBuf::from)
    }

    /// Returns where a program is found on the path.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let name = Path::new(program).with_extension(std::env::consts::EXE_EXTENSION);
        let mut places = self.path.iter().map(|folder| folder.join(&name));
        places.find(|place| is_program(place))
    }

    /// Returns the arguments with which this program is to be started: these, and the data
    /// directory where it is not the usual one.
    pub fn args(&self, args: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        if let Some(dir) = &self.data_dir {
            all.extend(["--data-dir".into(), dir.to_string_lossy().into_owned()]);
        }
        all
    }

    /// Returns the same as one line for a shell.
    pub fn command_line(&self, args: &[&str]) -> String {
        let mut line = quoted(&self.program.to_string_lossy());
        for arg in self.args(args) {
            line.push(' ');
            line.push_str(&quoted(&arg));
        }
        line
    }

    /// Returns the version of the npm package of this name that a program belongs to, without
    /// running it: some programs write files in the home folder even when they are only asked for
    /// their version.
    pub fn package_version(&self, program: &Path, package: &str) -> Option<Version> {
        let program = program.canonicalize().ok()?;
        program.ancestors().skip(1).find_map(|folder| {
            let file = std::fs::File::open(folder.join("package.json")).ok()?;
            let mut text = String::new();
            file.take(PACKAGE_BYTES).read_to_string(&mut text).ok()?;
            let about: serde_json::Value = serde_json::from_str(&text).ok()?;
            let ours = about["name"] == package;
            Version::find_in(about["version"].as_str().filter(|_| ours)?)
        })
    }

    /// Asks a program for its version; nothing where it does not say one in time.
    pub fn version(&self, program: &Path) -> Option<Version> {
        let mut child = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let out = child.stdout.take()?;
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            // What was read until then counts.
            let _ = out.take(ANSWER_BYTES).read_to_string(&mut text);
            text
        });
        let end = Instant::now() + VERSION_WITHIN;
        while child.try_wait().ok()?.is_none() {
            if Instant::now() >= end {
                // It is not waited for longer.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            std::thread::sleep(LOOK);
        }
        Version::find_in(&reader.join().ok()?)
    }
}

/// Returns a word as a shell takes it for one word; as it is where that is so anyway.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if cfg!(windows) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns whether this is a file that can be run.
fn is_program(path: &Path) -> bool {
    let Ok(about) = std::fs::metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    about.is_file() && runs
}

/// A version of three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Returns the first version in a text such as `2.1.330 (Claude Code)`.
    pub fn find_in(text: &str) -> Option<Self> {
        let parts = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        parts.into_iter().find_map(|part| {
            let mut numbers = part.trim_matches('.').split('.').map(str::parse);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => {
                    Some(Self(major, minor, patch))
                }
                _ => None,
            }
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_version_is_found_wherever_it_stands() {
        for (text, version) in [
            ("2.1.330 (Claude Code)\n", Some(Version(2, 1, 330))),
            ("codex-cli 0.169.0", Some(Version(0, 169, 0))),
            ("aider 0.86.2.dev1", Some(Version(0, 86, 2))),
            ("v1.18.33.", Some(Version(1, 18, 33))),
            ("of 2026.09.10-fd3934a", Some(Version(2026, 9, 10))),
            ("1.2", None),
            ("", None),
            ("99999999999.1.1", None),
        ] {
            assert_eq!(Version::find_in(text), version, "{text}");
        }
        assert!(Version(2, 1, 330) > Version(2, 1, 224));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_line_keeps_each_word_one_word() {
        let mut machine = Machine {
            program: "/opt/my tools/ecorelay".into(),
            ..Machine::default()
        };
        assert_eq!(
            machine.command_line(&["hook", "x"]),
            "'/opt/my tools/ecorelay' hook x"
        );
        machine.program = "/usr/bin/ecorelay".into();
        machine.data_dir = Some("/it's".into());
        assert_eq!(machine.args(&["mcp"]), ["mcp", "--data-dir", "/it's"]);
        let line = machine.command_line(&["mcp"]);
        let said = Command::new("sh")
            .args(["-c", &format!("printf '%s|' {line}")])
            .output()
            .unwrap();
        assert_eq!(said.stdout, b"/usr/bin/ecorelay|mcp|--data-dir|/it's|");
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_found_on_the_path_and_asked() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("someone");
        std::fs::write(&file, "#!/bin/sh\necho someone 1.2.3\n").unwrap();
        let machine = Machine {
            path: vec!["/nowhere".into(), folder.path().to_owned()],
            ..Machine::default()
        };
        assert_eq!(machine.find("someone"), None);
        std::fs::set_permissions(&file, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(machine.find("someone").as_deref(), Some(&*file));
        assert_eq!(machine.version(&file), Some(Version(1, 2, 3)));
        assert_eq!(machine.version(Path::new("/nowhere/x")), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_version_of_a_package_is_read_where_its_program_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("node_modules/@some/cli");
        std::fs::create_dir_all(package.join("bundle")).unwrap();
        let about = r#"{"name": "@some/cli", "version": "0.61.0"}"#;
        std::fs::write(package.join("package.json"), about).unwrap();
        std::fs::write(package.join("bundle/cli.js"), "").unwrap();
        let link = folder.path().join("cli");
        std::os::unix::fs::symlink(package.join("bundle/cli.js"), &link).unwrap();
        let machine = Machine::default();
        let version = machine.package_version(&link, "@some/cli");
        assert_eq!(version, Some(Version(0, 61, 0)));
        assert_eq!(machine.package_version(&link, "@other/cli"), None);
        assert_eq!(machine.package_version(Path::new("/nowhere"), "x"), None);
    }
}
