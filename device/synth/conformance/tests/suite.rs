//! The suite holds for this project's synthesizer, can fail, and is what is checked in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dls_conformance::case::Case;
use dls_conformance::compare;
use dls_conformance::judge::Verdict;
use dls_conformance::render::Renderer;
use dls_conformance::run::{Place, run};
use dls_conformance::{cases, report, store};

fn place() -> Place {
    Place::new(None).unwrap()
}

fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn verdict(case: &Case, place: &Place) -> Verdict {
    run(&Renderer::Own, &case.files(), place).unwrap()
}

#[test]
fn every_case_holds_for_this_projects_synthesizer() {
    let place = place();
    let mut wrong = String::new();
    for case in cases::all() {
        let files = case.files();
        let verdict = run(&Renderer::Own, &files, &place).unwrap();
        if !verdict.passed {
            wrong += &report::case(&files.expectations, &verdict);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Cases that hold whatever an instrument says: they are about the defaults, about MIDI, or about the file.
const WITHOUT_CONNECTIONS: &[&str] = &[
    "pitch/absolute",
    "pitch/keys",
    "pitch/wheel",
    "pitch/wheel-while-sounding",
    "pitch/bend-range",
    "pitch/bend-range-cents",
    "pitch/fine-tuning",
    "pitch/fine-tuning-steps",
    "pitch/coarse-tuning",
    "pitch/coarse-tuning-drums",
    "pitch/null-parameter",
    "pitch/unregistered-parameter",
    "gain/velocity",
    "gain/volume",
    "gain/expression",
    "gain/sum",
    "gain/volume-while-sounding",
    "gain/power-on",
    "gain/wave",
    "gain/region",
    "gain/silence",
    "pan/law",
    "pan/while-sounding",
    "lfo/unconnected",
    "eg1/defaults",
    "eg1/attack-none",
    "eg1/zero-is-zero",
    "eg1/shutdown-default",
    "filter/open",
    "filter/beyond-nyquist",
    "sample/",
    "voice/",
    "channel/",
    "effect/nothing-sent",
    "effect/reverb",
    "effect/chorus",
    "file/region-header",
    "condition/",
];

#[test]
fn a_synthesizer_that_ignores_connections_fails_the_cases_about_connections() {
    let place = place();
    let held: Vec<&str> = cases::all()
        .iter()
        .filter(|case| case.font.is_none())
        .filter(|case| {
            let exempt = |name: &&str| case.id() == *name || (name.ends_with('/') && case.id().starts_with(*name));
            !WITHOUT_CONNECTIONS.iter().any(exempt)
        })
        .filter(|case| verdict(&case.without_connections(), &place).passed)
        .map(Case::id)
        .collect();
    assert!(held.is_empty(), "these cases cannot tell: {held:?}");
}

/// Cases of SoundFonts that hold whatever zones say: they are about defaults, about MIDI, about samples, or say that something
/// is ignored.
const WITHOUT_GENERATORS: &[&str] = &[
    "sf2-preset/first-counts",
    "sf2-zone/exclusive-class-of-preset",
    "sf2-sample/rom",
    "sf2-sample/low-bits",
    "sf2-pitch/keys",
    "sf2-pitch/root-key",
    "sf2-pitch/root-key-of-unpitched",
    "sf2-pitch/root-key-beyond-midi",
    "sf2-pitch/overriding-root-key-none",
    "sf2-pitch/correction",
    "sf2-pitch/correction-down",
    "sf2-pitch/sample-rate",
    "sf2-pitch/wheel",
    "sf2-pitch/wheel-sensitivity",
    "sf2-gain/attenuation-below-none",
    "sf2-gain/velocity",
    "sf2-gain/volume",
    "sf2-gain/expression",
    "sf2-gain/sum",
    "sf2-pan/controller",
    "sf2-volume-envelope/sustain-full",
    "sf2-volume-envelope/release-default",
    "sf2-oscillator/wheel-opens-vibrato",
    "sf2-oscillator/pressure-opens-vibrato",
    "sf2-filter/open",
];

#[test]
fn a_synthesizer_that_ignores_generators_and_modulators_fails_the_cases_about_them() {
    let place = place();
    let held: Vec<&str> = cases::all()
        .iter()
        .filter(|case| case.font.is_some() && !WITHOUT_GENERATORS.contains(&case.id()))
        .filter(|case| verdict(&case.without_generators(), &place).passed)
        .map(Case::id)
        .collect();
    assert!(held.is_empty(), "these cases cannot tell: {held:?}");
}

#[test]
fn a_synthesizer_that_ignores_a_kind_of_message_fails_the_cases_about_it() {
    let place = place();
    let held: Vec<&str> = cases::all()
        .iter()
        .filter(|case| case.score.without_messages_after_the_beginning() != case.score)
        .filter(|case| {
            let mut deaf = (*case).clone();
            deaf.score = case.score.without_messages_after_the_beginning();
            verdict(&deaf, &place).passed
        })
        .map(Case::id)
        .collect();
    // These ask for a message to do nothing, or only choose programs that are all alike.
    let nothing_happens = [
        "filter/open",
        "filter/beyond-nyquist",
        "sample/no-wave-sample",
        "sample/extensible",
        "condition/instrument",
        "condition/stack",
        "pitch/coarse-tuning-off",
        "pitch/coarse-tuning-drums",
        "pitch/null-parameter",
        "pitch/unregistered-parameter",
        "lfo/unconnected",
        "effect/nothing-sent",
        "sf2-preset/percussion",
        "sf2-gain/attenuation-below-none",
        "sf2-filter/open",
        "sf2-filter/slope",
        "sf2-filter/cutoff-sum",
        "sf2-modulator/constant",
    ];
    let held: Vec<&str> = held.into_iter().filter(|id| !nothing_happens.contains(id)).collect();
    assert!(held.is_empty(), "these cases cannot tell: {held:?}");
}

#[test]
fn names_are_paths_and_no_two_are_alike() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        assert_eq!(case.id().split('/').count(), 2, "{}", case.id());
        assert!(case.id().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-/".contains(&b)));
        assert!(seen.insert(case.id()), "{} twice", case.id());
    }
}

#[test]
fn the_checked_in_files_equal_those_that_are_built() {
    let folder = checked_in();
    let mut built: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for files in store::built() {
        built.extend(files.named().into_iter().map(|(name, bytes)| (folder.join(name), bytes)));
    }
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    let remedy = "run `cargo run -p dls-conformance -- build device/synth/conformance/cases`";
    for path in &found {
        let wanted = built.remove(path).unwrap_or_else(|| panic!("{} is not of the suite: {remedy}", path.display()));
        assert!(fs::read(path).unwrap() == wanted, "{} is not what is built: {remedy}", path.display());
    }
    assert!(built.is_empty(), "missing: {:?}: {remedy}", built.keys());
}

#[test]
fn the_text_form_contains_all_that_a_runner_needs() {
    let read = store::read(&checked_in()).unwrap();
    let mut built = store::built();
    built.sort_by(|a, b| a.expectations.id.cmp(&b.expectations.id));
    assert_eq!(read.len(), built.len());
    for (read, built) in read.iter().zip(&built) {
        assert_eq!(read.expectations, built.expectations);
        assert!(read.named() == built.named(), "{}", read.expectations.id);
    }
}

#[test]
fn a_song_renders_the_same_twice_and_in_the_time_of_its_file() {
    let comparison = compare::compare([&Renderer::Own, &Renderer::Own], &place()).unwrap();
    assert!(comparison.agrees());
    for row in comparison.rows {
        assert!(row.pitch_difference < 1e-9 && row.onset_difference() == 0.0);
        // A millisecond is 44.1 frames.
        assert!(row.onsets[0].abs() < 1.5 / 44_100.0, "{row:?}");
    }
}

#[test]
fn names_a_command_that_fails_writes_nothing_or_has_another_rate() {
    let case = &cases::all()[0];
    let outcome = |line: &str| run(&Renderer::of(line)?, &case.files(), &place());
    let failed = outcome("echo broken {dls} {mid} {wav}; exit 3").unwrap();
    let error = failed.error.unwrap();
    assert!(error.contains("exit status: 3") && error.contains("broken"), "{error}");
    let silent = outcome("true {dls} {mid} {wav}").unwrap();
    assert!(silent.error.unwrap().contains("wrote no"));
    let error = outcome("fluidsyn").unwrap_err().to_string();
    assert!(error.contains("fluidsynth") && error.contains("{wav}"), "{error}");
    let error = outcome("no-such-synthesizer {dls} {mid} {wav}").unwrap_err().to_string();
    assert!(error.contains("no-such-synthesizer") && error.contains("not found"), "{error}");
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 22_050,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.wav");
    hound::WavWriter::create(&path, spec).unwrap().finalize().unwrap();
    let error = outcome(&format!("cp '{}' {{wav}} # {{dls}} {{mid}}", path.display())).unwrap_err().to_string();
    assert!(error.contains("22050") && error.contains("44100"), "{error}");
}
