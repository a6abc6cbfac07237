//! Sound and MIDI by the libraries of the host, which the features `cpal` and `midir` link.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use hound::{SampleFormat, WavSpec, WavWriter};
use tempfile::TempDir;

/// A device of ALSA's that writes what it plays into a file. It has no clock of its own.
const TO_A_FILE: &str = r#"pcm.!default { type file, slave.pcm { type null }, file "@", format "raw" }"#;

fn dmus(folder: &Path, configuration: &str, arguments: &[&str]) -> Output {
    let path = folder.join("asound.conf");
    fs::write(&path, configuration).unwrap();
    Command::new(env!("CARGO_BIN_EXE_dmus"))
        .args(arguments)
        .current_dir(folder)
        .env("ALSA_CONFIG_PATH", &path)
        .env("DMUS_PLAYER", "cpal")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn plays_every_frame_on_the_host_s_output_device() {
    let folder = TempDir::new().unwrap();
    let samples: Vec<i16> =
        (0..48_000_i32).flat_map(|at| [(at * 7 % 60_000 - 30_000) as i16, (at % 999 + 1) as i16]).collect();
    let spec = WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(folder.path().join("song.wav"), spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    let heard = folder.path().join("heard");
    let configuration = TO_A_FILE.replace('@', heard.to_str().unwrap());
    let output = dmus(folder.path(), &configuration, &["play", "song.wav"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("by cpal"), "{}", text(&output));
    let bytes = fs::read(&heard).unwrap();
    let played: Vec<i16> = bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    let begin = played.iter().position(|&sample| sample != 0).expect("sound");
    assert!(played[begin..].starts_with(&samples), "{} samples from {begin} on", played.len());
    assert!(played[begin + samples.len()..].iter().all(|&sample| sample == 0), "silence after the end");
}

#[test]
fn a_host_without_sound_or_ports_is_told_so() {
    let folder = TempDir::new().unwrap();
    let spec = WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    WavWriter::create(folder.path().join("song.wav"), spec).unwrap().finalize().unwrap();
    let output = dmus(folder.path(), "", &["play", "song.wav"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("output device") && text(&output).contains("DMUS_PLAYER"), "{}", text(&output));
    let output = dmus(folder.path(), "", &["demo", "--clock", "realtime", "--midi-in", "port:a keyboard of nowhere"]);
    assert!(!output.status.success());
    assert!(text(&output).contains("MIDI ports"), "{}", text(&output));
}
