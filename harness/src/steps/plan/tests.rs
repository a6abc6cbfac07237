//! Tests of plans: what is wrong with steps is shown, all of it, where it is.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::{Act, Plan, PlanInput};
use crate::document::{Problems, Source, read};
use crate::host::leftovers::Scratch;
use crate::steps::document::StepTable;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    #[schemars(with = "Vec<StepTable>")]
    step: Vec<Spanned<StepTable>>,
    #[serde(default)]
    #[schemars(with = "Vec<StepTable>")]
    cleanup: Vec<Spanned<StepTable>>,
}

/// Reads a file in a folder. Returns the plan, and what is wrong.
fn plan_in(folder: &Path, text: &str) -> (Plan, String) {
    let path = folder.join("x.toml");
    let source = Source { path: &path, text };
    let mut problems = Problems::default();
    let plan = match read::<File>(source, &mut problems) {
        Some(File { step, cleanup }) => {
            let plan = Plan::read(PlanInput { source, steps: &step, cleanup: &cleanup }, &mut problems);
            plan.check_order(source, &mut problems);
            plan
        }
        None => Plan::default(),
    };
    (plan, problems.text())
}

fn wrong(text: &str) -> String {
    plan_in(Path::new("folder"), text).1
}

fn steps(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("[[step]]\n{line}\n")).collect()
}

#[track_caller]
fn refuses(lines: &[&str], expected: &[(usize, &str)]) {
    let found = wrong(&steps(lines));
    for (line, part) in expected {
        assert!(found.contains(&format!("x.toml:{line}:")) && found.contains(part), "{part} at line {line}: {found}");
    }
    assert_eq!(found.matches("--> ").count(), expected.len(), "{found}");
}

#[test]
fn a_step_has_exactly_one_verb() {
    refuses(&["name = 'nothing'"], &[(1, "has none")]);
    refuses(&["load = true\nstart = true"], &[(3, "`load`, `start`")]);
    refuses(&["load = false"], &[(2, "expected true, found false")]);
    refuses(&["laod = true"], &[(2, "did you mean `load`")]);
}

#[test]
fn a_name_that_nothing_has_is_shown_with_the_one_that_was_meant() {
    refuses(
        &[
            "open = { as = 'music' }",
            "play = { stream = 'musik' }",
            "close = 'musci'",
            "save = { value = 'card.events', as = 'a' }",
        ],
        &[(4, "did you mean `music`"), (6, "did you mean `music`")],
    );
    refuses(&["expect = { value = 'card.events', since = 'before', max = 0 }"], &[(2, "none has been saved")]);
    refuses(&["unload = 'triangle'"], &[(2, "none has been downloaded")]);
    refuses(&["expect = { value = 'card.event', max = 0 }"], &[(2, "did you mean `card.events`")]);
    refuses(&["wait_for = { struck = 'lost-interupt' }"], &[(2, "did you mean `lost-interrupt`")]);
    refuses(&["fault = { kind = 'lost-interupt', queue = 3 }"], &[(2, "did you mean `lost-interrupt`")]);
    refuses(&["fault = { kind = 'lost-interrupt', queue = 3, at = { fram = 1 } }"], &[(2, "fram")]);
}

#[test]
fn the_order_of_steps_is_checked_before_anything_runs() {
    refuses(&["start = true", "load = true"], &[(2, "the driver is not loaded")]);
    refuses(&["load = true", "open = {}"], &[(4, "the device is not started")]);
    refuses(&["load = true", "load = true"], &[(4, "loaded already")]);
    refuses(&["unload = true"], &[(2, "put a step `stop = true` before")]);
    refuses(&["stop = true", "play = {}"], &[(4, "the device is not started")]);
    refuses(&["open = {}", "open = {}"], &[(4, "is open already")]);
    refuses(&["open = { as = 'a' }", "open = { as = 'b' }", "play = {}"], &[(6, "say which")]);
    refuses(&["open = { as = 'in', kind = 'capture' }", "play = { stream = 'in' }"], &[(4, "captures")]);
    let both = ["open = { as = 'in', kind = 'capture' }", "open = {}"];
    assert_eq!(wrong(&steps(&[both[0], both[1], "play = {}", "capture = { messages = [] }"])), "");
    refuses(&[both[0], both[1], "state = { to = 'run' }"], &[(6, "stream = one of in, song")]);
    refuses(&["open = {}", "capture = { messages = [] }"], &[(4, "kind = \"capture\"")]);
    refuses(&["state = { to = 'run' }"], &[(2, "no stream is open")]);
    refuses(&["expect = { bit_identical = true }"], &[(2, "nothing has been played")]);
    assert_eq!(wrong(&steps(&["load = true", "start = true", "stop = true", "unload = true"])), "");
}

#[test]
fn members_that_do_not_belong_together_are_refused() {
    refuses(&["play = { song = 'tide', events = [{ data = '90 3c 64' }] }"], &[(2, "either a song or events")]);
    refuses(&["play = { events = [{ data = '90 3c' }] }"], &[(2, "not exactly one MIDI message")]);
    refuses(&["play = { events = [{ data = '9x' }] }"], &[(2, "hexadecimal")]);
    refuses(&["play = { from_ms = 9, to_ms = 9 }"], &[(2, "ends before it begins")]);
    refuses(&["play = { song = 'tied' }"], &[(2, "did you mean `tide`")]);
    refuses(&["host = { kill = 'card', shell = 'x' }"], &[(2, "host has one of")]);
    refuses(&["host = { kill = 'crad' }"], &[(2, "did you mean `card`")]);
    refuses(&["advance = {}"], &[(2, "either frames or ms")]);
    refuses(&["wait_for = { min = 3 }"], &[(2, "about a value")]);
    refuses(&["expect = {}"], &[(2, "name what is expected")]);
    refuses(&["load = true\nfails = {}"], &[(3, "name how it must fail")]);
    refuses(
        &["open = {}", "property = { set = 'KSPROPSETID_Synth', id = 2, get = 4, set_to_u32 = 1 }"],
        &[(4, "one of get, set_to")],
    );
    refuses(&["open = {}", "property = { set = 'KSPROPSETID_Sinth', id = 2, get = 4 }"], &[(4, "no property set")]);
}

#[test]
fn only_one_list_of_a_parallel_step_talks_to_the_guest() {
    let lists = |one: &str, other: &str| format!("parallel = [{{ step = [{one}] }}, {{ step = [{other}] }}]");
    refuses(&[&lists("{ play = {} }", "{ play = {} }")], &[(2, "only one list")]);
    let found = wrong(&steps(&[&lists(
        "{ play = {} }",
        "{ wait_for = { value = 'card.events', min = 1 } }, { host = { kill = 'card' } }",
    )]));
    assert_eq!(found, "");
    refuses(&["parallel = [{ step = [{ play = {} }] }]"], &[(2, "at least two lists")]);
}

#[test]
fn files_of_steps_take_parameters_of_any_type() {
    let folder = Scratch::new().unwrap();
    let list = "title = 't'\n[parameters]\nsong = 'tide'\nto_ms = 100\n\n[[step]]\nname = 'play ${song} to ${to_ms}'\n\
                play = { song = '${song}', to_ms = '${to_ms}' }\n";
    fs::write(folder.path().join("list.toml"), list).unwrap();
    let (plan, found) = plan_in(folder.path(), &steps(&["include = { file = 'list.toml', with = { to_ms = 250 } }"]));
    assert_eq!(found, "");
    let Act::Include(inner) = &plan.steps[0].act else { panic!("{plan:?}") };
    let Act::Play(play, _) = &inner[0].act else { panic!("{plan:?}") };
    assert_eq!(play.to_ms.as_ref().map(|ms| *ms.get_ref()), Some(250));
    assert_eq!(inner[0].name.as_deref(), Some("play tide to 250"));
    assert_eq!((inner[0].number.as_str(), inner[0].place.line), ("1.1", 8));

    let (_, found) = plan_in(folder.path(), &steps(&["include = { file = 'list.toml', with = { sonk = 'tide' } }"]));
    assert!(found.contains("x.toml:2:") && found.contains("did you mean `song`"), "{found}");
    let (_, found) = plan_in(folder.path(), &steps(&["include = { file = 'list.toml', with = { to_ms = 'x' } }"]));
    assert!(found.contains("list.toml:8:") && found.contains("expected an integer"), "{found}");
    let (_, found) = plan_in(folder.path(), &steps(&["include = { file = 'absent.toml' }"]));
    assert!(found.contains("x.toml:2:") && found.contains("absent.toml"), "{found}");

    fs::write(folder.path().join("list.toml"), "title = 't'\n[[step]]\nclose = '${who}'\n").unwrap();
    let (_, found) = plan_in(folder.path(), &steps(&["include = { file = 'list.toml' }"]));
    assert!(found.contains("list.toml:3:") && found.contains("no parameter `who`"), "{found}");
}

#[test]
fn files_of_steps_that_include_each_other_without_end_are_refused() {
    let folder = Scratch::new().unwrap();
    fs::write(folder.path().join("list.toml"), "title = 't'\n[[step]]\ninclude = { file = 'list.toml' }\n").unwrap();
    let (_, found) = plan_in(folder.path(), &steps(&["include = { file = 'list.toml' }"]));
    assert!(found.contains("deep"), "{found}");
}

#[test]
fn a_wrong_step_of_an_included_file_is_shown_in_that_file() {
    let folder = Scratch::new().unwrap();
    fs::write(folder.path().join("list.toml"), "title = 't'\n[[step]]\nclose = 'music'\n").unwrap();
    let (_, found) = plan_in(folder.path(), &steps(&["open = { as = 'musik' }", "include = { file = 'list.toml' }"]));
    assert!(found.contains("list.toml:3") && found.contains("did you mean `musik`"), "{found}");
}
