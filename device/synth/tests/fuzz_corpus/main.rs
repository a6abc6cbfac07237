//! The fuzz targets under an ordinary test: seeds, inputs of known defects, and some hundred thousand inputs that a
//! deterministic mutator makes of them. No panic; memory in proportion to the input; and work too, counted in calls of
//! the allocator, so that no clock decides.

mod allocator;
#[path = "../common/mod.rs"]
mod common;
mod inputs;
mod mutator;
mod regressions;
#[allow(unreachable_pub, reason = "this is the library of the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

use common::download::{ONE_SHOT_WAVE, WAVE_ARTICULATION, buffer, simple_instrument, wave};
use common::file::{Parts, articulation, block, chunk, constant_word, list, wave_sample, words};
use common::sf2::{Font, Fonts, SAMPLE_MODES, Zone};
use common::*;
use dls_synth::Bank;
use inputs::Door;
use mutator::Mutator;

/// What a target may ask of the allocator: a synthesizer's own share, and so much for each byte of the input.
#[derive(Clone, Copy)]
struct Bounds {
    bytes: isize,
    bytes_per_byte: isize,
    /// Calls, as a measure of work.
    calls: usize,
    calls_per_byte: usize,
}

/// A byte of a file or a download becomes two of samples, and a connection of twelve a line of some dozens.
const IN_PROPORTION: Bounds = Bounds { bytes: 512 << 10, bytes_per_byte: 64, calls: 2000, calls_per_byte: 4 };

/// Each zone of a SoundFont's preset makes a region of each zone of its instrument, with an articulation of its own.
const ZONES_BY_ZONES: Bounds = Bounds { bytes_per_byte: 2048, calls_per_byte: 64, ..IN_PROPORTION };

/// A byte that was packed by zlib becomes at most 1032, and those are then read as a DLS file.
const UNPACKED: Bounds = Bounds { bytes_per_byte: 1032 * 8, calls_per_byte: 1032, ..IN_PROPORTION };

/// Runs a target on an input, and holds it to its bounds.
fn run(target: fn(&[u8]), bounds: Bounds, bytes: &[u8]) -> allocator::Count {
    allocator::reset();
    target(bytes);
    let count = allocator::count();
    let length = bytes.len();
    let Bounds { bytes, bytes_per_byte, calls, calls_per_byte } = bounds;
    assert!(count.peak <= bytes + bytes_per_byte * length as isize, "{count:?} for {length} bytes");
    assert!(count.calls <= calls + calls_per_byte * length, "{count:?} for {length} bytes");
    count
}

/// Runs a target on each seed, and on so many inputs made of them.
fn run_all(name: &str, target: fn(&[u8]), bounds: Bounds, seeds: &[Vec<u8>], inputs: usize) {
    // What is made once a process is not counted.
    _ = Bank::builtin();
    seeds.iter().for_each(|seed| target(seed));
    let mut mutator = Mutator::new(0x0D15_EA5E);
    let made = (0..inputs).map(|_| mutator.next(seeds));
    let counts = seeds.iter().cloned().chain(made).map(|bytes| run(target, bounds, &bytes));
    let (peak, calls) = counts.fold((0, 0), |(peak, calls), count| (peak.max(count.peak), calls.max(count.calls)));
    println!("{name}: {inputs} inputs, at most {peak} bytes at once and {calls} calls of the allocator");
}

/// Returns the files of a folder of seeds, in a fixed order.
fn kept(folder: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn known(door: Door) -> Vec<Vec<u8>> {
    inputs::all().into_iter().filter(|input| input.door == door).map(|input| input.bytes).collect()
}

fn dls_seeds() -> Vec<Vec<u8>> {
    let rows =
        [block([9, 0x81, 3, 1 << 14], 50 << 16), block([0, 0, 0x500, 0], 9000 << 16), block([0, 0, 0x206, 0], -1)];
    let rich = Parts {
        top: vec![
            list(b"INFO", &[chunk(b"INAM", b"Name\0")]),
            chunk(b"cdl ", &constant_word(1)),
            chunk(b"pgal", &[0; 4]),
        ],
        in_instrument: vec![articulation(3, &rows)],
        in_region: vec![
            wave_sample(20, &[[1, 10, 50]]),
            list(b"lart", &[chunk(b"art1", &[words(&[8, 1]), rows[2].clone()].concat())]),
        ],
        in_wave: vec![wave_sample(28, &[[0, 0, 100]])],
        ..Parts::default()
    };
    let two = tone_collection(0.0, &organ()).to_dls();
    [vec![Parts::default().file(), rich.file(), two], kept("bank")].concat()
}

#[test]
fn survives_mutated_dls_files() {
    let seeds = [dls_seeds(), known(Door::Bank)].concat();
    run_all("DLS files", targets::bank, IN_PROPORTION, &seeds, 110_000);
}

/// Adds the lower 8 of 24 bits to a font.
fn with_low_bits(font: &[u8]) -> Vec<u8> {
    let find = |code: &[u8]| font.windows(4).position(|part| part == code).unwrap();
    let size = |at: usize| u32::from_le_bytes(font[at + 4..at + 8].try_into().unwrap()) as usize;
    let (list, samples) = (find(b"sdta") - 8, find(b"smpl"));
    let end = samples + 8 + size(samples);
    let low: Vec<u8> = (0..size(samples) / 2).map(|i| (i * 37) as u8).collect();
    let more = chunk(b"sm24", &low);
    let mut out = font.to_vec();
    for at in [0, list] {
        out[at + 4..at + 8].copy_from_slice(&((size(at) + more.len()) as u32).to_le_bytes());
    }
    out.splice(end..end, more);
    out
}

#[test]
fn survives_mutated_sound_fonts() {
    let modulators =
        [(0x0502, 48, 480, 0, 0), (0x0690, 52, 300, 0x0191, 0), (0x0081, 6, 20, 0, 0), (0x0102, 8, -2400, 0, 0)];
    let mut rich = Font::new(&[(51, 2)], &[(34, -6000), (36, -1000), (8, 6500), (17, -200), (SAMPLE_MODES, 1)], 0.0);
    rich.samples.truncate(600);
    rich.header = [0, 550, 100, 400, 48_000];
    let mut zones = rich.clone().with(&modulators);
    zones.instrument.insert(0, Zone { generators: vec![(48, 100)], modulators: &modulators });
    zones.instrument.push(zones.instrument[1].clone());
    zones.preset.push(zones.preset[0].clone());
    // Links, the absolute value, times that move, and a zone's own key and velocity.
    let linked = [
        (0x0690, 0x8002, 3, 0x0191, 2),
        (0x00C8, 38, 2400, 0, 0),
        (127, 0x8004, 1, 0, 0),
        (0x00C7, 9, 300, 0, 0),
        (0x007F, 52, 500, 127, 2),
    ];
    let mut chained = rich.clone().with(&linked);
    chained.instrument[0].generators.splice(0..0, [(46, 66), (47, 90), (26, -2000), (29, 500), (7, 400), (13, 50)]);
    let mut pair = Fonts::of_tones(&[16, 24]);
    let other = pair.instruments[1][0].clone();
    pair.instruments[0].push(other);
    ((pair.samples[0].1.2, pair.samples[0].1.3), (pair.samples[1].1.2, pair.samples[1].1.3)) = ((1, 4), (0, 2));
    let seeds = [rich.file(), zones.file(), chained.file(), with_low_bits(&rich.file()), pair.file()];
    run_all("SoundFonts", targets::bank, ZONES_BY_ZONES, &seeds, 110_000);
}

#[test]
fn survives_mutated_mobile_files() {
    let dls = Parts::default().file();
    let (unpackers, content) = xmf::packed(&dls);
    let plain = [xmf::node(0, &[], &dls), xmf::node(0, &[], b"MThd")].concat();
    let packed = xmf::node(0, &unpackers, &content);
    let seeds = [xmf::file(&xmf::node(2, &[], &plain)), xmf::file(&xmf::node(1, &[], &packed)), xmf::file(&packed)];
    run_all("XMF files", targets::bank, UNPACKED, &seeds, 30_000);
}

#[test]
fn survives_mutated_downloads() {
    let long = wave(3, 22_050, &tone(0.0)[..40]);
    let mut one_shot = long.clone();
    one_shot[0] = ONE_SHOT_WAVE as u8;
    let rows = [organ(), vec![connection(9, 0x81, 3, 1 << 14, 50 << 16)]].concat();
    let built = vec![
        long,
        one_shot,
        simple_instrument(5, 0, inputs::WAVE_ID, 8, &rows),
        simple_instrument(0x8000_0000, 1, inputs::WAVE_ID, 3, &[]),
        buffer(WAVE_ARTICULATION, 77, &[words(&[1, 0, 1, 0, 0]), words(&[inputs::WAVE_ID])]),
    ];
    let seeds = [built, kept("download"), known(Door::Download)].concat();
    run_all("downloads", targets::download, IN_PROPORTION, &seeds, 110_000);
}

#[test]
fn survives_mutated_sessions() {
    let song: Vec<u8> = (0..30u8).flat_map(|i| [0xEB, 0x90, 40 + i, 100, 0xEB, 0x80, 40 + i, 0]).collect();
    let controls: Vec<u8> =
        (0..120u8).flat_map(|cc| [0xEB, 0xB0, cc, cc, 0x63, 0x90, cc, 100, 0x62, 0xC0, cc]).collect();
    let system =
        vec![0xE7, 0xF0, 0x7E, 0x7F, 9, 1, 0xF7, 0, 0xEB, 0xE0, 1, 2, 0x40, 0x41, 5, 90, 0x25, 40, 0xEB, 0x90, 60, 9];
    run_all("sessions", targets::session, IN_PROPORTION, &[song, controls, system], 250);
}
