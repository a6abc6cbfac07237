//! Installers that do not come to their end: each is distinguished from the others, with an exit code, a remedy, and its screen.

use std::fs;

use crate::disc::{Home, said, stand_in_disc};

/// Builds an image of a stand-in with a fault, and returns what the program said.
fn refused(behaviour: &str, limits: &[&str], code: i32, cause: &str) {
    let home = Home::new();
    let Some(()) = stand_in_disc(&home, behaviour) else { return };
    let limits: Vec<&str> = limits.iter().flat_map(|limit| ["--limit", limit]).collect();
    let output = home.build(&limits);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{behaviour}: {text}");
    assert!(text.contains(cause) && text.contains("remedy: "), "{behaviour}: {text}");
    // The picture is there, and is one.
    let screen = home.folder(true).join("screen.png");
    assert!(text.contains(screen.to_str().unwrap()), "{behaviour}: {text}");
    assert!(fs::read(&screen).unwrap().starts_with(b"\x89PNG"));
    assert!(!home.folder(false).exists(), "{behaviour}: a half-made image is not taken for a good one");
}

#[test]
fn a_disc_that_never_prompts_is_not_started() {
    refused("never-prompts", &["start=0.4"], 13, "no more than its boot sector");
}

#[test]
fn an_answer_file_that_is_not_taken_leaves_the_installer_waiting_for_a_person() {
    refused("wrong-answer", &["still=0.25"], 14, "waits for a person, or hangs");
}

#[test]
fn an_installer_that_hangs_stands_still() {
    refused("hangs", &["still=0.25"], 14, "phase copy");
}

#[test]
fn an_installer_without_room_on_its_disk_stands_still() {
    refused("disk-full", &["still=0.25"], 14, "phase copy");
}

#[test]
fn a_guest_that_restarts_for_ever_is_stopped() {
    let home = Home::new();
    let Some(()) = stand_in_disc(&home, "reboots-for-ever") else { return };
    // A start takes as long as the firmware does: all but the last ones are those of a build that stopped and is gone on with.
    let stopped = home.build(&["--limit", "configure=0.001"]);
    assert_eq!(stopped.status.code(), Some(4), "{}", said(&stopped));
    let manifest = home.folder(true).join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("\"restarts\": 1,"), "{text}");
    fs::write(&manifest, text.replace("\"restarts\": 1,", "\"restarts\": 7,")).unwrap();
    let output = home.build(&["--resume"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(15), "{text}");
    assert!(text.contains("has restarted 9 times") && text.contains("remedy: "), "{text}");
    assert!(fs::read(home.folder(true).join("screen.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(!home.folder(false).exists(), "a half-made image is not taken for a good one");
}

#[test]
fn a_blue_screen_on_which_nothing_moves_is_a_crash_long_before_the_limit_for_what_stands_still() {
    refused("blue-screen", &["crash=0.2"], 3, "bug check of Windows 10 and 11");
}

#[test]
fn a_step_that_fails_is_named_with_its_code() {
    refused("step-fails", &[], 16, "the step driver of setup.cmd failed with -536870333");
}

#[test]
fn secure_boot_is_named() {
    refused("secure-boot", &[], 16, "Secure Boot is on");
}

#[test]
fn an_agent_that_does_not_answer_is_silent() {
    refused("silent-agent", &["answer=0.3"], 17, "has not answered Hello");
}

#[test]
fn an_agent_that_does_not_come_is_waited_for_no_longer_than_its_limit() {
    refused("no-agent", &["agent=0.4"], 17, "has not said that it is ready");
}
