//! Where passwords for other registries come from.
//!
//! Never from the command line itself, which others on the machine can read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A name came without a password, or a password without a name.
    #[error("WHARF_REGISTRY_USER and WHARF_REGISTRY_PASSWORD are set together or not at all")]
    Half,
    /// The file of docker's logins can't be read.
    #[error("failed to read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
}

/// A name and its password.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credentials({})", self.user)
    }
}

/// The part of docker's configuration that is read.
#[derive(Deserialize)]
struct Logins {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    auth: String,
}

impl Credentials {
    /// These.
    #[must_use]
    pub fn new(user: String, password: String) -> Self {
        let password = Zeroizing::new(password);
        Self { user, password }
    }

    /// Those for a registry: of the variables `WHARF_REGISTRY_USER` and `WHARF_REGISTRY_PASSWORD`, else
    /// what `docker login` or `podman login` wrote. `variable` looks up a variable.
    ///
    /// # Errors
    ///
    /// When one of the two variables is missing, or a file is there and can't be read.
    pub fn find(
        host: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, CredentialsError> {
        let user = variable("WHARF_REGISTRY_USER");
        let password = variable("WHARF_REGISTRY_PASSWORD");
        match (user, password) {
            (Some(user), Some(password)) => return Ok(Some(Self::new(user, password))),
            (None, None) => {}
            _ => return Err(CredentialsError::Half),
        }
        let folder = |name: &str| {
            variable(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let files = [
            folder("REGISTRY_AUTH_FILE"),
            folder("DOCKER_CONFIG").map(|folder| folder.join("config.json")),
            folder("HOME").map(|home| home.join(".docker/config.json")),
            folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        ];
        for path in files.into_iter().flatten() {
            if let Some(found) = in_file(&path, host)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// As a header says it.
    pub(super) fn basic(&self) -> Zeroizing<String> {
        let text = Zeroizing::new(format!("{}:{}", self.user, self.password.as_str()));
        Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(text.as_bytes())))
    }
}

fn in_file(path: &Path, host: &str) -> Result<Option<Credentials>, CredentialsError> {
    let failed = |source| CredentialsError::File {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => Zeroizing::new(text.map_err(failed)?),
    };
    let logins: Logins = serde_json::from_slice(&text)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let names_host = |key: &str| {
        let key = key
            .strip_prefix("https://")
            .or(key.strip_prefix("http://"))
            .unwrap_or(key);
        let key = key.split('/').next().unwrap_or_default();
        let is_hub = host == "docker.io" && key == "index.docker.io";
        key.eq_ignore_ascii_case(host) || is_hub
    };
    let found = logins
        .auths
        .iter()
        .find(|(key, login)| names_host(key) && !login.auth.is_empty());
    let Some((_, login)) = found else {
        return Ok(None);
    };
    let invalid = || {
        let message = format!("the login for {host} can not be read");
        failed(io::Error::new(io::ErrorKind::InvalidData, message))
    };
    let decoded = BASE64_STANDARD
        .decode(login.auth.trim())
        .map_err(|_| invalid())?;
    let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
    let (user, password) = decoded.split_once(':').ok_or_else(invalid)?;
    let password = password.trim_end_matches('\0');
    Ok(Some(Credentials::new(user.to_owned(), password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(found: Option<Credentials>) -> Option<String> {
        found.map(|found| found.basic().to_string())
    }

    #[test]
    fn the_login_of_the_host_is_found_and_no_other_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let auth = BASE64_STANDARD.encode("alice:se:cret");
        let text = format!(
            r#"{{"auths": {{"other.example": {{"auth": "eDp5"}}, "https://h.example:5000/v2/": {{"auth": "{auth}"}}}}, "credsStore": "x"}}"#
        );
        fs::write(folder.path().join("config.json"), text).expect("a file");
        let path = folder.path().to_string_lossy().into_owned();
        let variable = |name: &str| (name == "DOCKER_CONFIG").then(|| path.clone());
        let found = Credentials::find("h.example:5000", variable).expect("readable");
        assert_eq!(header(found), Some(format!("Basic {auth}")));
        for host in ["h.example", "example", "evil.example:5000"] {
            let found = Credentials::find(host, variable).expect("readable");
            assert_eq!(header(found), None, "{host}");
        }
    }

    #[test]
    fn variables_win_and_come_in_pairs() {
        let both = |name: &str| match name {
            "WHARF_REGISTRY_USER" => Some("bob".to_owned()),
            "WHARF_REGISTRY_PASSWORD" => Some("x".to_owned()),
            _ => None,
        };
        let found = Credentials::find("h", both).expect("both are there");
        assert_eq!(
            header(found),
            Some(format!("Basic {}", BASE64_STANDARD.encode("bob:x")))
        );
        let half = |name: &str| (name == "WHARF_REGISTRY_USER").then(|| "bob".to_owned());
        assert!(matches!(
            Credentials::find("h", half),
            Err(CredentialsError::Half)
        ));
    }

    #[test]
    fn no_password_is_printed() {
        let credentials = Credentials::new("bob".into(), "secret".into());
        assert_eq!(format!("{credentials:?}"), "Credentials(bob)");
    }
}
