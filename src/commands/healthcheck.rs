//! `wharf healthcheck`: whether a running server is ready, for the health check of a container.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::environment::variables;
use super::error::Error;
use crate::config::{Config, Flags};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a record of TLS begins with that says no.
const TLS_ALERT: u8 = 0x15;

/// How long a status line may be.
const LONGEST_LINE: u64 = 1024;

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The server to ask, http://HOST:PORT or https://HOST:PORT, instead of the one that the configuration describes
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    flags: Flags,
}

/// Asks `/readyz` of a server.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let address = match &arguments.url {
        Some(url) if url.starts_with("https://") => return ask_encrypted(resolve(url)?),
        Some(url) => resolve(url)?,
        None => {
            // What is wrong with the rest of the configuration is no matter here.
            let config = Config::read(&arguments.flags, variables())?;
            let address = reachable(config.server.listen);
            if config.tls.is_on() {
                return ask_encrypted(address);
            }
            address
        }
    };
    let answer = ask(address).map_err(|source| no_answer(address, source))?;
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(Error::NotReady { address, answer }),
    }
}

/// The same over TLS. The certificate is for the name that callers use, not for this address, and
/// the server is this machine's own, so it isn't looked at.
fn ask_encrypted(address: SocketAddr) -> Result<(), Error> {
    let failed = |error: reqwest::Error| no_answer(address, io::Error::other(error));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(failed)?;
        let answer = client.get(format!("https://{address}/readyz")).send().await;
        let status = answer.map_err(failed)?.status();
        match status.is_success() {
            true => Ok(()),
            false => Err(Error::NotReady {
                address,
                answer: status.to_string(),
            }),
        }
    })
}

fn no_answer(address: SocketAddr, source: io::Error) -> Error {
    Error::NoAnswer {
        host: address.to_string(),
        source,
    }
}

/// The status line of the answer. A client of HTTP would bring much more than this needs.
fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST_LINE)).read_until(b'\n', &mut line)?;
    if line.first() == Some(&TLS_ALERT) {
        let message = "it speaks TLS: give the configuration that it runs with, or --url https://…";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if !line.starts_with(b"HTTP/") {
        let message = "what listens there does not answer in HTTP";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn resolve(url: &str) -> Result<SocketAddr, Error> {
    let malformed = || Error::Url(url.to_owned());
    let host = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    let host = host.ok_or_else(malformed)?;
    let host = host.trim_end_matches('/');
    let failed = |source| Error::NoAnswer {
        host: host.to_owned(),
        source,
    };
    let (name, port) = host.rsplit_once(':').ok_or_else(malformed)?;
    if name.is_empty() || port.parse::<u16>().is_err() {
        return Err(malformed());
    }
    let mut addresses = host.to_socket_addrs().map_err(failed)?;
    let none = || failed(io::ErrorKind::NotFound.into());
    addresses.next().ok_or_else(none)
}

/// The address under which this machine reaches a listener on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        match listen {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port() {
        let address = resolve("http://127.0.0.1:5000/").expect("a host and a port");
        assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], 5000)));
        for url in [
            "127.0.0.1:5000",
            "ftp://127.0.0.1:1",
            "http://:1",
            "http://127.0.0.1",
        ] {
            assert!(matches!(resolve(url), Err(Error::Url(_))), "{url}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_reached_on_loopback() {
        for (listen, want) in [
            ("0.0.0.0:5000", "127.0.0.1:5000"),
            ("[::]:5000", "[::1]:5000"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), want);
        }
    }
}
