//! Where the database is: `postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=…`.
//!
//! The parameters are those of libpq that the driver knows, and two more that are read here:
//!
//! | `sslmode` | meaning |
//! |---|---|
//! | `disable`, or none | plain |
//! | `require` | encrypted; whoever answers is believed, as libpq does it |
//! | `verify-full` | encrypted, and the certificate has to be good for the host's name |
//!
//! `sslrootcert` is the file of the authorities for `verify-full`; the system's own where there is
//! none.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::tls::{self, Tls};

/// What the database calls this program's sessions, where the address says nothing else.
const APPLICATION: &str = "wharf";

/// Without a byte for so long, the other side is asked whether it is still there.
const IDLE: Duration = Duration::from_secs(10);

/// How long bytes may be on their way before the connection counts as lost.
const UNHEARD: Duration = Duration::from_secs(10);

/// Why an address can't be used. No message has a part of the address, which holds a password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It begins with something else.
    #[error("the address begins with postgres:// or postgresql://")]
    Scheme,
    /// A parameter has a value that isn't known.
    #[error("sslmode is disable, require or verify-full")]
    SslMode,
    /// The certificates of `sslrootcert`, or the system's, can't be used.
    #[error("the authorities for the database can not be used")]
    Tls(#[from] tls::Error),
    /// The rest isn't understood.
    #[error("the address is not understood")]
    Malformed(#[source] tokio_postgres::Error),
}

/// An address that was understood.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

/// Reads an address. Reasons tell nothing of it, since it holds a password.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    // What names a file would be read.
    if text.contains("sslrootcert") || text.contains("sslmode=verify") {
        return;
    }
    let Err(error) = Address::parse(text) else {
        return;
    };
    let _ = error.to_string();
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let is_known = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !is_known {
            return Err(AddressError::Scheme);
        }
        let (base, parameters) = text.split_once('?').unwrap_or((text, ""));
        let (mut mode, mut authorities, mut rest) = ("disable", None, Vec::new());
        for parameter in parameters.split('&').filter(|text| !text.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => {
                    let path = percent_decode_str(value).decode_utf8_lossy();
                    authorities = Some(PathBuf::from(path.into_owned()));
                }
                _ => rest.push(parameter),
            }
        }
        let text = format!("{base}?{}", rest.join("&"));
        let mut config: Config = text.parse().map_err(AddressError::Malformed)?;
        let tls = match mode {
            "disable" => Tls::Off,
            "require" => Tls::unverified()?,
            "verify-full" => Tls::verified(authorities.as_deref())?,
            _ => return Err(AddressError::SslMode),
        };
        config.ssl_mode(match tls {
            Tls::Off => SslMode::Disable,
            Tls::On(_) => SslMode::Require,
        });
        if config.get_application_name().is_none() {
            config.application_name(APPLICATION);
        }
        // Of several hosts, the one that can be written to; after a failover that is another one.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.keepalives_idle(IDLE);
        config.tcp_user_timeout(UNHEARD);
        Ok(Self { config, tls })
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn what_libpq_knows_is_understood() {
        let address = Address::parse(
            "postgres://me:se%40cret@one,two:6432/wharf?application_name=quay&sslmode=require",
        );
        let address = address.expect("it is understood");
        let config = &address.config;
        assert_eq!(config.get_user(), Some("me"));
        assert_eq!(config.get_password(), Some(b"se@cret".as_slice()));
        assert_eq!(config.get_hosts().len(), 2);
        assert_eq!(config.get_ports(), [5432, 6432]);
        assert_eq!(config.get_application_name(), Some("quay"));
        assert!(matches!(address.tls, Tls::On(_)));
        let plain = Address::parse("postgresql://%2Frun%2Fpostgresql/wharf").expect("a socket");
        assert!(matches!(plain.config.get_hosts(), [Host::Unix(_)]));
        assert!(matches!(plain.tls, Tls::Off));
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_its_password() {
        for (text, want) in [
            ("mysql://u:CANARY@host/db", "the address begins with"),
            ("host=h password=CANARY", "the address begins with"),
            ("postgres://u:CANARY@host/db?sslmode=CANARY", "sslmode is"),
            ("postgres://u:CANARY@host/db?CANARY=1", "the address is not"),
            ("postgres://u:CANARY@host:port/db", "the address is not"),
            (
                "postgres://u:CANARY@host/db?sslmode=verify-full&sslrootcert=/nowhere.pem",
                "the authorities for",
            ),
        ] {
            let Err(error) = Address::parse(text) else {
                panic!("{text} was understood");
            };
            assert!(error.to_string().starts_with(want), "{error}");
            let mut source = std::error::Error::source(&error);
            let mut chain = error.to_string();
            while let Some(next) = source {
                chain += &next.to_string();
                source = next.source();
            }
            // The name of a parameter may be told, as the driver does.
            assert!(
                !chain.replace("option `CANARY`", "").contains("CANARY"),
                "{chain}"
            );
        }
    }
}
