//! `--check`: whether a start would work, and what it would do.

use super::error::Failure;
use ecorelay_rendezvous::{Identity, IdentityError, Settings};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

pub(crate) fn run(settings: &Settings) -> Result<(), Failure> {
    let mut failed = 0;
    let mut tell = |what: &str, found: Result<String, String>| match found {
        Ok(found) => println!("ok      {what}: {found}"),
        Err(why) => {
            println!("FAILED  {what}: {why}");
            failed += 1;
        }
    };
    let path = settings.identity_file();
    let loaded = match Identity::load(&path) {
        Err(IdentityError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        loaded => Some(loaded),
    };
    let identity = match loaded {
        None => {
            tell(
                "identity",
                Ok(format!("a new one is made in {}", path.display())),
            );
            Identity::generate()
        }
        Some(Ok(identity)) => {
            tell(
                "identity",
                Ok(format!("{} in {}", identity.peer_id(), path.display())),
            );
            identity
        }
        Some(Err(error)) => {
            tell("identity", Err(error.to_string()));
            Identity::generate()
        }
    };
    let config = settings.config(identity)?;
    for address in &config.listen {
        let text = address.to_string();
        tell(
            "listen",
            socket(&text).map_or(Ok(()), try_port).map(|()| text),
        );
    }
    if config.external.is_empty() {
        tell(
            "external",
            Ok("not set: hubs are told the addresses of this machine".into()),
        );
    }
    for address in &config.external {
        tell("external", Ok(address.to_string()));
    }
    match config.metrics {
        Some(address) => tell("metrics", try_port(address).map(|()| address.to_string())),
        None => tell("metrics", Ok("off".into())),
    }
    let allowed = match &config.allow {
        Some(allow) => format!("{} on the list", allow.len()),
        None => "all".into(),
    };
    tell("meshes", Ok(allowed));
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "{failed} of these would keep the server from starting"
        )))
    }
}

/// Returns where `/ip4/…/tcp/…` is.
fn socket(address: &str) -> Option<SocketAddr> {
    let mut parts = address.split('/').skip(2);
    let (ip, _, port) = (parts.next()?, parts.next()?, parts.next()?);
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

fn try_port(address: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(format!(
            "{address} is taken; if this server runs already, that is how it should be"
        )),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(format!("{address}: ports below 1024 need a privilege"))
        }
        Err(error) => Err(format!("{address}: {error}")),
    }
}
