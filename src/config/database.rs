//! `[database]`: where the metadata lies.

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use wharf_storage::metadata::postgres::{AddressError, Settings};

use super::units::Span;

/// What stands in the place of a password.
const HIDDEN: &str = "***";

/// Where the metadata lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// The address of a PostgreSQL database; empty: SQLite in the data folder.
    pub url: DatabaseUrl,
    /// Over how many connections PostgreSQL is read at once; one more writes.
    pub connections: usize,
    /// How long PostgreSQL works on one statement, or waits for a lock, before it gives up.
    pub statement_timeout: Span,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::default(),
            connections: 8,
            statement_timeout: Span::new(Duration::from_secs(30)),
        }
    }
}

impl Database {
    /// PostgreSQL as it is to be used, where it is.
    #[must_use]
    pub fn postgres(&self) -> Option<Result<Settings, AddressError>> {
        let url = self.url.0.as_str();
        let readers = NonZero::new(self.connections).unwrap_or(NonZero::<usize>::MIN);
        let limit = self.statement_timeout.duration();
        (!url.is_empty()).then(|| Settings::new(url, readers, limit))
    }
}

/// The address of a database. It holds a password, so it is shown without it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hidden(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&hidden(&self.0), formatter)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An address without its password, which may also stand among the parameters.
fn hidden(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // No address, so nobody knows what it is.
        return if url.is_empty() { "" } else { HIDDEN }.to_owned();
    };
    // A password may have been written with any character, also with those that belong escaped.
    let (who, place) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((who, place)) => match who.split_once(':') {
            None => (format!("{who}@"), place),
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), place),
        },
    };
    let Some((place, parameters)) = place.split_once('?') else {
        return format!("{scheme}://{who}{place}");
    };
    let shown = parameters.split('&').map(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        match name.to_lowercase().contains("password") {
            true => format!("{name}={HIDDEN}"),
            false => parameter.to_owned(),
        }
    });
    let shown: Vec<String> = shown.collect();
    format!("{scheme}://{who}{place}?{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, want) in [
            ("", ""),
            ("postgres://host/wharf", "postgres://host/wharf"),
            ("postgres://me@host/wharf", "postgres://me@host/wharf"),
            (
                "postgres://me:CANARY@host/wharf",
                "postgres://me:***@host/wharf",
            ),
            (
                "postgres://me:CAN@RY@host,other:1/w",
                "postgres://me:***@host,other:1/w",
            ),
            ("postgres://me:CAN?RY/@host/w", "postgres://me:***@host/w"),
            (
                "postgres://host/w?user=me&password=CANARY",
                "postgres://host/w?user=me&password=***",
            ),
            ("host=h password=CANARY", "***"),
        ] {
            let url = DatabaseUrl(url.to_owned());
            assert_eq!(url.to_string(), want);
            assert_eq!(format!("{url:?}"), format!("{want:?}"));
        }
    }
}
