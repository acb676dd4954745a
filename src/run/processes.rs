//! Which process is whose, as far as the system tells.

/// Longest way from a process to its ancestor that is followed.
#[cfg(unix)]
const GENERATIONS: usize = 32;

/// Returns whether `process` is `ancestor` or comes from it.
pub(crate) fn comes_from(process: u32, ancestor: u32) -> bool {
    if process == ancestor {
        return true;
    }
    #[cfg(unix)]
    {
        let mut current = process;
        for _ in 0..GENERATIONS {
            match parent(current) {
                Some(next) if next == ancestor => return true,
                Some(next) if next > 1 => current = next,
                _ => return false,
            }
        }
    }
    false
}

/// Returns a process's parent.
#[cfg(target_os = "linux")]
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let after = stat.rsplit_once(") ")?.1;
    after.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the name of a process's program.
#[cfg(target_os = "linux")]
pub(crate) fn name(process: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Returns a process's parent.
#[cfg(all(unix, not(target_os = "linux")))]
fn parent(process: u32) -> Option<u32> {
    ask_ps("ppid=", process)?.parse().ok()
}

/// Returns the name of a process's program.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn name(process: u32) -> Option<String> {
    let path = ask_ps("comm=", process)?;
    Some(path.rsplit('/').next().unwrap_or(&path).to_owned())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn ask_ps(column: &str, process: u32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", column, "-p", &process.to_string()])
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn this_process_comes_from_its_parent_and_from_itself() {
        let own = std::process::id();
        assert!(comes_from(own, own));
        assert!(comes_from(own, std::os::unix::process::parent_id()));
        assert!(!comes_from(own, u32::MAX));
        assert!(name(own).is_some());
    }
}
