//! The face of a database that the methods of the metadata are written against.

use std::str::FromStr;

use super::error::Error;
use crate::clock::Timestamp;

/// A value that is bound to a statement.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A number, a time, a size.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// No value.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// An open transaction.
///
/// Statements are static texts with `$1`, `$2`, … for their values, so no value is ever part of a
/// text.
pub trait Transaction {
    /// Runs a statement, and tells how many rows it changed.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64, Error>;

    /// Runs a statement, and gives its rows.
    ///
    /// # Errors
    ///
    /// When the database fails.
    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, Error>;
}

impl dyn Transaction + '_ {
    /// Runs a statement that gives one row at most.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn query_one(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, values)?.pop())
    }
}

/// A row of an answer. Its columns are taken out from the first to the last.
#[derive(Debug)]
pub struct Row {
    columns: std::vec::IntoIter<Column>,
}

impl Row {
    /// A row of these columns.
    #[must_use]
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            columns: columns.into_iter(),
        }
    }

    /// The next column, a number.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn integer(&mut self, name: &'static str) -> Result<i64, Error> {
        match self.columns.next() {
            Some(Column::Integer(number)) => Ok(number),
            other => Err(Error::corrupt(name, format_args!("{other:?}"))),
        }
    }

    /// The next column, a size, which is never negative.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn size(&mut self, name: &'static str) -> Result<u64, Error> {
        let number = self.integer(name)?;
        u64::try_from(number).map_err(|_| Error::corrupt(name, number))
    }

    /// The next column, a moment.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn time(&mut self, name: &'static str) -> Result<Timestamp, Error> {
        Ok(Timestamp::from_micros(self.integer(name)?))
    }

    /// The next column, a moment or nothing.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn optional_time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Error> {
        match self.columns.next() {
            Some(Column::Integer(number)) => Ok(Some(Timestamp::from_micros(number))),
            Some(Column::Null) => Ok(None),
            other => Err(Error::corrupt(name, format_args!("{other:?}"))),
        }
    }

    /// The next column, a text or nothing.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        match self.columns.next() {
            Some(Column::Text(text)) => Ok(Some(text)),
            Some(Column::Null) => Ok(None),
            other => Err(Error::corrupt(name, format_args!("{other:?}"))),
        }
    }

    /// The next column, a text.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn text(&mut self, name: &'static str) -> Result<String, Error> {
        self.optional_text(name)?
            .ok_or_else(|| Error::corrupt(name, "nothing"))
    }

    /// The next column, a text that was checked when it was written.
    ///
    /// # Errors
    ///
    /// When it doesn't parse.
    pub fn parsed<T: FromStr>(&mut self, name: &'static str) -> Result<T, Error> {
        let text = self.text(name)?;
        text.parse().map_err(|_| Error::corrupt(name, text))
    }

    /// The next column, bytes or nothing.
    ///
    /// # Errors
    ///
    /// When it is neither.
    pub fn optional_bytes(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, Error> {
        match self.columns.next() {
            Some(Column::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Column::Null) => Ok(None),
            other => Err(Error::corrupt(name, format_args!("{other:?}"))),
        }
    }

    /// The next column, bytes.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, Error> {
        match self.columns.next() {
            Some(Column::Bytes(bytes)) => Ok(bytes),
            other => Err(Error::corrupt(name, format_args!("{other:?}"))),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Integer)
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(time: Option<Timestamp>) -> Self {
        time.map(Timestamp::as_micros).into()
    }
}

impl From<u64> for Value<'_> {
    fn from(size: u64) -> Self {
        // No store holds more bytes, and no page has more rows, than the largest i64.
        Self::Integer(i64::try_from(size).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.as_micros())
    }
}
