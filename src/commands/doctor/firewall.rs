//! Firewalls: which one runs here, and the command that lets EcoRelay through. Looking needs no
//! rights, so that whether a rule exists cannot be seen.

use super::finding::{Finding, ok, warn};
use super::network::socket_of;
use crate::view::document::Doc;
use std::collections::BTreeSet;
use std::path::Path;

const CHECK: &str = "firewall";

/// A firewall that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
enum Firewall {
    Ufw,
    Firewalld,
    Nftables,
    Iptables,
}

/// Checks whether a firewall may be between this hub and others. `missing`: one of them is not
/// reached.
pub(super) fn check(mesh: Doc<'_>, missing: bool, program: &str) -> Option<Finding> {
    let ports = ports(mesh);
    if ports.is_empty() {
        return None;
    }
    if cfg!(target_os = "macos") {
        return Some(told(
            missing,
            "macOS asks once whether a program may take connections, and whether it may find devices on the local network.".to_owned(),
            format!(
                "System Settings > Network > Firewall > Options: allow ecorelay; Privacy & Security > Local Network: allow your terminal. Or: sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add {program} --unblockapp {program}"
            ),
        ));
    }
    if cfg!(windows) {
        return Some(told(
            missing,
            "Windows Defender Firewall lets a program take connections only where it was allowed."
                .to_owned(),
            format!(
                "As administrator: netsh advfirewall firewall add rule name=\"EcoRelay\" dir=in action=allow program=\"{program}\" profile=private"
            ),
        ));
    }
    let found = running(Path::new("/"));
    if found.is_empty() && is_wsl(Path::new("/")) {
        return Some(told(
            missing,
            "This is WSL: by default other machines reach neither its ports nor its multicast.".to_owned(),
            "In %UserProfile%\\.wslconfig: [wsl2] networkingMode=mirrored; then: wsl --shutdown. Or use a rendezvous server.".to_owned(),
        ));
    }
    let found = found.first()?;
    Some(told(
        missing,
        format!("{} runs on this machine.", name(*found)),
        format!(
            "If other machines do not reach this one: {}",
            command(*found, &ports)
        ),
    ))
}

fn told(missing: bool, message: String, remedy: String) -> Finding {
    match missing {
        true => warn(CHECK, message, remedy),
        false => ok(CHECK, format!("{message} {remedy}")),
    }
}

/// Returns the TCP ports of the hub: those of the mesh, and of pairing.
fn ports(mesh: Doc<'_>) -> BTreeSet<u16> {
    let listens = mesh.list("addresses").into_iter();
    let listens = listens.filter_map(|address| Some(socket_of(address.0.as_str()?)?.1));
    let pairing = mesh.list("pairing_addresses").into_iter();
    let pairing = pairing.filter_map(|address| {
        let address = address.0.as_str()?;
        address.rsplit_once(':')?.1.parse().ok()
    });
    listens.chain(pairing).collect()
}

/// Returns the firewalls that run, as far as files that everybody can read tell.
fn running(root: &Path) -> Vec<Firewall> {
    let there = |path: &str| root.join(path).exists();
    let says = |path: &str, word: &str| {
        let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        text.lines().any(|line| line.trim() == word)
    };
    let mut found = Vec::new();
    if says("etc/ufw/ufw.conf", "ENABLED=yes") {
        found.push(Firewall::Ufw);
    }
    if there("run/firewalld.pid") || there("run/firewalld") {
        found.push(Firewall::Firewalld);
    }
    let wanted = |unit: &str| {
        ["sysinit.target.wants", "multi-user.target.wants"]
            .iter()
            .any(|target| there(&format!("etc/systemd/system/{target}/{unit}")))
    };
    if wanted("nftables.service") {
        found.push(Firewall::Nftables);
    }
    if wanted("netfilter-persistent.service") || wanted("iptables.service") {
        found.push(Firewall::Iptables);
    }
    found
}

fn is_wsl(root: &Path) -> bool {
    let version = std::fs::read_to_string(root.join("proc/version")).unwrap_or_default();
    version.to_lowercase().contains("microsoft")
}

fn name(firewall: Firewall) -> &'static str {
    match firewall {
        Firewall::Ufw => "The firewall ufw",
        Firewall::Firewalld => "The firewall firewalld",
        Firewall::Nftables => "A firewall of nftables",
        Firewall::Iptables => "A firewall of iptables",
    }
}

/// Returns the command that lets the ports, and multicast DNS, through.
fn command(firewall: Firewall, ports: &BTreeSet<u16>) -> String {
    let each = |format: &dyn Fn(&u16) -> String, between: &str| {
        ports.iter().map(format).collect::<Vec<_>>().join(between)
    };
    let list = each(&u16::to_string, ",");
    match firewall {
        Firewall::Ufw => format!(
            "{} && sudo ufw allow 5353/udp",
            each(&|port| format!("sudo ufw allow {port}/tcp"), " && ")
        ),
        Firewall::Firewalld => format!(
            "sudo firewall-cmd --permanent {} --add-service=mdns && sudo firewall-cmd --reload",
            each(&|port| format!("--add-port={port}/tcp"), " ")
        ),
        Firewall::Nftables => format!(
            "accept TCP {list} and UDP 5353 in the input chain of /etc/nftables.conf, such as: tcp dport {{ {list} }} accept; udp dport 5353 accept; then: sudo systemctl reload nftables"
        ),
        Firewall::Iptables => format!(
            "sudo iptables -I INPUT -p tcp -m multiport --dports {list} -j ACCEPT && sudo iptables -I INPUT -p udp --dport 5353 -j ACCEPT"
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_command_names_every_port() {
        let status = json!({"addresses": ["/ip4/10.0.0.1/tcp/20001", "/ip6/fd00::1/tcp/20001"],
            "pairing_addresses": ["10.0.0.1:19001", "[fd00::1]:19001"]});
        let ports = ports(Doc(&status));
        assert_eq!(ports, BTreeSet::from([19_001, 20_001]));
        assert_eq!(
            command(Firewall::Ufw, &ports),
            "sudo ufw allow 19001/tcp && sudo ufw allow 20001/tcp && sudo ufw allow 5353/udp"
        );
        assert_eq!(
            command(Firewall::Firewalld, &ports),
            "sudo firewall-cmd --permanent --add-port=19001/tcp --add-port=20001/tcp --add-service=mdns && sudo firewall-cmd --reload"
        );
        for firewall in [Firewall::Nftables, Firewall::Iptables] {
            let command = command(firewall, &ports);
            assert!(
                command.contains("19001,20001") && command.contains("5353"),
                "{command}"
            );
        }
        assert!(check(Doc(&json!({})), true, "p").is_none());
    }

    #[test]
    fn a_firewall_is_seen_by_its_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(running(root.path()), []);
        write("etc/ufw/ufw.conf", "# x\nENABLED=no\n");
        assert_eq!(running(root.path()), []);
        write("etc/ufw/ufw.conf", "# x\nENABLED=yes\n");
        write("run/firewalld.pid", "1");
        write(
            "etc/systemd/system/sysinit.target.wants/nftables.service",
            "",
        );
        assert_eq!(
            running(root.path()),
            [Firewall::Ufw, Firewall::Firewalld, Firewall::Nftables]
        );
        write("proc/version", "Linux version 6 (Microsoft@Microsoft.com)");
        assert!(is_wsl(root.path()));
    }
}
