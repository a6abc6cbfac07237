//! Builds that come to their end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dmus::image::read_payload;

use crate::disc::{Home, json, said, stand_in_disc};

#[test]
fn installs_the_stand_in_from_its_disc_into_an_image_that_is_whole() {
    let home = Home::new();
    let Some(()) = stand_in_disc(&home, "good") else { return };
    let built = home.build(&["--json"]);
    assert!(built.status.success(), "{}", said(&built));
    let made = json(&built);
    assert_eq!((&made["whole"], &made["manifest"]["restarts"]), (&true.into(), &3.into()));
    assert!(made["manifest"]["guest"].as_str().unwrap().starts_with("stand-in "));
    assert_eq!(made["manifest"]["edition"]["name"], "Stand-in for Windows 11 Pro");
    let notes = String::from_utf8_lossy(&built.stderr);
    for said in ["set-up: certificates", "set-up: driver", "set-up: crash-control", "the agent answers"] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    // One file that nothing writes any more, and no product key or half-made part beside it.
    let disk = home.folder(false).join("disk.0.qcow2");
    assert_eq!(fs::metadata(&disk).unwrap().permissions().mode() & 0o777, 0o444);
    // All layers are in it: the stage that the last start reads.
    let stage = fs::read(&disk).unwrap();
    assert!(stage.windows(17).any(|bytes| bytes == b"dmus stand-in v1\x04"));
    for gone in ["payload.img", "disk.1.qcow2", "disk.3.qcow2", "lock"] {
        assert!(!home.folder(false).join(gone).exists(), "{gone}");
    }
    assert!(!home.folder(true).exists());
    assert!(home.image(&["check", "one"]).status.success());
    assert!(said(&home.image(&["info", "one"])).contains("Stand-in for Windows 11 Pro, build 26100"));
    assert!(said(&home.image(&["list"])).contains("whole"));
    let again = home.build(&[]);
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
    assert!(said(&again).contains("there is an image one already"));
    assert!(home.image(&["remove", "one"]).status.success());
    assert_eq!(home.image(&["check", "one"]).status.code(), Some(2));
}

#[test]
fn puts_the_checkouts_agent_on_the_payload_where_none_is_named() {
    let home = Home::new();
    let Some(()) = stand_in_disc(&home, "never-prompts") else { return };
    let build =
        ["build", "--iso", "disc.iso", "--name", "one", "--package", "package", "--disk", "1", "--memory", "512"];
    let stopped = home.image(&[&build[..], &["--accel", "tcg", "--limit", "start=0.001"]].concat());
    assert_eq!(stopped.status.code(), Some(13), "{}", said(&stopped));
    let agent = read_payload(&home.folder(true).join("payload.img"), "dmus-agent.exe").unwrap().unwrap();
    assert!(agent.starts_with(b"MZ"));
    // A program for x64: its text is UTF-16 or ASCII of the options that setup.cmd names.
    let names = |word: &[u8]| agent.windows(word.len()).any(|bytes| bytes == word);
    assert!(names(b"--install") && names(b"--service"));
    let script = read_payload(&home.folder(true).join("payload.img"), "setup.cmd").unwrap().unwrap();
    assert!(String::from_utf8(script).unwrap().contains("dmus-agent.exe\" --install"));
}

#[test]
fn goes_on_from_the_last_restart_of_a_build_that_stopped() {
    let home = Home::new();
    let Some(()) = stand_in_disc(&home, "good") else { return };
    let absent = home.build(&["--resume"]);
    assert_eq!(absent.status.code(), Some(2), "{}", said(&absent));
    // Too little time for a start from the disk.
    let stopped = home.build(&["--limit", "agent=0.001"]);
    assert_eq!(stopped.status.code(), Some(17), "{}", said(&stopped));
    assert!(home.folder(true).join("screen.png").is_file());
    assert!(!home.folder(false).exists(), "a half-made image is not taken for a good one");
    assert!(said(&home.image(&["list"])).contains("half-made (agent)"));
    assert_eq!(home.image(&["check", "one"]).status.code(), Some(9));
    let anew = home.build(&[]);
    assert_eq!(anew.status.code(), Some(2), "{}", said(&anew));
    assert!(said(&anew).contains("--resume"));
    let resumed = home.build(&["--resume", "--json"]);
    assert!(resumed.status.success(), "{}", said(&resumed));
    assert_eq!(json(&resumed)["manifest"]["restarts"], 3);
    assert!(!said(&resumed).contains("set-up: driver"), "what was done is not done again: {}", said(&resumed));
}
