//! The schemas and the reference page in the repository are those of the types, and every shipped scenario fits them.

use std::fs;
use std::path::{Path, PathBuf};

use dmus::scenario::{Scenario, reference, schema, step_list_schema};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

/// Returns the shipped scenarios with their texts, in order of name.
fn scenarios() -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("scenarios"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// Compares a file of the repository with what it should be; with `UPDATE_REFERENCE` in the environment, writes it.
fn is_current(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let is = fs::read_to_string(path).unwrap_or_default();
    assert!(
        is == text,
        "{} is not current: run UPDATE_REFERENCE=1 cargo test -p dmus --test reference",
        path.display()
    );
}

#[test]
fn the_schemas_are_current() {
    for (name, schema) in [("scenario", schema()), ("steps", step_list_schema())] {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        is_current(&folder().join("scenarios").join(format!("{name}.schema.json")), &text);
    }
}

#[test]
fn the_reference_is_current_and_has_an_example_of_every_verb() {
    let files = scenarios();
    let files: Vec<(&Path, String)> = files.iter().map(|(path, text)| (path.as_path(), text.clone())).collect();
    let text = reference(&files);
    is_current(&folder().join("SCENARIOS.md"), &text);
    let verbs = text.split("\n## Verbs\n").nth(1).unwrap().split("\n## Values\n").next().unwrap();
    for verb in verbs.split("\n### ").skip(1) {
        let name = verb.lines().next().unwrap();
        assert!(verb.contains("```toml"), "no shipped scenario has a step {name}, which would be its example");
    }
}

#[test]
fn the_page_of_the_prompt_is_current() {
    is_current(&folder().join("PROMPT.md"), &dmus::prompt::reference());
}

#[test]
fn every_shipped_scenario_is_read() {
    for (path, _) in scenarios() {
        if let Err(error) = Scenario::load(&path) {
            panic!("{}: {error}", path.display());
        }
    }
}
