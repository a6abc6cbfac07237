//! Scenarios in an image: the stand-in ends in the NT host, entered from the image's disk with the driver that was installed, and speaks on COM1's
//! reliable line as an agent does. One image serves all of it; what it does wrong is a word on its disk, which a copy of the image has another of.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use dmus::host::failure::Class;
use dmus::kills::Prepared;
use dmus::machine::{Accelerator, Device};
use dmus::provision::{Artefacts, Workspace, firmware_of};
use dmus::testbed::{Choice, Provisioned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::disc::{Home, behaviour_file, json, kernel_disc, named, said};

/// The programs and images that runs need, written for the runs to read. `None`, with a note, where a variable names none.
fn prepared(home: &Home, name: &str, driver: PathBuf) -> Option<PathBuf> {
    let (card, nt_host) = (named("DMUS_CARD")?, named("DMUS_NT_HOST")?);
    let qemu = named("DMUS_QEMU")?;
    let choice = Choice { accelerator: Accelerator::Tcg, reason: "it runs everywhere".into() };
    let firmware = firmware_of(&qemu);
    let provisioned = Provisioned {
        artefacts: Artefacts { card, nt_host, driver, qemu },
        accelerator: choice,
        firmware,
        device: Device::default(),
        image: None,
        debugging: None,
    };
    let path = home.path(name);
    let prepared = Prepared { workspace: Workspace::find().unwrap(), provisioned };
    fs::write(&path, serde_json::to_vec(&prepared).unwrap()).unwrap();
    Some(path)
}

/// Runs scenarios in an image.
fn run(home: &Home, prepared: &Path, guest: &str, more: &[&str]) -> Output {
    let prepared = prepared.to_str().unwrap();
    let all = ["--guest", guest, "--prepared", prepared, "--json"];
    home.dmus("run", &[&all[..], more].concat())
}

/// Copies the image with another behaviour.
fn faulty(home: &Home, behaviour: &str) -> String {
    let name = behaviour.to_owned();
    let (from, to) = (home.images().join("one"), home.images().join(&name));
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let disk = to.join("disk.0.qcow2");
    let bytes = fs::read(&disk).unwrap();
    let (before, after) = (behaviour_file("good"), behaviour_file(behaviour));
    let places: Vec<usize> =
        (0..bytes.len() - before.len()).filter(|at| bytes[*at..].starts_with(before.as_bytes())).collect();
    assert!(!places.is_empty(), "the disk has no {before:?}");
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o644)).unwrap();
    let file = File::options().write(true).open(&disk).unwrap();
    places.iter().for_each(|at| file.write_all_at(after.as_bytes(), *at as u64).unwrap());
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o444)).unwrap();
    name
}

fn hash(home: &Home) -> [u8; 32] {
    Sha256::digest(fs::read(home.folder(false).join("disk.0.qcow2")).unwrap()).into()
}

/// Returns the one test of a run.
fn only_test(output: &Output) -> Value {
    let report = json(output);
    assert_eq!(report["tests"].as_array().map(Vec::len), Some(1), "{}", said(output));
    report["tests"][0].clone()
}

/// Runs a case in an image with an injected fault, and checks what the harness says of it.
fn fails(home: &Home, prepared: &Path, behaviour: &str, class: Class, cause: &str, more: &[&str]) {
    let image = faulty(home, behaviour);
    let one = ["songs", "--filter", "song=tide transport=vhost-user"];
    let output = run(home, prepared, &image, &[&one[..], more].concat());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(class.exit_code().into()), "{behaviour}: {text}");
    assert!(text.contains(cause), "{behaviour}: {text}");
    let folder = PathBuf::from(only_test(&output)["run_folder"].as_str().unwrap());
    // What the guest has written is kept where it failed, beside the image that it was started from.
    assert!(folder.join("overlay.qcow2").is_file() && folder.join("dump.img").is_file(), "{behaviour}");
    let screen = folder.join("screen.png");
    assert_eq!(screen.is_file(), class != Class::InstallerStuck, "{behaviour}: a machine that is off shows nothing");
    if class == Class::GuestCrashed {
        let report = fs::read_to_string(folder.join("bug-check.txt")).unwrap();
        assert!(report.contains("0x000000d1 DRIVER_IRQL_NOT_LESS_OR_EQUAL (0x10, 0x2, 0x0,"), "{report}");
        // The place is by the driver's PDB.
        assert!(report.contains("dmuscard.sys+0x") && report.contains("DriverEntry"), "{report}");
    }
    if screen.is_file() {
        assert!(fs::read(&screen).unwrap().starts_with(b"\x89PNG"));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_installed_image_runs_scenarios_and_each_way_to_fail_has_its_exit_code() {
    let home = Home::new();
    let Some(driver) = named("DMUS_DRIVER") else { return };
    // The same driver with another time stamp is another file.
    let mut image = fs::read(&driver).unwrap();
    let stamp = u32::from_le_bytes(image[0x3c..0x40].try_into().unwrap()) as usize + 8;
    image[stamp] ^= 1;
    fs::write(home.path("other.sys"), image).unwrap();
    let other = prepared(&home, "other.json", home.path("other.sys"));
    let prepared = prepared(&home, "prepared.json", driver);
    let (Some(other), Some(prepared), Some(())) = (other, prepared, kernel_disc(&home, "good")) else { return };
    let built = home.build(&[]);
    assert!(built.status.success(), "{}", said(&built));
    let before = hash(&home);

    // The songs come out of the driver in the image as the card renders them offline, over both transports.
    let songs = run(&home, &prepared, "one", &["songs", "--filter", "tide"]);
    let report = json(&songs);
    assert!(songs.status.success() && report["passed"] == 2, "{}", said(&songs));
    let hashes: Vec<&Value> = report["tests"].as_array().unwrap().iter().map(|test| &test["pcm_sha256"]).collect();
    assert!(hashes[0] == hashes[1] && hashes[0].is_string(), "{}", said(&songs));
    for folder in report["run_folders"].as_array().unwrap() {
        let folder = Path::new(folder.as_str().unwrap());
        let command = fs::read_to_string(folder.join("command.json")).unwrap();
        assert!(command.contains("overlay.qcow2") && !command.contains("-kernel"), "{command}");
        assert!(!folder.join("overlay.qcow2").exists(), "the overlay of a run that passed is removed");
        fs::remove_dir_all(folder).unwrap();
    }
    assert_eq!(hash(&home), before, "no run writes to the image");
    assert!(home.image(&["check", "one"]).status.success());

    // What only the NT host does is skipped with its reason.
    let skipped = run(&home, &prepared, "one", &["contract"]);
    assert!(skipped.status.success(), "{}", said(&skipped));
    let report = json(&skipped);
    assert!(report["skipped"].as_u64().unwrap() > 0 && report["passed"] == 0, "{}", said(&skipped));
    assert!(said(&skipped).contains("run it without --guest"), "{}", said(&skipped));

    let absent = run(&home, &prepared, "absent", &["songs"]);
    assert_eq!(absent.status.code(), Some(2), "{}", said(&absent));

    let differs = run(&home, &other, "one", &["songs", "--filter", "song=tide transport=vhost-user"]);
    assert_eq!(differs.status.code(), Some(Class::BadInput.exit_code().into()), "{}", said(&differs));
    assert!(said(&differs).contains("the image one holds a driver"), "{}", said(&differs));
    fs::remove_dir_all(only_test(&differs)["run_folder"].as_str().unwrap()).unwrap();

    std::thread::scope(|scope| {
        let fails = |behaviour, class, cause, more| {
            let (home, prepared) = (&home, &prepared);
            scope.spawn(move || fails(home, prepared, behaviour, class, cause, more))
        };
        let no_agent: &[&str] = &["--boot-timeout", "20"];
        let silent: &[&str] = &["--timeout", "5"];
        fails("run-no-agent", Class::NotStarted, "has not said that it is ready after 20 s", no_agent);
        fails("run-silent", Class::AgentSilent, "has not answered Hello after 5 s", silent);
        fails("run-other-version", Class::AgentSilent, "of the guest protocol, and this harness version", &[]);
        fails("run-turns-off", Class::InstallerStuck, "turned itself off", &[]);
        fails("run-blue-screen", Class::GuestCrashed, "DRIVER_IRQL_NOT_LESS_OR_EQUAL", &[]);
    });
}
