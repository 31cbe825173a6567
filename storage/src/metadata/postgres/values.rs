//! Values on their way to PostgreSQL, and columns on their way back.
//!
//! PostgreSQL says itself which type each `$n` has, by where it stands: `LIMIT $3` is a BIGINT,
//! `$3 = 0` an INTEGER. A number is written as the type that is asked for, and read as an `i64`
//! whatever it was; a truth value is read as 0 or 1, as SQLite gives it.

use std::borrow::Cow;
use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::metadata::error::Error;
use crate::metadata::transaction::{Column, Row, Value};

/// A value that doesn't fit where it stands in a statement.
#[derive(Debug, thiserror::Error)]
#[error("a value does not fit a parameter of type {0}")]
pub(super) struct Misfit(Type);

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let misfit = || Box::new(Misfit(kind.clone()));
        match (self, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(number), &Type::INT8) => number.to_sql(kind, out),
            (Value::Integer(number), &Type::INT4) => {
                let number = i32::try_from(*number).map_err(|_| misfit())?;
                number.to_sql(kind, out)
            }
            (Value::Text(text), &Type::TEXT) => without_nul(text).to_sql(kind, out),
            (Value::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(kind, out),
            _ => Err(misfit()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // `to_sql` tells: it depends on the value.
        true
    }

    to_sql_checked!();
}

/// PostgreSQL keeps no text with a NUL. One that a stranger sends is no reason to fail, so the
/// sign for what can't be shown takes its place.
fn without_nul(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

/// A row of an answer as the methods of the metadata read it.
pub(super) fn own(row: &tokio_postgres::Row) -> Result<Row, Error> {
    let columns: Result<Vec<Column>, tokio_postgres::Error> =
        (0..row.len()).map(|index| column(row, index)).collect();
    match columns {
        Ok(columns) => Ok(Row::new(columns)),
        Err(error) => Err(Error::Database(Box::new(error))),
    }
}

fn column(row: &tokio_postgres::Row, index: usize) -> Result<Column, tokio_postgres::Error> {
    let number = |number: Option<i64>| number.map_or(Column::Null, Column::Integer);
    Ok(match *row.columns()[index].type_() {
        Type::INT8 => number(row.try_get(index)?),
        Type::INT4 => number(row.try_get::<_, Option<i32>>(index)?.map(i64::from)),
        Type::BOOL => number(row.try_get::<_, Option<bool>>(index)?.map(i64::from)),
        Type::BYTEA => {
            let bytes: Option<Vec<u8>> = row.try_get(index)?;
            bytes.map_or(Column::Null, Column::Bytes)
        }
        _ => {
            let text: Option<String> = row.try_get(index)?;
            text.map_or(Column::Null, Column::Text)
        }
    })
}
