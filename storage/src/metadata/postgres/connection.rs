//! A connection with its settings, and what can be said over it.

use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

use super::Settings;
use super::failure::Failure;
use super::tls::Tls;
use super::values;
use crate::metadata::transaction::{Row, Value};

/// How much longer than the database itself a connection is waited for, before it counts as lost.
const SLACK: Duration = Duration::from_secs(5);

/// How long making a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// A connection. It belongs to a thread, which it blocks while it waits for answers.
pub(super) struct Connection {
    runtime: Rc<Runtime>,
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// How long an answer is waited for.
    pub(super) patience: Duration,
    /// Whether a transaction that only read is done and has not been ended yet.
    pub(super) is_left_open: bool,
}

impl Connection {
    /// Makes a connection, and sets it up.
    pub(super) fn open(runtime: &Rc<Runtime>, settings: &Settings) -> Result<Self, Failure> {
        // The timer wants to be made where the runtime is.
        let connected = async { tokio::time::timeout(CONNECT, connect(settings)).await };
        let client = runtime
            .block_on(connected)
            .unwrap_or_else(|_| Err(Failure::silent()))?;
        let mut connection = Self {
            runtime: Rc::clone(runtime),
            client,
            statements: HashMap::new(),
            patience: settings.statement_timeout + SLACK,
            is_left_open: false,
        };
        connection.say(&settings.session())?;
        Ok(connection)
    }

    /// Says something that has no values and whose answer doesn't matter, but for a failure.
    pub(super) fn say(&mut self, sql: &str) -> Result<(), Failure> {
        self.wait(self.client.batch_execute(sql))
    }

    /// What is said without values, row by row, each as its first column.
    pub(super) fn ask(&mut self, sql: &str) -> Result<Vec<String>, Failure> {
        let answer = self.wait(self.client.simple_query(sql))?;
        let text = |message: &tokio_postgres::SimpleQueryMessage| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(ToOwned::to_owned),
            _ => None,
        };
        Ok(answer.iter().filter_map(text).collect())
    }

    /// Runs a statement, and tells how many rows it changed.
    pub(super) fn execute(
        &mut self,
        opening: &mut Option<&'static str>,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, Failure> {
        let statement = self.prepared(opening, sql)?;
        let values = parameters(values);
        self.behind(opening, self.client.execute(&statement, &values))
    }

    /// Runs a statement, and gives its rows.
    pub(super) fn query(
        &mut self,
        opening: &mut Option<&'static str>,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let statement = self.prepared(opening, sql)?;
        let values = parameters(values);
        let rows = self.behind(opening, self.client.query(&statement, &values))?;
        let rows = rows.iter().map(values::own);
        rows.collect::<Result<_, _>>().map_err(Failure::corrupt)
    }

    fn prepared(
        &mut self,
        opening: &mut Option<&'static str>,
        sql: &'static str,
    ) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        // A text that can't be prepared breaks the savepoint that is open, which is that of the job
        // before this one until the opening was sent.
        if let Some(opening) = opening.take() {
            self.say(opening).map_err(Failure::of_opening)?;
        }
        let statement = self.wait(self.client.prepare(sql))?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// Sends what opens a transaction and a statement in one go, and waits for both.
    fn behind<T>(
        &self,
        opening: &mut Option<&'static str>,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let Some(opening) = opening.take() else {
            return self.wait(statement);
        };
        // What is polled first is sent first, and the database works in that order.
        let both = futures_util::future::join(self.client.batch_execute(opening), statement);
        let (opened, answer) = self.wait(async { Ok(both.await) })?;
        opened.map_err(|error| Failure::from(error).of_opening())?;
        Ok(answer?)
    }

    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let answer = async { tokio::time::timeout(self.patience, answer).await };
        match self.runtime.block_on(answer) {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::silent()),
        }
    }
}

fn parameters<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn tokio_postgres::types::ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

async fn connect(settings: &Settings) -> Result<Client, Failure> {
    let config = &settings.address.config;
    match &settings.address.tls {
        Tls::Off => {
            let (client, connection) = config.connect(NoTls).await?;
            drive(connection);
            Ok(client)
        }
        Tls::On(tls) => {
            let (client, connection) = config.connect(tls.clone()).await?;
            drive(connection);
            Ok(client)
        }
    }
}

/// Carries bytes whenever the thread waits for an answer, until the client is dropped. How a
/// connection ended is told to whoever asks next over it.
fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the database has ended");
        }
    });
}
