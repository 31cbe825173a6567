//! The file and the variables, merged into one document and then understood key by key, so that
//! all that is wrong can be told at once.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize as _;
use toml::{Table, Value};

use super::error::{Error, Fault};
use super::{Config, suggestion};

/// What the variables begin with that set a key.
const PREFIX: &str = "WHARF__";

/// What the file and the variables say.
#[derive(Debug, Default)]
pub(super) struct Document {
    table: Table,
    /// Which variable a key came from.
    origins: BTreeMap<(String, String), String>,
    faults: Vec<Fault>,
}

impl Document {
    /// What a file says.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let read = |source: io::Error| Error::Read {
            path: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, path)
    }

    /// What the text of a file says.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let table = text.parse().map_err(|source| Error::Syntax {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            table,
            ..Self::default()
        })
    }

    /// Puts what the variables say over what the file says.
    pub(super) fn merge(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let defaults = defaults();
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let path = path.to_lowercase();
            let Some((section, key)) = path.split_once("__") else {
                self.faults.push(Fault::Variable(name));
                continue;
            };
            let default = defaults.get(section).and_then(|section| section.get(key));
            let value = read_value(text, default);
            let table = self.table.entry(section);
            let table = table.or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(table) = table {
                table.insert(key.to_owned(), value);
                self.origins
                    .insert((section.to_owned(), key.to_owned()), name);
            }
        }
    }

    /// Understands it as a whole.
    pub(super) fn interpret(mut self) -> Result<Config, Error> {
        for (section, value) in &self.table {
            match value {
                Value::Table(keys) => {
                    let mut found = self.faults_of_section(section, keys);
                    self.faults.append(&mut found);
                }
                _ => self.faults.push(unknown(section, None)),
            }
        }
        if !self.faults.is_empty() {
            return Err(Error::Invalid(self.faults));
        }
        Config::deserialize(self.table).map_err(|error| {
            let message = error.message().to_owned();
            Error::Invalid(vec![Fault::Whole(message)])
        })
    }

    fn faults_of_section(&self, section: &str, keys: &Table) -> Vec<Fault> {
        if let Err(Mistake::Unknown) = understand(section, Table::new()) {
            return vec![unknown(section, None)];
        }
        let fault = |(key, value): (&String, &Value)| {
            let mistake = understand(section, Table::from_iter([(key.clone(), value.clone())]));
            let origin = self.origins.get(&(section.to_owned(), key.clone()));
            match mistake {
                Ok(()) => None,
                Err(Mistake::Unknown) => Some(unknown(section, Some(key))),
                Err(Mistake::Value(message)) => Some(Fault::Value {
                    key: format!("{section}.{key}"),
                    message,
                    variable: origin.cloned(),
                }),
            }
        };
        keys.iter().filter_map(fault).collect()
    }
}

/// Why a section or a key isn't understood.
enum Mistake {
    Unknown,
    Value(String),
}

/// Tries a part of a document on its own: every key has a default, so any part is a whole.
fn understand(section: &str, keys: Table) -> Result<(), Mistake> {
    let part = Table::from_iter([(section.to_owned(), Value::Table(keys))]);
    match Config::deserialize(part) {
        Ok(_) => Ok(()),
        Err(error) if error.message().starts_with("unknown field") => Err(Mistake::Unknown),
        Err(error) => Err(Mistake::Value(error.message().to_owned())),
    }
}

fn unknown(section: &str, key: Option<&String>) -> Fault {
    let defaults = defaults();
    let path = |section: &str, key: &str| format!("{section}.{key}");
    let (written, known): (_, Vec<String>) = match key {
        None => (section.to_owned(), defaults.keys().cloned().collect()),
        Some(key) => {
            let keys = defaults.get(section).and_then(Value::as_table);
            let keys = keys.into_iter().flat_map(Table::keys);
            let known = keys.map(|key| path(section, key)).collect();
            (path(section, key), known)
        }
    };
    let suggestion = suggestion::closest(&written, &known);
    Fault::Unknown {
        key: written,
        suggestion,
        known,
    }
}

/// What a variable says: a TOML value of the type that the key has, where it reads as one, else a
/// text.
fn read_value(text: String, default: Option<&Value>) -> Value {
    let read = match default {
        None | Some(Value::String(_)) => None,
        Some(default) => {
            let value: Option<Value> = text.trim().parse().ok();
            value.filter(|value| value.same_type(default))
        }
    };
    read.unwrap_or(Value::String(text))
}

/// Every section with every key.
fn defaults() -> Table {
    Table::try_from(Config::default()).expect("a configuration has a TOML form")
}
