//! Compares a TOML value with a schema, and shows each mistake at its place with what was probably meant.
//!
//! The keywords are those of the schemas that follow from this project's types; a test reads every keyword of them.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::nearest::nearest;
use super::problems::{Problems, Source, Span};

/// Most words that a message lists.
const LISTED_MAX: usize = 40;

/// Compares a value with a schema. Each mistake is in `problems`.
pub fn check(value: &Spanned<DeValue<'_>>, schema: &Value, source: Source<'_>, problems: &mut Problems) {
    let mut found = Vec::new();
    Walk { root: schema }.value(value, schema, &mut found);
    for Mistake { span, message } in found {
        problems.add(source, span, &message);
    }
}

/// A mistake.
struct Mistake {
    span: Span,
    message: String,
}

struct Walk<'s> {
    root: &'s Value,
}

impl<'s> Walk<'s> {
    /// Follows a reference to a definition.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        while let Some(pointer) = schema["$ref"].as_str().and_then(|text| text.strip_prefix('#')) {
            match self.root.pointer(pointer) {
                Some(definition) => schema = definition,
                None => break,
            }
        }
        schema
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, schema: &'s Value, found: &mut Vec<Mistake>) {
        let schema = self.resolve(schema);
        if let Some(alternatives) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            self.alternatives(value, alternatives, found);
            return;
        }
        let mut wrong = |message: String| found.push(Mistake { span: value.span(), message });
        if let Some(message) = wrong_word(value.get_ref(), &words(schema)) {
            return wrong(message);
        }
        if !has_type(value.get_ref(), schema) {
            return wrong(format!("expected {}, found {}", expected(schema), name_of(value.get_ref())));
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(value.span(), table, schema, found),
            DeValue::Array(array) => {
                for item in array.iter().filter(|_| schema["items"].is_object()) {
                    self.value(item, &schema["items"], found);
                }
            }
            DeValue::Integer(integer) => found.extend(out_of_range(integer, schema, value.span())),
            _ => {}
        }
    }

    fn table(&self, span: Span, table: &toml::de::DeTable<'_>, schema: &'s Value, found: &mut Vec<Mistake>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            if let Some(known) = schema["properties"].get(name) {
                self.value(value, known, found);
            } else if schema["additionalProperties"].is_object() {
                self.value(value, &schema["additionalProperties"], found);
            } else if schema["additionalProperties"] == false {
                let known: Vec<&str> = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flat_map(|all| all.keys().map(String::as_str))
                    .collect();
                let message = format!("unknown key `{name}`{}", meant(name, &known));
                found.push(Mistake { span: key.span(), message });
            }
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !table.keys().any(|key| key.get_ref() == name) {
                // The whole table would be marked; its first line says where it is.
                let start = span.start;
                found.push(Mistake { span: start..start, message: format!("the key `{name}` is missing") });
            }
        }
    }

    /// Compares with the alternative that is meant: the one whose constant member the value has, else the only one of the
    /// value's type, else the one with the fewest mistakes.
    fn alternatives(&self, value: &Spanned<DeValue<'_>>, alternatives: &'s [Value], found: &mut Vec<Mistake>) {
        let schemas: Vec<&Value> = alternatives.iter().map(|schema| self.resolve(schema)).collect();
        // Alternatives that are words each are one list of words.
        let listed: Vec<&str> = schemas.iter().flat_map(|schema| words(schema)).collect();
        if matches!(value.get_ref(), DeValue::String(_)) && !listed.is_empty() {
            let takes_any = schemas.iter().any(|schema| words(schema).is_empty() && has_type(value.get_ref(), schema));
            if !takes_any && let Some(message) = wrong_word(value.get_ref(), &listed) {
                found.push(Mistake { span: value.span(), message });
            }
            return;
        }
        if let DeValue::Table(table) = value.get_ref()
            && let Some((tag, kinds)) = tag_of(&schemas)
        {
            match table.iter().find(|(key, _)| key.get_ref() == tag) {
                None => found.push(Mistake {
                    span: value.span().start..value.span().start,
                    message: format!("the key `{tag}` is missing{}", meant("", &kinds)),
                }),
                Some((_, kind)) => {
                    let is_it = |schema: &&&Value| {
                        matches!(kind.get_ref(), DeValue::String(text)
                            if schema["properties"][tag]["const"].as_str() == Some(text.as_ref()))
                    };
                    match schemas.iter().find(is_it) {
                        Some(schema) => self.value(value, schema, found),
                        None => {
                            let text = if let DeValue::String(text) = kind.get_ref() { text.as_ref() } else { "" };
                            let message = format!("unknown {tag} \"{text}\"{}", meant(text, &kinds));
                            found.push(Mistake { span: kind.span(), message });
                        }
                    }
                }
            }
            return;
        }
        if let DeValue::Table(table) = value.get_ref()
            && let Some(keys) = only_keys(&schemas)
        {
            let mut known = table.iter().filter_map(|(key, _)| keys.iter().position(|name| key.get_ref() == name));
            if let (Some(only), None) = (known.next(), known.next()) {
                return self.value(value, schemas[only], found);
            }
            let unknown = table.keys().find(|key| !keys.contains(&key.get_ref().as_ref()));
            let (span, message) = match unknown {
                Some(key) => (key.span(), format!("unknown key `{}`{}", key.get_ref(), meant(key.get_ref(), &keys))),
                None => (value.span(), format!("expected exactly one of {}", list(&keys))),
            };
            found.push(Mistake { span, message });
            return;
        }
        let fitting: Vec<&Value> = schemas.iter().copied().filter(|schema| has_type(value.get_ref(), schema)).collect();
        let tried = fitting.into_iter().map(|schema| {
            let mut mistakes = Vec::new();
            self.value(value, schema, &mut mistakes);
            mistakes
        });
        match tried.min_by_key(Vec::len) {
            Some(mistakes) => found.extend(mistakes),
            None => {
                let names: Vec<String> = schemas.iter().map(|schema| expected(schema)).collect();
                let message = format!("expected {}, found {}", names.join(" or "), name_of(value.get_ref()));
                found.push(Mistake { span: value.span(), message });
            }
        }
    }
}

/// Returns the member that tells alternatives apart, and its values.
fn tag_of<'s>(schemas: &[&'s Value]) -> Option<(&'s str, Vec<&'s str>)> {
    let first = schemas.first()?["properties"].as_object()?;
    let tag = first.iter().find(|(_, schema)| schema["const"].is_string())?.0;
    let kinds = schemas.iter().map(|schema| schema["properties"][tag]["const"].as_str()).collect::<Option<_>>()?;
    Some((tag, kinds))
}

/// Returns the only key of each alternative, where each is a table with one.
fn only_keys<'s>(schemas: &[&'s Value]) -> Option<Vec<&'s str>> {
    let key = |schema: &&'s Value| match schema["required"].as_array()?.as_slice() {
        [only] if schema["properties"].as_object()?.len() == 1 => only.as_str(),
        _ => None,
    };
    schemas.iter().map(key).collect()
}

/// Returns the words of which a value is one; none where it is anything else.
fn words(schema: &Value) -> Vec<&str> {
    match (schema["const"].as_str(), schema["enum"].as_array()) {
        (Some(only), _) => vec![only],
        (None, Some(list)) => list.iter().filter_map(Value::as_str).collect(),
        (None, None) => Vec::new(),
    }
}

/// Returns what is wrong with a word that must be one of some.
fn wrong_word(value: &DeValue<'_>, words: &[&str]) -> Option<String> {
    if words.is_empty() {
        return None;
    }
    match value {
        DeValue::String(text) if words.contains(&text.as_ref()) => None,
        DeValue::String(text) => Some(format!("`{text}` is not known here{}", meant(text, words))),
        other => Some(format!("expected one of {}, found {}", list(words), name_of(other))),
    }
}

/// Returns what was probably meant, and what there is.
fn meant(written: &str, words: &[&str]) -> String {
    match nearest(written, words.iter().copied()) {
        Some(word) => format!("; did you mean `{word}`?"),
        None if words.is_empty() => String::new(),
        None => format!(", expected one of {}", list(words)),
    }
}

fn list(words: &[&str]) -> String {
    let shown: Vec<String> = words.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    shown.join(", ") + if words.len() > LISTED_MAX { ", ..." } else { "" }
}

/// Returns the types that a schema allows; none where it allows all.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn has_type(value: &DeValue<'_>, schema: &Value) -> bool {
    if let Some(only) = schema["const"].as_bool() {
        return matches!(value, DeValue::Boolean(found) if *found == only);
    }
    let types = types(schema);
    types.is_empty() || types.iter().any(|name| is(value, name))
}

fn is(value: &DeValue<'_>, name: &str) -> bool {
    match value {
        DeValue::String(_) => name == "string",
        DeValue::Integer(_) => matches!(name, "integer" | "number"),
        DeValue::Float(_) => name == "number",
        DeValue::Boolean(_) => name == "boolean",
        DeValue::Datetime(_) => name == "string",
        DeValue::Array(_) => name == "array",
        DeValue::Table(_) => name == "object",
    }
}

/// Returns what a schema expects, for people.
fn expected(schema: &Value) -> String {
    if let Some(only) = schema["const"].as_bool() {
        return only.to_string();
    }
    let names: Vec<&str> = types(schema)
        .into_iter()
        .map(|name| match name {
            "string" => "a text",
            "integer" => "an integer",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a table",
            other => other,
        })
        .collect();
    names.join(" or ")
}

const fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns the mistake of an integer that is out of its range.
fn out_of_range(integer: &DeInteger<'_>, schema: &Value, span: Span) -> Option<Mistake> {
    let value = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    let bound = |key: &str| schema[key].as_i64().map(i128::from).or_else(|| schema[key].as_u64().map(i128::from));
    let (minimum, maximum) = (bound("minimum"), bound("maximum"));
    let maximum = maximum.or_else(|| match schema["format"].as_str() {
        Some("uint8") => Some(u8::MAX.into()),
        Some("uint16") => Some(u16::MAX.into()),
        Some("uint32") => Some(u32::MAX.into()),
        _ => None,
    });
    let message = match (minimum, maximum) {
        (Some(minimum), Some(maximum)) if !(minimum..=maximum).contains(&value) => {
            format!("{value} is out of range: from {minimum} to {maximum}")
        }
        (Some(minimum), None) if value < minimum => format!("{value} is out of range: at least {minimum}"),
        (None, Some(maximum)) if value > maximum => format!("{value} is out of range: at most {maximum}"),
        _ => return None,
    };
    Some(Mistake { span, message })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::super::{Problems, Source, read};

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is of interest")]
    struct File {
        title: String,
        #[serde(default)]
        count: u8,
        mode: Option<Mode>,
        #[serde(default)]
        part: Vec<Part>,
        level: Option<Level>,
        at: Option<Place>,
        sure: Option<Sure>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "as for the file")]
    enum Place {
        Event(u32),
        Frame(u32),
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "as for the file")]
    struct Sure(bool);

    impl JsonSchema for Sure {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Sure".into()
        }

        fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
            schemars::json_schema!({ "const": true })
        }
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        RealTime,
        Lockstep,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
    #[expect(dead_code, reason = "as for the file")]
    enum Part {
        Lost { frames: u32 },
        Late {},
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "as for the file")]
    enum Level {
        Name(String),
        Number(i32),
    }

    fn mistakes(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let found: Option<File> = read(Source { path: Path::new("x.toml"), text }, &mut problems);
        assert_eq!(found.is_none(), !problems.is_empty(), "{found:?}");
        if problems.is_empty() { Vec::new() } else { problems.text().split("\n\n").map(str::to_owned).collect() }
    }

    #[test]
    fn shows_all_mistakes_of_a_file_at_their_places_with_the_nearest_word() {
        let text = "titel = 'x'\ncount = 300\nmode = 'lock-step'\nlevel = true\n\
                    part = [{ kind = 'lots', frames = 1 }, { kind = 'lost', frame = 1 }]\n";
        let found = mistakes(text);
        let expect = |part: &str, place: &str| {
            assert!(
                found.iter().any(|text| text.contains(part) && text.contains(place)),
                "{part} at {place}: {found:#?}"
            );
        };
        expect("unknown key `titel`; did you mean `title`?", "x.toml:1:1");
        expect("the key `title` is missing", "x.toml:1:1");
        expect("300 is out of range: from 0 to 255", "x.toml:2:9");
        expect("`lock-step` is not known here; did you mean `lockstep`?", "x.toml:3:8");
        expect("expected a text or an integer, found true", "x.toml:4:9");
        expect("unknown kind \"lots\"; did you mean `lost`?", "x.toml:5:18");
        expect("unknown key `frame`; did you mean `frames`?", "x.toml:5:57");
        expect("the key `frames` is missing", "x.toml:5:40");
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn of_tables_with_one_key_each_there_is_exactly_one() {
        let with = |rest: &str| mistakes(&format!("title = 'x'\n{rest}\n"));
        assert_eq!(with("at = { frame = 3 }\nsure = true"), Vec::<String>::new());
        assert!(with("at = { fram = 3 }")[0].contains("unknown key `fram`; did you mean `frame`?"));
        assert!(with("at = { frame = 3, event = 3 }")[0].contains("exactly one of `event`, `frame`"));
        assert!(with("at = {}")[0].contains("exactly one of"));
        assert!(with("sure = false")[0].contains("expected true, found false"));
    }

    #[test]
    fn takes_what_is_right() {
        let text = "title = 'x'\ncount = 255\nmode = 'real-time'\nlevel = 3\n\
                    part = [{ kind = 'lost', frames = 1 }, { kind = 'late' }]\n";
        assert_eq!(mistakes(text), Vec::<String>::new());
    }

    #[test]
    fn shows_every_mistake_of_the_syntax() {
        let found = mistakes("title = 'x\nmode = 'lockstep'\ncount = = 3\n");
        assert!(found.iter().any(|text| text.contains("x.toml:1:")), "{found:#?}");
        assert!(found.iter().any(|text| text.contains("x.toml:3:")), "{found:#?}");
    }
}
