//! The file and the variables, merged into one document and then understood as a whole.

use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;

/// What the variables begin with that set a key.
const PREFIX: &str = "WHARF__";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{} is not TOML", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        #[source]
        source: toml::de::Error,
    },
    /// A variable doesn't name a section and a key.
    #[error("the variable {0} does not read WHARF__SECTION__KEY")]
    Variable(String),
    /// A key is unknown, or its value isn't understood.
    #[error("{path}: {message}")]
    Key {
        /// The key's full path.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// The whole makes no sense.
    #[error("{}", .0.join("; "))]
    Faults(Vec<String>),
}

/// Reads a file.
pub(super) fn read_file(path: &Path) -> Result<Table, Error> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(Error::Read { path, source }),
    };
    text.parse()
        .map_err(|source| Error::Syntax { path, source })
}

/// Puts what the variables say over what the file says.
pub(super) fn merge_variables(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Error> {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = path.to_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return Err(Error::Variable(name));
        };
        let section = table
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(section) = section else {
            return Err(Error::Variable(name));
        };
        section.insert(key.to_owned(), read_value(text));
    }
    Ok(())
}

/// What a variable says: a number or a truth value where it reads as one, else a text.
fn read_value(text: String) -> Value {
    if let Ok(number) = text.parse() {
        return Value::Integer(number);
    }
    if let Ok(truth) = text.parse() {
        return Value::Boolean(truth);
    }
    Value::String(text)
}

/// Understands the merged document.
pub(super) fn interpret(table: Table) -> Result<Config, Error> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().message().to_owned();
        Error::Key { path, message }
    })
}
