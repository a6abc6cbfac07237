//! What discs are, and what is refused before a guest starts.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::disc::{Home, json, named, said, wim, write_disc};

/// The least ISO 9660 disc: a descriptor, and a root with names.
fn small_disc(names: &[&str]) -> Vec<u8> {
    let mut disc = vec![0; 40 * 2048];
    let descriptor = &mut disc[16 * 2048..17 * 2048];
    descriptor[0] = 1;
    descriptor[1..6].copy_from_slice(b"CD001");
    descriptor[40..72].copy_from_slice(b"SMALL                           ");
    descriptor[156 + 2..156 + 6].copy_from_slice(&20_u32.to_le_bytes());
    descriptor[156 + 10..156 + 14].copy_from_slice(&2048_u32.to_le_bytes());
    disc[17 * 2048] = 255;
    disc[17 * 2048 + 1..17 * 2048 + 6].copy_from_slice(b"CD001");
    let mut at = 20 * 2048;
    for name in names {
        let length = 33 + name.len() + name.len() % 2;
        disc[at] = u8::try_from(length).unwrap();
        disc[at + 2..at + 6].copy_from_slice(&21_u32.to_le_bytes());
        disc[at + 32] = u8::try_from(name.len()).unwrap();
        disc[at + 33..at + 33 + name.len()].copy_from_slice(name.as_bytes());
        at += length;
    }
    disc
}

fn refused(home: &Home, arguments: &[&str], code: i32, cause: &str) {
    let output = home.image(arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(cause) && text.contains("remedy: "), "{arguments:?}: {text}");
}

#[test]
fn discs_of_old_systems_are_known_by_their_marks() {
    let home = Home::new();
    let path = home.path("old.iso");
    for (mark, system) in
        [("WIN51IP.;1", "Windows XP"), ("WIN51AP", "64 bit"), ("WIN51IS;1", "Server 2003"), ("CDROM_NT.5;1", "2000")]
    {
        fs::write(&path, small_disc(&["X", mark])).unwrap();
        let text = said(&home.image(&["info", "old.iso"]));
        assert!(text.contains(system) && text.contains("SMALL") && text.contains("starts no machine"), "{text}");
    }
    let build = ["build", "--iso", "old.iso", "--name", "one", "--package", "package", "--agent", "agent.exe"];
    refused(&home, &build, 8, "Windows 2000 is identified, but not installed unattended here");
}

#[test]
fn what_is_no_installation_disc_is_refused_with_its_cause() {
    let home = Home::new();
    fs::write(home.path("text.iso"), "this is no disc").unwrap();
    fs::write(home.path("other.iso"), small_disc(&["README.TXT"])).unwrap();
    refused(&home, &["info", "text.iso"], 8, "is no disc");
    refused(&home, &["info", "other.iso"], 8, "no installation disc that is known");
    refused(&home, &["build", "--iso", "absent.iso", "--name", "x"], 8, "absent.iso");
    refused(&home, &["info", "absent"], 2, "there is no image absent");
    refused(&home, &["info", "package"], 8, "is a directory");
    refused(&home, &["remove", "../x"], 2, "no name of an image");
    refused(&home, &["build", "--iso", "other.iso", "--name", "x", "--limit", "copy=never"], 2, "is no limit");
}

#[test]
fn no_disc_however_damaged_ends_the_program_or_takes_its_memory() {
    let home = Home::new();
    let path = home.path("damaged.iso");
    let good = small_disc(&["SOURCES", "REACTOS", "WIN51IP.;1"]);
    for length in (0..good.len()).step_by(1021) {
        fs::write(&path, &good[..length]).unwrap();
        judged(&path);
    }
    // Each byte that means something, as a number that is too large.
    for at in (16 * 2048..16 * 2048 + 256).chain(20 * 2048..20 * 2048 + 128) {
        let mut bad = good.clone();
        bad[at] = 0xff;
        fs::write(&path, &bad).unwrap();
        judged(&path);
    }
}

#[test]
fn a_udf_disc_is_known_by_its_images_and_survives_damage() {
    let Some(writer) = named("DMUS_GENISOIMAGE") else { return };
    let home = Home::new();
    let path = home.path("disc.iso");
    let editions = [("Windows 10 Home", "Core", 19045, 9), ("Windows 10 Pro", "Professional", 19045, 9)];
    let wim = wim(&editions);
    write_disc(&writer, &path, "CCCOMA", &[("sources/install.wim", &wim), ("setup.exe", b"MZ")], None);
    let text = said(&home.image(&["info", "disc.iso"]));
    assert!(text.contains("Windows 10, build 19045, 64 bit, 2 editions"), "{text}");
    assert!(text.contains("edition      2 Windows 10 Pro, Professional, en-US"), "{text}");
    let info = json(&home.image(&["info", "disc.iso", "--json"]));
    assert_eq!((&info["volume"], &info["editions"][1]["edition"]), (&"CCCOMA".into(), &"Professional".into()));

    let good = fs::read(&path).unwrap();
    // Without ISO 9660 only UDF has the file.
    let mut udf_only = good.clone();
    udf_only[16 * 2048..20 * 2048].fill(0);
    fs::write(&path, &udf_only).unwrap();
    assert!(said(&home.image(&["info", "disc.iso"])).contains("build 19045"));
    let meaningful = (0..udf_only.len()).filter(|at| udf_only[*at] != 0).collect::<Vec<_>>();
    assert!(meaningful.len() > 1000);
    let disc = fs::File::options().write(true).open(&path).unwrap();
    for at in meaningful {
        disc.write_all_at(&[!udf_only[at]], at as u64).unwrap();
        judged(&path);
        disc.write_all_at(&[udf_only[at]], at as u64).unwrap();
    }

    let build = ["build", "--iso", "disc.iso", "--name", "one", "--package", "package", "--agent", "agent.exe"];
    fs::write(&path, &good).unwrap();
    refused(&home, &build, 8, "1 (Windows 10 Home), 2 (Windows 10 Pro)");
    let edition = [&build[..], &["--edition", "Professional"]].concat();
    refused(&home, &[&edition[..], &["--product-key", "XXXXX"]].concat(), 8, "is no product key");
    refused(
        &home,
        &[&edition[..7], &["--edition", "2", "--agent", "package/my.sys"]].concat(),
        7,
        "no program for Windows",
    );
    fs::remove_file(home.path("package/my.inf")).unwrap();
    refused(&home, &edition, 8, "0 INF files");
}

#[test]
fn windows_8_1_needs_a_product_key() {
    let Some(writer) = named("DMUS_GENISOIMAGE") else { return };
    let home = Home::new();
    let wim = wim(&[("Windows 8.1 Pro", "Professional", 9600, 0)]);
    write_disc(&writer, &home.path("disc.iso"), "IR5", &[("sources/install.wim", &wim)], None);
    let build = ["build", "--iso", "disc.iso", "--name", "one", "--package", "package", "--agent", "agent.exe"];
    refused(&home, &build, 8, "asks for a product key");
}

/// Identifies a disc, which succeeds or is refused, and does no more.
fn judged(path: &Path) {
    if let Err(error) = dmus::image::media::Media::identify(path) {
        assert!(!error.to_string().is_empty());
    }
}
