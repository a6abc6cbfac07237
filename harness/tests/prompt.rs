//! The prompt as a user has it: lines on standard input, exit codes, the session as a scenario. Without QEMU or mingw-w64 the
//! tests are skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dmus::host::failure::Class;
use dmus::provision::{Workspace, cpp_driver};
use serde_json::Value;

/// Runs `dmus` with lines on standard input; `None` where something is missing that it needs.
fn dmus(arguments: &[&str], lines: &(impl AsRef<[u8]> + ?Sized)) -> Option<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmus"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_ref()).unwrap();
    let output = child.wait_with_output().unwrap();
    if code(&output) == i32::from(Class::MissingArtefact.exit_code()) {
        println!("skipped: {}", said(&output));
        return None;
    }
    Some(output)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Returns the objects on standard output, one a line.
fn objects(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the C++ driver and a variant of it; `None` without the tools for them.
fn drivers(variant: &str) -> Option<(PathBuf, PathBuf)> {
    let workspace = Workspace::find().unwrap();
    let built = cpp_driver::good(&workspace).and_then(|good| Ok((good, cpp_driver::variant(&workspace, variant)?)));
    match built {
        Ok(both) => Some(both),
        Err(cpp_driver::CppDriverError::ToolMissing(reason)) => {
            println!("skipped: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_note_is_played_from_nothing_with_a_broken_driver_found_on_the_way() {
    let Some((good, broken)) = drivers("put_message_sleeps") else { return };
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("first-note.toml");
    let lines = format!(
        "load\nstart\n# It waits in PutMessage.\n-open\npeek phys 0x1000 16\nagain {}\nnote c4 100 500ms\n\
         expect bit_identical=true no_diagnosis=true\nsave {}\nquit\n",
        text(&good),
        text(&saved)
    );
    let runs = folder.path().join("run");
    let Some(output) = dmus(&["boot", "--driver", text(&broken), "--run-folder", text(&runs)], &lines) else { return };
    let found = said(&output);
    assert_eq!(code(&output), 0, "{found}");
    assert!(found.contains("rule 39 of the NT host's contract") && found.contains("stack, innermost first"), "{found}");
    assert!(found.contains("dmus> open\nDirectMusic, ") && found.contains("2 events, "), "{found}");
    // The session is a scenario that passes with the good driver, and fails as the session did with the broken one.
    let run = |driver: &Path| dmus(&["run", text(&saved), "--driver", text(driver), "--json"], "");
    let Some(passed) = run(&good) else { return };
    assert_eq!(code(&passed), 0, "{}", said(&passed));
    let Some(failed) = run(&broken) else { return };
    assert_eq!(code(&failed), i32::from(Class::GuestCrashed.exit_code()), "{}", said(&failed));
}

#[test]
fn the_first_line_that_fails_ends_a_script_with_its_exit_code() {
    for (line, class, error) in [
        ("paly tide", Class::Usage, "no verb is called `paly`; did you mean `play`?"),
        ("play tide", Class::Usage, "the device is not started"),
        ("start", Class::Usage, "the driver is not loaded: put a step `load = true` before this one"),
        ("peek virt 0x10 16", Class::TestFailed, "not mapped: a null pointer, or a field of one"),
        ("peek phys 0xffffffffff000 8", Class::TestFailed, "beyond what the processor addresses"),
        ("poke phys 0xffffffffff000 8", Class::TestFailed, "beyond what the processor addresses"),
        ("note h4", Class::Usage, "`h4` is no note"),
        ("source /nowhere/lines", Class::BadInput, "/nowhere/lines"),
        ("fault lost-interupt queue=1", Class::Usage, "lost-interupt"),
    ] {
        let Some(output) = dmus(&["boot", "--json"], &format!("{line}\nload\n")) else { return };
        let answers = objects(&output);
        assert_eq!(answers[0]["ok"], false, "{answers:?}");
        assert!(answers[0]["error"].as_str().unwrap().contains(error), "{line}: {answers:?}");
        assert_eq!(code(&output), i32::from(class.exit_code()), "{line}: {}", said(&output));
        assert_eq!(answers[0]["exit_code"], class.exit_code(), "{line}");
        assert_eq!(answers.len(), 1, "the line behind it was not reached: {answers:?}");
    }
}

#[test]
fn a_line_that_is_not_utf8_is_refused_with_its_number() {
    let Some(output) = dmus(&["boot", "--json"], b"load\nmark \xe4\nwibble\n") else { return };
    assert_eq!(code(&output), i32::from(Class::Usage.exit_code()), "{}", said(&output));
    assert!(said(&output).contains("line 2: error (usage): the line is not UTF-8"), "{}", said(&output));
    let answers = objects(&output);
    assert_eq!((answers.len(), &answers[1]["ok"]), (2, &Value::from(false)), "{answers:?}");
}

#[test]
fn what_is_done_again_and_fails_ends_a_script_with_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.sys");
    let Some((good, _)) = drivers("put_message_sleeps") else { return };
    let image = std::fs::read(&good).unwrap();
    std::fs::write(&cut, &image[..image.len() / 2]).unwrap();
    for (again, class) in [("again", Class::GuestCrashed), ("-again", Class::Usage)] {
        let lines = format!("load\n{again} {}\nwibble\n", text(&cut));
        let Some(output) = dmus(&["boot", "--json", "--driver", text(&good)], &lines) else { return };
        let answers = objects(&output);
        let load = answers.iter().rfind(|answer| answer["line"] == "load").unwrap();
        assert_eq!(load["ok"], false, "{answers:?}");
        assert_eq!(code(&output), i32::from(class.exit_code()), "{again}: {}", said(&output));
    }
}

#[test]
fn a_file_that_reads_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    std::fs::write(&one, format!("help\nsource {}\n", text(&two))).unwrap();
    std::fs::write(&two, format!("help quit\nsource {}\n", text(&one))).unwrap();
    let Some(output) = dmus(&["boot"], &format!("source {}\n", text(&one))) else { return };
    assert_eq!(code(&output), i32::from(Class::Usage.exit_code()), "{}", said(&output));
    let wanted = format!("{}:2: `source {}`: error (usage): {} is not read", two.display(), text(&one), one.display());
    assert!(said(&output).contains(&wanted), "{}", said(&output));
    // What may fail covers the lines of the file.
    let Some(output) = dmus(&["boot"], &format!("-source {}\nsource {}\n", text(&one), text(&one))) else { return };
    assert_eq!(said(&output).matches("is not read").count(), 2, "{}", said(&output));
}

#[test]
fn what_the_card_refuses_fails_the_line_and_the_guest_goes_on() {
    let nonsense = r#"host control='{"cmd":"nonsense"}'"#;
    let lines = format!(
        "load\nstart\nopen\n-{nonsense}\n-host control='{{'\n-advance 10ms\nvoices\nstate run\nadvance 10ms\n\
         {nonsense} fails={{ text = \"nonsense\" }}\n"
    );
    let Some(output) = dmus(&["boot", "--json"], &lines) else { return };
    assert_eq!(code(&output), 0, "{}", said(&output));
    let answers = objects(&output);
    for (answer, error) in answers[3..6].iter().zip(["nonsense", "`{`", "the wave stream is open and does not run"]) {
        assert_eq!((&answer["ok"], &answer["class"]), (&false.into(), &"usage".into()), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains("the card refuses"), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(error), "{answer}");
    }
    assert!(answers[5]["remedy"].as_str().unwrap().contains("state run"), "{}", answers[5]);
}

#[test]
fn what_the_prompt_killed_is_not_blamed_on_the_host() {
    let Some(output) = dmus(&["boot"], "load\nhost kill=qemu\n-start\n-filters\n") else { return };
    let found = said(&output);
    assert!(found.contains("a step `host` with `kill` ended it"), "{found}");
    assert!(!found.contains("something outside the machine"), "{found}");
    assert_eq!(code(&output), i32::from(Class::QemuFailed.exit_code()), "{found}");
}

#[test]
fn a_note_goes_to_the_only_stream_that_takes_music_of_a_guest_that_poses_as_windows_7() {
    let lines = "load\nstart\nopen capture as=in\nopen\nnote c4 100 100ms\n";
    let Some(output) = dmus(&["boot", "--windows", "6.1", "--json"], lines) else { return };
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn every_view_answers_for_people_and_for_programs() {
    let views = "filters\ncounters\ndiag\nvoices\nqueues\nqueues event\nregs\npci\nirq\ndpcs\nthreads\nirps\npool\nobjects\n\
                 peek bar 0+0x4000 4\npeek phys 0x1000\npoke phys 0x1000 0x12345678\npeek phys 0x1000 4 width=4\nmark here\ntrace tail 3 kind=mark\n\
                 property KSPROPERTY_SYNTH_CAPS\nqemu info status\n";
    let lines = format!("load\nstart\nopen state=pause\n{views}");
    let arguments = ["boot", "--json", "--transport", "vfio-user"];
    let Some(output) = dmus(&arguments, &lines) else { return };
    assert_eq!(code(&output), 0, "{}", said(&output));
    let answers = objects(&output);
    let answer = |line: &str| {
        let found = answers.iter().find(|answer| answer["line"] == line);
        found.unwrap_or_else(|| panic!("no answer to {line}: {}", said(&output)))["answer"].clone()
    };
    assert!(!answer("filters")["filters"].as_array().unwrap().is_empty());
    assert!(answer("queues")["queues"].as_array().unwrap().iter().any(|queue| queue["name"] == "wave"));
    assert!(
        !answer("queues event")["queues"][0]["with_device"].as_array().unwrap().is_empty(),
        "the driver posts buffers"
    );
    let registers = answer("regs")["registers"].clone();
    let named = |name: &str| registers.as_array().unwrap().iter().find(|register| register["name"] == name).cloned();
    assert!(named("device_status").unwrap()["decoded"].as_str().unwrap().contains("DRIVER_OK"));
    assert!(named("IDENT").is_some(), "{registers}");
    let functions = answer("pci")["functions"].clone();
    let own = functions.as_array().unwrap().iter().find(|function| function["of_driver"] == true).cloned().unwrap();
    let capabilities = own["capabilities"].to_string();
    assert!(capabilities.contains("MSI-X") && capabilities.contains("virtio: common configuration"), "{capabilities}");
    assert_eq!(answer("irq")["connected"].as_array().unwrap().len(), 1);
    assert!(answer("pool")["bytes"].as_u64().unwrap() > 0);
    let objects = answer("objects")["objects"].clone();
    let held = objects.as_array().unwrap().iter().any(|object| !object["held"].as_array().unwrap().is_empty());
    assert!(held, "the driver holds its port: {objects}");
    assert!(answer("threads")["threads"].as_array().unwrap().iter().any(|thread| thread["state"] == "running"));
    assert_eq!(answer("peek bar 0+0x4000 4")["bytes"], hex::encode("DMUS"), "IDENT");
    assert_eq!(answer("peek phys 0x1000 4 width=4")["bytes"], "78563412");
    assert!(answer("trace tail 3 kind=mark")["records"].to_string().contains("here"));
    assert!(answer("property KSPROPERTY_SYNTH_CAPS")["decoded"]["MaxVoices"].as_u64().unwrap() > 0);
    assert!(answer("qemu info status")["text"].as_str().unwrap().contains("running"));
}

#[test]
fn a_scenario_stops_before_a_step_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steps.toml");
    let steps = "title = \"two notes\"\n[[step]]\nopen = {}\n[[step]]\nname = \"the note\"\n\
                 play = { events = [{ data = \"90 3c 64\" }] }\n[[step]]\nexpect = { no_diagnosis = true }\n";
    std::fs::write(&file, steps).unwrap();
    let arguments = ["boot", "--json", "--scenario", text(&file), "--stop-at"];
    let with = |step: &'static str| arguments.iter().copied().chain([step]).collect::<Vec<_>>();
    let lines = "expect value=card.events equals=0\ncontinue\nexpect value=play.events min=1\n";
    let Some(output) = dmus(&with("the note"), lines) else { return };
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(objects(&output).iter().all(|answer| answer["ok"] == true), "{}", said(&output));
    let output = dmus(&with("the nte"), "").unwrap();
    assert_eq!(code(&output), i32::from(Class::Usage.exit_code()));
    assert!(said(&output).contains("did you mean `the note`?"), "{}", said(&output));
}

#[test]
fn a_run_opens_the_prompt_where_a_step_failed_and_keeps_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let (file, saved) = (folder.path().join("steps.toml"), folder.path().join("saved.toml"));
    let steps = "title = \"expects too much\"\n[[step]]\nopen = {}\n[[step]]\n\
                 expect = { value = \"card.notes_lost\", min = 1 }\n[[step]]\nclose = \"song\"\n";
    std::fs::write(&file, steps).unwrap();
    let lines = format!("voices\nsave {}\nquit\n", text(&saved));
    let Some(output) = dmus(&["run", text(&file), "--prompt-on-failure"], &lines) else { return };
    let found = said(&output);
    assert_eq!(code(&output), i32::from(Class::TestFailed.exit_code()), "{found}");
    assert!(found.contains("the prompt is where that happened"), "{found}");
    assert!(found.contains("stream 0: RENDER STOP"), "the stream of the first step is open: {found}");
    let saved = std::fs::read_to_string(&saved).unwrap();
    assert_eq!(saved.matches("[[step]]").count(), 2, "the step that failed is the last: {saved}");
}
