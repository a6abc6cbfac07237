//! The benchmark itself, as a program, with the synthesizers that are built in. Takes six seconds: it is not about
//! times here, but about each synthesizer sounding all its voices, and about the form of the figures.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

#[test]
fn writes_every_figure_of_a_quick_comparison() {
    let output = Command::new(env!("CARGO_BIN_EXE_dls-synth-bench"))
        .args(["--rounds", "1", "--voice-seconds", "4", "--voices", "300,32", "--profile"])
        .output()
        .unwrap();
    // It fails by itself when a synthesizer does not sound as many voices as it was given.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names = HashSet::new();
    for line in text.lines() {
        let figure: Value = serde_json::from_str(line).unwrap();
        let (name, value) = (figure["name"].as_str().unwrap(), figure["value"].as_f64().unwrap());
        // What the sections leave of the whole is a difference, which noise can turn below nothing.
        assert!(value.is_finite() && (value > 0.0 || name == "synth/profile/300/rest"), "{line}");
        assert!(figure["unit"].is_string(), "{line}");
        // The other steps are compared with step 1, blocks with their deadline; nothing else has been measured before.
        let compared =
            name.starts_with("synth/step/") && name != "synth/step/1.00" || name.starts_with("synth/block-64/");
        assert_eq!(figure.get("baseline").is_some(), compared, "{line}");
        assert!(names.insert(name.to_owned()), "{name} comes twice");
    }
    for engine in ["dls-synth", "rustysynth", "oxisynth"] {
        for voices in [32, 300] {
            for effects in ["dry", "effects"] {
                for rest in ["", "/best", "/wall", "/realtime"] {
                    let name = format!("synth/{engine}/{voices}/{effects}{rest}");
                    assert!(names.contains(&name), "{name} is missing in:\n{text}");
                }
            }
        }
    }
    for figure in ["mean", "p99.9", "worst"] {
        for rest in ["", "/wall"] {
            let name = format!("synth/block-64/300/{figure}{rest}");
            assert!(names.contains(&name), "{name} is missing in:\n{text}");
        }
    }
    for section in ["control", "oscillators", "filter-and-mix", "sum", "effects", "rest", "all"] {
        assert!(names.contains(&format!("synth/profile/300/{section}")), "{section} is missing in:\n{text}");
    }
}

#[test]
fn names_a_program_that_is_no_fluidsynth() {
    let output = Command::new(env!("CARGO_BIN_EXE_dls-synth-bench"))
        .args(["--fluidsynth", "/no/such/fluidsynth", "--voices", "32"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/fluidsynth"));
}

#[test]
fn draws_how_cleanly_each_synthesizer_transposes() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dls-synth-bench"))
        .args(["plots", "--out"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["sinad.png", "alias.png"] {
        let picture = std::io::BufReader::new(std::fs::File::open(folder.path().join(file)).unwrap());
        let mut reader = png::Decoder::new(picture).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let colours: HashSet<&[u8]> = pixels.chunks(3).collect();
        // Paper, grid, frame and text, and a line for each synthesizer, the first as black as the text.
        assert_eq!(colours.len(), 5, "{file}");
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| figures.iter().find(|figure| figure["name"] == name).unwrap()["value"].as_f64().unwrap();
    for semitones in -12..=36 {
        let clean = of(&format!("synth/sinad/dls-synth/{semitones:+}"));
        assert!(clean > 65.0, "{clean} dB at {semitones:+}");
        if semitones >= 6 {
            let alias = of(&format!("synth/alias/dls-synth/{semitones:+}"));
            assert!(alias < -70.0, "{alias} dB at {semitones:+}");
        }
    }
    // A fifth up, a linear interpolator is far less clean: what the picture is there to show.
    assert!(of("synth/sinad/dls-synth/+7") > of("synth/sinad/rustysynth/+7") + 20.0);
}
