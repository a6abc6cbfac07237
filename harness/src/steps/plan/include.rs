//! Files of steps that scenarios include, with values for their parameters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::document::{Problems, Source, Span, nearest, parse, read, value_of};
use crate::steps::document::{IncludeStep, StepList};

/// What a parameter's place in a text begins and ends with.
const MARK: (&str, &str) = ("${", "}");

/// Reads an included file, puts the values in the place of the parameters, and calls `then` with its source and its steps.
pub(super) fn with_included<T>(
    include: &IncludeStep,
    (from, span): (Source<'_>, Span),
    problems: &mut Problems,
    then: impl FnOnce(Source<'_>, StepList, &mut Problems) -> T,
) -> Option<T> {
    let path = from.path.parent().unwrap_or(Path::new(".")).join(&include.file);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let message =
                format!("cannot read {}: {error}; a file of steps is named from this file's folder", path.display());
            problems.add(from, span, &message);
            return None;
        }
    };
    let source = Source { path: &path, text: &text };
    // The parameters first: their values are needed before the steps can be read.
    let declared = declared(source, problems)?;
    for name in include.with.keys().filter(|name| !declared.contains_key(*name)) {
        let meant = nearest(name, declared.keys().map(String::as_str));
        let hint = meant.map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
        problems.add(from, span.clone(), &format!("{} has no parameter `{name}`{hint}", include.file.display()));
    }
    let values: BTreeMap<String, String> = declared
        .iter()
        .map(|(name, value)| (name.clone(), include.with.get(name).unwrap_or(value).to_string()))
        .collect();
    let plain: BTreeMap<&str, String> =
        declared.iter().map(|(name, value)| (name.as_str(), plain(include.with.get(name).unwrap_or(value)))).collect();
    let mut table = parse(source, problems)?;
    let mut unknown = Vec::new();
    replace_in_table(table.get_mut(), &values, &plain, &mut unknown);
    for (span, name) in &unknown {
        let message = format!(
            "the file has no parameter `{name}`: name it under [parameters], with the value that it has by itself"
        );
        problems.add(source, span.clone(), &message);
    }
    if !unknown.is_empty() {
        return None;
    }
    let list: StepList = value_of(table, source, problems)?;
    Some(then(source, list, problems))
}

/// Returns the parameters of a file.
fn declared(source: Source<'_>, problems: &mut Problems) -> Option<BTreeMap<String, Value>> {
    /// The part of the file that names them.
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Parameters {
        #[serde(default)]
        #[schemars(with = "BTreeMap<String, serde_json::Value>")]
        parameters: BTreeMap<String, Value>,
    }
    read::<Parameters>(source, problems).map(|found| found.parameters)
}

/// Returns a value as a part of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Puts the values in the place of the parameters, wherever a text names one. A text that is nothing but the name becomes the value,
/// of whatever type.
fn replace<'i>(
    value: &mut DeValue<'i>,
    span: &Span,
    values: &'i BTreeMap<String, String>,
    plain: &BTreeMap<&str, String>,
    unknown: &mut Vec<(Span, String)>,
) {
    match value {
        DeValue::String(text) => {
            let only = text.strip_prefix(MARK.0).and_then(|rest| rest.strip_suffix(MARK.1));
            if let Some(literal) = only.and_then(|name| values.get(name)) {
                // It was written from a value, so that it is one.
                if let Ok(read) = DeValue::parse(literal) {
                    *value = read.into_inner();
                }
                return;
            }
            let mut rest = text.as_ref();
            let mut whole = String::new();
            while let Some((before, after)) = rest.split_once(MARK.0) {
                let Some((name, behind)) = after.split_once(MARK.1) else { break };
                whole += before;
                match plain.get(name) {
                    Some(value) => whole += value,
                    None => unknown.push((span.clone(), name.to_owned())),
                }
                rest = behind;
            }
            whole += rest;
            if whole != text.as_ref() {
                *text = Cow::Owned(whole);
            }
        }
        DeValue::Array(array) => {
            for item in array.iter_mut() {
                let span = item.span();
                replace(item.get_mut(), &span, values, plain, unknown);
            }
        }
        DeValue::Table(table) => replace_in_table(table, values, plain, unknown),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn replace_in_table<'i>(
    table: &mut DeTable<'i>,
    values: &'i BTreeMap<String, String>,
    plain: &BTreeMap<&str, String>,
    unknown: &mut Vec<(Span, String)>,
) {
    for (_, value) in table.iter_mut() {
        let span = value.span();
        replace(value.get_mut(), &span, values, plain, unknown);
    }
}
