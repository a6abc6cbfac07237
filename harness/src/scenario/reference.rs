//! The schema of scenario files, and the reference page: both follow from the types that read the files.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::document::Document;
use crate::document::schema_of;
use crate::steps::StepList;

/// What the description of a verb begins with, and that of a modifier.
const VERB: &str = "Verb: ";
const MODIFIER: &str = "Modifier: ";

/// Returns the JSON schema (draft 2020-12) of scenario files, for editors that complete and check.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schema_of::<Document>();
    schema["title"] = "Scenario of the virtual DirectMusic card".into();
    schema
}

/// Returns the JSON schema of files of steps that scenarios include.
#[must_use]
pub fn step_list_schema() -> Value {
    let mut schema = schema_of::<StepList>();
    schema["title"] = "Steps that scenarios of the virtual DirectMusic card include".into();
    let root = schema.clone();
    schema["$defs"]
        .as_object_mut()
        .into_iter()
        .flat_map(Map::values_mut)
        .for_each(|inner| take_parameters(inner, &root));
    schema["$defs"][PARAMETER] = json!({
        "description": "The value of a parameter of the file.",
        "type": "string",
        "pattern": r"^\$\{[A-Za-z0-9_-]+\}$",
    });
    schema
}

/// The definition of a parameter in the place of a value.
const PARAMETER: &str = "Parameter";

/// Lets a parameter stand in the place of each member that is no text, list or table, which an editor cannot know to become one.
fn take_parameters(schema: &mut Value, root: &Value) {
    for kinds in ["oneOf", "anyOf"] {
        schema[kinds].as_array_mut().into_iter().flatten().for_each(|inner| take_parameters(inner, root));
        if schema[kinds].is_null() {
            schema.as_object_mut().into_iter().for_each(|object| _ = object.remove(kinds));
        }
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for member in properties.values_mut() {
        if is_whole(Page { root }.resolve(member), root) {
            let description = member["description"].clone();
            let inner = member.take();
            *member =
                json!({ "description": description, "anyOf": [inner, { "$ref": format!("#/$defs/{PARAMETER}") }] });
        }
    }
}

/// Returns whether a value is neither a text of any kind, nor a list, nor a table.
fn is_whole(schema: &Value, root: &Value) -> bool {
    if let Some(kinds) = schema["oneOf"].as_array() {
        return kinds.iter().all(|kind| is_whole(Page { root }.resolve(kind), root));
    }
    schema["enum"].is_array()
        || !schema["const"].is_null()
        || matches!(schema["type"].as_str(), Some("integer" | "number" | "boolean"))
}

/// Returns the reference of scenario files in Markdown. `files` are scenarios whose steps are the examples.
#[must_use]
pub fn reference(files: &[(&Path, String)]) -> String {
    let schema = schema();
    let page = Page { root: &schema };
    let mut text = String::from(
        "# Scenario files\n\n\
         Generated from the types that read them: `UPDATE_REFERENCE=1 cargo test -p dmus --test reference` writes it anew. The examples \
         are steps of the shipped scenarios, which the suite runs.\n\n\
         A scenario is a TOML file. Without `[[step]]`s it plays a song and compares it; with steps it does what they say, one after \
         another. Driver and device are started before the first step, unless a step is `load`; what is still open at the end is closed, \
         the device stopped, the driver unloaded, and what it then still holds is its leak. Editors complete and check a file whose first \
         line is `#:schema ./scenario.schema.json`.\n\n## Keys and tables\n\n",
    );
    page.table(&mut text, &schema);
    for (name, member) in members(&schema) {
        let inner = page.resolve(member);
        if inner["properties"].is_object() && !["step", "cleanup"].contains(&name.as_str()) {
            let _ = write!(text, "\n### `[{name}]`\n\n");
            page.table(&mut text, inner);
        }
        let item = page.resolve(&member["items"]);
        if item["properties"].is_object() && !["step", "cleanup"].contains(&name.as_str()) {
            let _ = write!(text, "\n### `[[{name}]]`\n\n");
            page.table(&mut text, item);
        }
    }
    let step = page.resolve(&schema["$defs"]["StepTable"]);
    text += "\n## Modifiers of a step\n\n";
    text += "| key | value | meaning |\n|---|---|---|\n";
    for (name, member) in members(step).filter(|(_, member)| described(member).starts_with(MODIFIER)) {
        page.row(&mut text, name, member, &described(member)[MODIFIER.len()..]);
    }
    text += "\n## Verbs\n\nA step has exactly one of them.\n";
    for (name, member) in members(step).filter(|(_, member)| described(member).starts_with(VERB)) {
        let _ = write!(text, "\n### `{name}`\n\n{}\n\n", &described(member)[VERB.len()..]);
        let inner = page.resolve(member);
        if inner["properties"].is_object() {
            page.table(&mut text, inner);
        } else if let Some(kinds) =
            inner["oneOf"].as_array().filter(|kinds| kinds.iter().all(|kind| kind["properties"].is_object()))
        {
            page.kinds(&mut text, kinds);
        } else {
            let _ = writeln!(text, "Value: {}", page.kind(member));
        }
        if let Some((file, step)) = example(files, name) {
            let _ = write!(text, "\n```toml\n# {file}\n{step}\n```\n");
        }
    }
    text += "\n## Values\n\nNames for `save`, `wait_for`, `expect` and `check`.\n\n| name | meaning |\n|---|---|\n";
    for kind in schema["$defs"]["ValueName"]["oneOf"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "| `{}` | {} |", kind["const"].as_str().unwrap_or_default(), described(kind));
    }
    text
}

/// Returns the members of a table.
fn members(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

/// Returns the description of a schema, on one line.
fn described(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Page<'s> {
    root: &'s Value,
}

impl<'s> Page<'s> {
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let pointer = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    fn table(&self, text: &mut String, schema: &'s Value) {
        *text += "| key | value | meaning |\n|---|---|---|\n";
        for (name, member) in members(schema) {
            self.row(text, name, member, &described(member));
        }
    }

    fn row(&self, text: &mut String, name: &str, member: &'s Value, meaning: &str) {
        let range = match (member["minimum"].as_i64(), member["maximum"].as_i64()) {
            (Some(min), Some(max)) => format!(", {min} to {max}"),
            (Some(min), None) if min > 0 => format!(", at least {min}"),
            _ => String::new(),
        };
        let _ = writeln!(text, "| `{name}` | {}{range} | {} |", self.kind(member), meaning.replace('|', "\\|"));
    }

    /// Writes the kinds of a table that has several.
    fn kinds(&self, text: &mut String, kinds: &'s [Value]) {
        *text += "| `kind` | its other members | meaning |\n|---|---|---|\n";
        for kind in kinds {
            let name = kind["properties"]["kind"]["const"].as_str().unwrap_or_default();
            let others: Vec<String> = members(kind)
                .filter(|(key, _)| *key != "kind")
                .map(|(key, member)| format!("`{key}`: {}", self.kind(member)))
                .collect();
            let _ = writeln!(text, "| `{name}` | {} | {} |", others.join("; "), described(kind));
        }
    }

    /// Names the type of a value.
    fn kind(&self, schema: &'s Value) -> String {
        let schema = self.resolve(schema);
        if let Some(alternatives) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            let mut names: Vec<String> = alternatives.iter().map(|schema| self.kind(schema)).collect();
            names.dedup();
            // Values have a table of their own.
            return if names.len() > 16 { "a [value](#values)".into() } else { names.join(", ") };
        }
        match (&schema["const"], schema["enum"].as_array(), schema["type"].as_str()) {
            (Value::String(word), ..) => format!("`{word}`"),
            (Value::Bool(only), ..) => format!("`{only}`"),
            (_, Some(words), _) => {
                words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            (_, None, Some("string")) => "text".into(),
            (_, None, Some("integer")) => "integer".into(),
            (_, None, Some("number")) => "number".into(),
            (_, None, Some("boolean")) => "`true`, `false`".into(),
            (_, None, Some("array")) => format!("list of {}", self.kind(&schema["items"])),
            (_, None, Some("object")) => {
                let names: Vec<String> = members(schema).take(12).map(|(name, _)| format!("`{name}`")).collect();
                if names.is_empty() { "table".into() } else { format!("table ({})", names.join(", ")) }
            }
            _ => "any".into(),
        }
    }
}

/// Returns the first step of the files that has a verb, with its modifiers, and the name of its file. Of several files, the one that
/// is named after the verb comes first.
fn example(files: &[(&Path, String)], verb: &str) -> Option<(String, String)> {
    let named =
        |path: &Path| path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains(&verb.replace('_', "-")));
    let (first, rest): (Vec<_>, Vec<_>) = files.iter().partition(|(path, _)| named(path));
    first.into_iter().chain(rest).find_map(|(path, text)| {
        let step = steps_of(text).into_iter().find(|step| {
            step.lines().any(|line| {
                line.split_once('=').is_some_and(|(key, _)| key.trim() == verb) || line == format!("[[step.{verb}]]")
            })
        })?;
        Some((path.file_name()?.to_string_lossy().into_owned(), step))
    })
}

/// Returns the text of each step of a file.
fn steps_of(text: &str) -> Vec<String> {
    let mut steps: Vec<Vec<&str>> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line == "[[step]]" {
            steps.push(Vec::new());
            inside = true;
        } else if line.starts_with('[') && !line.starts_with("[[step.") {
            inside = false;
        }
        if inside && let Some(step) = steps.last_mut() {
            step.push(line);
        }
    }
    steps.into_iter().map(|lines| lines.join("\n").trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every keyword of a schema.
    fn keywords(schema: &Value, found: &mut std::collections::BTreeSet<String>) {
        match schema {
            Value::Object(object) => {
                for (key, value) in object {
                    found.insert(key.clone());
                    match key.as_str() {
                        "properties" | "$defs" => {
                            value
                                .as_object()
                                .into_iter()
                                .flat_map(Map::values)
                                .for_each(|inner| keywords(inner, found));
                        }
                        "default" | "examples" | "enum" | "const" | "required" => {}
                        _ => keywords(value, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|inner| keywords(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn the_schemas_have_no_keyword_that_the_reader_does_not_check() {
        let mut found = std::collections::BTreeSet::new();
        keywords(&schema(), &mut found);
        keywords(&step_list_schema(), &mut found);
        // Those that constrain are the reader's; the others say something to people.
        let known = [
            "$defs",
            "$ref",
            "$schema",
            "additionalProperties",
            "anyOf",
            "const",
            "default",
            "description",
            "enum",
            "examples",
            "format",
            "items",
            "maximum",
            "minimum",
            "oneOf",
            "pattern",
            "properties",
            "required",
            "title",
            "type",
        ];
        let unknown: Vec<&String> = found.iter().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        fn look(name: &str, schema: &Value, silent: &mut Vec<String>) {
            for (key, member) in members(schema) {
                // A form of one member is described as a whole.
                let is_tag =
                    member["const"].is_string() || (members(schema).count() == 1 && !described(schema).is_empty());
                if described(member).is_empty() && !is_tag {
                    silent.push(format!("{name}.{key}"));
                }
            }
            for kind in schema["oneOf"].as_array().into_iter().flatten() {
                look(name, kind, silent);
            }
        }
        let schema = schema();
        let mut silent = Vec::new();
        look("scenario", &schema, &mut silent);
        for (name, inner) in schema["$defs"].as_object().into_iter().flat_map(Map::iter) {
            look(name, inner, &mut silent);
        }
        assert!(silent.is_empty(), "without a description: {silent:#?}");
    }
}
