//! Amazon ECR's API, asked with the real `aws` and boto3.
//!
//! | module | what it asks |
//! |---|---|
//! | `repositories` | repositories, settings, tags, policies |
//! | `images` | images and layers, through both doors |
//! | `lifecycle` | policies, previews, runs, leases |
//! | `settings` | what is kept and returned |
//! | `answers` | what is answered to requests that no client makes |
//! | `signatures` | who is let in, and what is refused |
//! | `every` | every operation once, counted by the server, by `every.py` |
//! | `boto` | boto3 with its paginators and waiters, by `boto.py` |

mod answers;
mod boto;
mod every;
mod images;
mod lifecycle;
mod repositories;
mod settings;
mod signatures;

use serde_json::Value;

use crate::support::{Command, Registry};

/// A registry with an account of AWS: an administrator with a key.
pub(crate) struct Account {
    pub(crate) registry: Registry,
    key: (String, String),
}

impl Account {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        let registry = Registry::private_with(variables);
        let key = key(&registry, "user/admin");
        Self { registry, key }
    }

    /// `aws ecr …` as the administrator.
    pub(crate) fn command<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        aws(&self.registry, &self.key, words)
    }

    /// A script in the Python of the AWS command line and boto3, as the administrator.
    pub(crate) fn python(&self, script: &str) -> Command {
        Command::tool("python-aws")
            .env("AWS_ACCESS_KEY_ID", &self.key.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.key.1)
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .args([script, self.registry.base()])
    }

    /// Its answer.
    pub(crate) fn ask<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Value {
        let text = self.command(words).succeeds();
        match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")),
        }
    }

    /// The name of the error that it fails with.
    pub(crate) fn refusal<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> String {
        let said = self.command(words).fails();
        let name = said.split_once("An error occurred (").map(|(_, rest)| rest);
        let name = name.and_then(|rest| rest.split(')').next());
        name.unwrap_or_else(|| panic!("no error in {said}"))
            .to_owned()
    }
}

/// Makes an AWS-style key for somebody, and waits until the server knows it.
pub(crate) fn key(registry: &Registry, owner: &str) -> (String, String) {
    key_by(registry, &["key", "add", owner])
}

/// The same with a command of one's own.
pub(crate) fn key_by(registry: &Registry, words: &[&str]) -> (String, String) {
    let told = registry.administer(words.iter().copied()).succeeds();
    let behind = |word: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(word));
        line.unwrap_or_else(|| panic!("no {word} in {told}"))
            .to_owned()
    };
    let key = (
        behind("AWS_ACCESS_KEY_ID="),
        behind("AWS_SECRET_ACCESS_KEY="),
    );
    crate::support::wait::until("the key", std::time::Duration::from_secs(10), || {
        let asked = aws(registry, &key, ["describe-registry"]).run();
        let is_unknown = asked.stderr.contains("UnrecognizedClientException");
        (!is_unknown).then_some(())
    });
    key
}

/// `aws ecr …` with a key.
pub(crate) fn aws<'a>(
    registry: &Registry,
    key: &(String, String),
    words: impl IntoIterator<Item = &'a str>,
) -> Command {
    Command::tool("aws")
        .env("AWS_ACCESS_KEY_ID", &key.0)
        .env("AWS_SECRET_ACCESS_KEY", &key.1)
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_PAGER", "")
        .args(["--output", "json", "--endpoint-url", registry.base(), "ecr"])
        .args(words)
}
