//! The lines of a scenario that choose driver, card and machine as a run had them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use card_trace::{Act, Record};
use serde_json::Value;

use crate::host::file_error::FileError;
use crate::trace::guest_failure::{COMMAND_FILE, driver_of};

/// The project's driver, which a scenario has where it names none.
const DRIVER_NAME: &str = "dmuscard.sys";

/// Members of `command.json` that are those of a scenario's table `[machine]`.
const MACHINE: [&str; 6] = ["processors", "seed", "interrupts", "messages", "bars", "windows"];

/// Returns the lines, for a recording in a file or a run folder. A file by itself says nothing about driver and machine: those are a scenario's
/// own then.
///
/// # Errors
/// [`FileError`] when the folder's `command.json` is there and cannot be read.
pub fn setting(file: &Path, records: &[Record]) -> Result<String, FileError> {
    let path = file.join(COMMAND_FILE);
    let command = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| FileError::input(&path)(error.into()))?,
        Err(_) if !path.exists() => Value::Null,
        Err(error) => return Err(FileError::input(&path)(error)),
    };
    let driver = driver_of(file).filter(|path| !path.ends_with(DRIVER_NAME));
    let driver = driver.map_or_else(String::new, |path| format!("driver = {}\n", Value::from(path.to_string_lossy())));
    Ok(driver + &policy(&command["policy"]) + &card(records) + &machine(&command))
}

/// Returns what does not stop the guest. Tables come behind the key.
fn policy(policy: &Value) -> String {
    let mut text = String::new();
    if policy["keep_going"] == true {
        text += "keep_going = true\n";
    }
    for (rule, reason) in policy["waived"].as_object().into_iter().flatten() {
        let _ = write!(text, "\n[[waive]]\nrule = {rule}\nreason = {reason}\n");
    }
    text
}

fn card(records: &[Record]) -> String {
    let start = records.iter().find_map(|record| if let Act::Card(start) = record.act() { Some(start) } else { None });
    let Some(start) = start else { return String::new() };
    let lines = [(start.vfio_user, "transport = \"vfio-user\"\n"), (!start.lockstep, "clock = \"realtime\"\n")];
    table("card", lines.iter().filter(|(other, _)| *other).map(|(_, line)| (*line).to_owned()).collect())
}

fn machine(command: &Value) -> String {
    let is_usual = |name: &str, value: &Value| name == "processors" && *value == 1;
    let lines = MACHINE.iter().filter_map(|name| {
        let value = command.get(name).filter(|value| !value.is_null() && !is_usual(name, value))?;
        Some(format!("{name} = {value}\n"))
    });
    table("machine", lines.collect())
}

fn table(name: &str, lines: String) -> String {
    if lines.is_empty() { lines } else { format!("\n[{name}]\n{lines}") }
}

#[cfg(test)]
mod tests {
    use crate::host::leftovers::Scratch;
    use crate::trace::fixture;

    use super::*;

    #[test]
    fn a_scenario_has_the_driver_the_machine_and_the_waivers_of_the_run() {
        let folder = Scratch::new().unwrap();
        let command = serde_json::json!({
            "processors": 2, "seed": "1f", "interrupts": "message",
            "policy": { "waived": { "33": "one \"stream\"" }, "keep_going": true },
            "qemu": ["-fw_cfg", "name=opt/dmus/driver.sys,file=/a/my.sys"],
        });
        fs::write(folder.path().join(COMMAND_FILE), command.to_string()).unwrap();
        let text = setting(folder.path(), &fixture::trace(|_| {}).records).unwrap();
        assert_eq!(
            text,
            "driver = \"/a/my.sys\"\nkeep_going = true\n\n[[waive]]\nrule = 33\nreason = \"one \\\"stream\\\"\"\n\
             \n[machine]\nprocessors = 2\nseed = \"1f\"\ninterrupts = \"message\"\n"
        );
        assert!(toml::from_str::<toml::Table>(&text).is_ok());
    }

    #[test]
    fn a_file_by_itself_and_the_usual_machine_need_no_lines() {
        let folder = Scratch::new().unwrap();
        assert_eq!(setting(&folder.path().join("card.trace"), &[]).unwrap(), "");
        fs::write(folder.path().join(COMMAND_FILE), r#"{"processors": 1}"#).unwrap();
        assert_eq!(setting(folder.path(), &[]).unwrap(), "");
        fs::write(folder.path().join(COMMAND_FILE), "{").unwrap();
        assert!(setting(folder.path(), &[]).is_err());
    }
}
