//! `dmus schema`: the JSON schemas of scenario files.

use dmus::host::failure::Class;
use dmus::report::out;
use dmus::scenario;

use super::args::SchemaArguments;

/// Prints a schema.
pub(super) fn print(arguments: &SchemaArguments) -> Option<Class> {
    let schema = if arguments.steps { scenario::step_list_schema() } else { scenario::schema() };
    // What a schema holds has a text.
    out(&serde_json::to_string_pretty(&schema).unwrap_or_default());
    None
}
