//! The list of hosts a connection string names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::super::{Error, Result};
use super::secret::Secret;

/// Socket directories that libpq is built with: Debian's, then upstream's.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// One place to try.
#[derive(Debug, Clone)]
pub(in crate::pg) struct Host {
    name: String,
    address: Option<IpAddr>,
    port: u16,
    passfile_name: String,
}

impl Host {
    /// A name, an address or a socket directory. Empty when only an address is given.
    pub(in crate::pg) fn name(&self) -> &str {
        &self.name
    }

    /// Where to connect instead of asking the resolver for the name.
    pub(in crate::pg) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(in crate::pg) fn port(&self) -> u16 {
        self.port
    }

    /// Is it a directory with a socket?
    pub(in crate::pg) fn is_socket(&self) -> bool {
        self.address.is_none() && self.name.starts_with(['/', '@'])
    }

    /// For messages: `example.org:5432` or `/var/run/postgresql:5432`.
    pub(in crate::pg) fn target(&self) -> String {
        format!("{}:{}", self.name_or_address(), self.port)
    }

    /// The name, or else the address.
    pub(in crate::pg) fn name_or_address(&self) -> String {
        self.address.filter(|_| self.name.is_empty()).map_or_else(|| self.name.clone(), |ip| ip.to_string())
    }

    /// The name under which a password file knows this host.
    pub(super) fn passfile_name(&self) -> &str {
        &self.passfile_name
    }
}

/// Matches the lists `host`, `hostaddr` and `port` up.
pub(super) fn from_settings(settings: &BTreeMap<&'static str, Secret>) -> Result<Vec<Host>> {
    let list = |keyword: &str| -> Vec<&str> {
        let value = settings.get(keyword).map(Secret::reveal).filter(|value| !value.is_empty());
        value.map_or_else(Vec::new, |value| value.split(',').collect())
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = if addresses.is_empty() { names.len().max(1) } else { addresses.len() };
    if !addresses.is_empty() && !names.is_empty() && names.len() != count {
        let (names, addresses) = (names.len(), addresses.len());
        return Err(Error::conninfo(format!("{names} host names do not match {addresses} host addresses")));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(Error::conninfo(format!("{} ports do not match {count} hosts", ports.len())));
    }
    let host = |at: usize| {
        let port = port(ports.get(at).or(ports.first()).copied().unwrap_or_default())?;
        let address = addresses.get(at).filter(|address| !address.is_empty());
        let address = address.map(|text| {
            text.parse().map_err(|_| Error::conninfo("a host address is not an IPv4 or IPv6 address"))
        });
        Ok(complete(names.get(at).copied().unwrap_or_default(), address.transpose()?, port))
    };
    (0..count).map(host).collect()
}

fn complete(name: &str, address: Option<IpAddr>, port: u16) -> Host {
    let socket_dir = default_socket_dir(port);
    let is_default = address.is_none() && name.is_empty();
    let name = if is_default { socket_dir } else { name };
    let passfile_name = match address {
        Some(address) if name.is_empty() => address.to_string(),
        _ if name == socket_dir => "localhost".to_owned(),
        _ => name.to_owned(),
    };
    Host { name: name.to_owned(), address, port, passfile_name }
}

/// The directory of those libpq may be built with in which a server listens.
fn default_socket_dir(port: u16) -> &'static str {
    let listens = |dir: &&str| Path::new(dir).join(format!(".s.PGSQL.{port}")).exists();
    let exists = |dir: &&str| Path::new(dir).is_dir();
    let dirs = || SOCKET_DIRS.iter().copied();
    dirs().find(listens).or_else(|| dirs().find(exists)).unwrap_or(SOCKET_DIRS[1])
}

fn port(text: &str) -> Result<u16> {
    match text.trim() {
        "" => Ok(5432),
        // The text is not repeated: in a URI it may be a part of a password.
        text => text
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| Error::conninfo("a port is not a number from 1 to 65535")),
    }
}
