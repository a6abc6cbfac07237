//! TOML files that people write: read by a schema that follows from the types, with every mistake of a file shown at its place.

mod check;
mod nearest;
mod problems;
mod schema;

pub use check::check;
pub use nearest::nearest;
pub use problems::{Problems, Source, Span};
pub use schema::schema_of;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a file's text: its syntax, then its shape by the schema, then the value itself. What is wrong is in `problems`.
///
/// Returns `None` where something is wrong.
pub fn read<T: DeserializeOwned + JsonSchema>(source: Source<'_>, problems: &mut Problems) -> Option<T> {
    let table = parse(source, problems)?;
    value_of(table, source, problems)
}

/// Reads a file's syntax. Every mistake of it is in `problems`.
pub fn parse<'i>(source: Source<'i>, problems: &mut Problems) -> Option<Spanned<DeTable<'i>>> {
    let (table, errors) = DeTable::parse_recoverable(source.text);
    if errors.is_empty() {
        return Some(table);
    }
    for error in errors {
        problems.add(source, error.span().unwrap_or(0..0), error.message());
    }
    None
}

/// Reads the value of a table whose syntax is right.
pub fn value_of<T: DeserializeOwned + JsonSchema>(
    table: Spanned<DeTable<'_>>,
    source: Source<'_>,
    problems: &mut Problems,
) -> Option<T> {
    let before = problems.len();
    let span = table.span();
    let value = Spanned::new(span.clone(), DeValue::Table(table.into_inner()));
    check(&value, &schema_of::<T>(), source, problems);
    if problems.len() > before {
        return None;
    }
    let DeValue::Table(table) = value.into_inner() else { return None };
    // What the schema cannot say, such as a number that does not fit, the type says.
    match T::deserialize(toml::de::Deserializer::from(Spanned::new(span, table))) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.add(source, error.span().unwrap_or(0..0), error.message());
            None
        }
    }
}
