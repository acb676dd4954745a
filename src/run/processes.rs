//! What a process is called, as far as the system tells.

/// Returns the name of a process's program.
#[cfg(target_os = "linux")]
pub(crate) fn name(process: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Returns the name of a process's program.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn name(process: u32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", "comm=", "-p", &process.to_string()])
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let name = path.rsplit('/').next().unwrap_or(&path);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_name() {
        assert!(name(std::process::id()).is_some());
    }
}
