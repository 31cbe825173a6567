//! Documents of one kind: all of them in memory, each change durable before it is acknowledged.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Error, Store};

/// Documents by name.
///
/// Memory changes and queues its write under one lock, so the database never goes back behind it.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    kind: &'static str,
    store: Store,
    items: Mutex<BTreeMap<String, T>>,
}

impl<T: Clone + Serialize + DeserializeOwned> Shelf<T> {
    /// All that was kept of a kind.
    pub(crate) async fn open(store: &Store, kind: &'static str) -> Result<Self, Error> {
        let rows = store.read(move |connection| all(connection, kind)).await?;
        let read = |(name, body): (String, String)| Ok((name, serde_json::from_str(&body)?));
        let items: Result<_, serde_json::Error> = rows.into_iter().map(read).collect();
        Ok(Self {
            kind,
            store: store.clone(),
            items: Mutex::new(items?),
        })
    }

    /// A document.
    pub(crate) fn get(&self, name: &str) -> Option<T> {
        self.items().get(name).cloned()
    }

    /// All documents, by name.
    pub(crate) fn list(&self) -> Vec<T> {
        self.items().values().cloned().collect()
    }

    /// Those that are wanted.
    pub(crate) fn filtered(&self, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let items = self.items();
        items
            .values()
            .filter(|item| is_wanted(item))
            .cloned()
            .collect()
    }

    /// Keeps a document.
    pub(crate) async fn put(&self, name: &str, item: T) -> Result<(), Error> {
        let written = {
            let mut items = self.items();
            let written = self.write(name, &item)?;
            items.insert(name.to_owned(), item);
            written
        };
        written.await
    }

    /// Changes a document, where it is there, and gives what it has become.
    pub(crate) async fn update(
        &self,
        name: &str,
        change: impl FnOnce(&mut T),
    ) -> Result<Option<T>, Error> {
        let (written, changed) = {
            let mut items = self.items();
            let Some(item) = items.get_mut(name) else {
                return Ok(None);
            };
            change(item);
            (self.write(name, item)?, item.clone())
        };
        written.await?;
        Ok(Some(changed))
    }

    /// Changes a document, where it is there, and doesn't wait until that is durable: for what can
    /// be told from elsewhere after a crash.
    pub(crate) fn note(&self, name: &str, change: impl FnOnce(&mut T)) -> Result<(), Error> {
        let mut items = self.items();
        if let Some(item) = items.get_mut(name) {
            change(item);
            // It is queued already; only the answer is let go.
            drop(self.write(name, item)?);
        }
        Ok(())
    }

    /// Removes a document, and gives what it was.
    pub(crate) async fn remove(&self, name: &str) -> Result<Option<T>, Error> {
        let (written, removed) = {
            let mut items = self.items();
            let removed = items.remove(name);
            let (kind, name) = (self.kind, name.to_owned());
            let written = self.store.write(move |connection| {
                let sql = "DELETE FROM documents WHERE kind = ?1 AND name = ?2";
                connection.prepare_cached(sql)?.execute(params![kind, name])
            });
            (written, removed)
        };
        written.await?;
        Ok(removed)
    }

    fn write(
        &self,
        name: &str,
        item: &T,
    ) -> Result<impl Future<Output = Result<(), Error>> + use<T>, Error> {
        let (kind, name, body) = (self.kind, name.to_owned(), serde_json::to_string(item)?);
        Ok(self.store.write(move |connection| {
            let sql = "INSERT INTO documents (kind, name, body) VALUES (?1, ?2, ?3)
                       ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body";
            let mut statement = connection.prepare_cached(sql)?;
            statement.execute(params![kind, name, body]).map(drop)
        }))
    }

    fn items(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, T>> {
        self.items.lock().expect("no holder panics")
    }
}

fn all(connection: &Connection, kind: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare("SELECT name, body FROM documents WHERE kind = ?1")?;
    let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
