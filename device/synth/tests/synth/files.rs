//! DLS files: what is read, what is passed over, what is refused.

use std::sync::Arc;

use crate::common::file::*;
use crate::common::*;
use dls_synth::dls::spec::transform::SOURCE_BIPOLAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Collection, Instrument, Patch, Wave};
use dls_synth::{Bank, Rule, Synth, builtin};

fn pcm_wave(samples: usize, extra: &[Vec<u8>]) -> Vec<u8> {
    let format = [halves(&[1, 1]), words(&[22_050, 22_050]), halves(&[1, 8])].concat();
    let mut children = vec![chunk(b"fmt ", &format), chunk(b"data", &vec![0xFF; samples])];
    children.extend_from_slice(extra);
    list(b"wave", &children)
}

fn level_1_region(extra: &[Vec<u8>]) -> Vec<u8> {
    let header = chunk(b"rgnh", &halves(&[0, 127, 0, 127, 0, 0]));
    let link = chunk(b"wlnk", &[halves(&[0, 0]), words(&[1, 0])].concat());
    list(b"rgn ", &[vec![link, header], extra.to_vec()].concat())
}

fn instrument(extra: &[Vec<u8>]) -> Vec<u8> {
    let header = chunk(b"insh", &words(&[1, 0, 0]));
    list(b"ins ", &[vec![header], extra.to_vec()].concat())
}

/// Makes a whole file around one instrument, with the lists in an unusual order and the count wrong.
fn file(instrument: Vec<u8>, wave: Vec<u8>) -> Vec<u8> {
    riff(&[
        list(b"wvpl", &[wave]),
        chunk(b"junk", &[1, 2, 3]),
        chunk(b"ptbl", &words(&[8, 1, 0])),
        list(b"lins", &[instrument]),
        chunk(b"colh", &words(&[77])),
    ])
}

fn plain_file() -> Vec<u8> {
    file(instrument(&[list(b"lrgn", &[level_1_region(&[])])]), pcm_wave(100, &[]))
}

fn broken(file: &[u8]) -> Rule {
    Bank::from_bytes(file).unwrap_err().rule
}

fn sounds(bank: Bank) -> bool {
    let mut synth = Synth::new(dry(), Arc::new(bank)).unwrap();
    synth.midi(0, NOTE_ON);
    render(&mut synth, 100).iter().any(|frame| frame[0] != 0.0)
}

#[test]
fn a_level_1_file_in_any_order_with_unknown_chunks_and_a_wrong_count_plays() {
    assert!(sounds(Bank::from_bytes(&plain_file()).unwrap()));
}

#[test]
fn reads_eight_bit_samples_as_unsigned() {
    let collection = Collection::from_dls(&plain_file()).unwrap();
    assert!(collection.waves[0].as_ref().unwrap().samples().iter().all(|s| *s == 127 << 8));
}

#[test]
fn wrong_sizes_and_junk_after_the_end_are_passed_over() {
    let good = plain_file();
    for size in [0u32, 4, good.len() as u32 + 1000, u32::MAX] {
        let mut bad = good.clone();
        bad[4..8].copy_from_slice(&size.to_le_bytes());
        assert!(sounds(Bank::from_bytes(&bad).unwrap()), "RIFF size {size}");
    }
    assert!(sounds(Bank::from_bytes(&[good, vec![0xAA; 333]].concat()).unwrap()));
}

#[test]
fn refuses_files_of_other_formats() {
    assert_eq!(broken(&[]), Rule::Form);
    assert_eq!(broken(b"RIFF\0\0\0\0WAVE"), Rule::Form);
    assert_eq!(broken(&riff(&[])), Rule::Missing("LIST wvpl"));
}

#[test]
fn reserved_destinations_are_ignored() {
    let block = |destination: u16| [halves(&[0, 0, destination, 0]), words(&[0x7FFF_0000])].concat();
    let blocks = [words(&[8, 3]), block(0x0002), block(0x0208), block(0x030C)].concat();
    let articulation = list(b"lart", &[chunk(b"art1", &blocks)]);
    let file = file(instrument(&[list(b"lrgn", &[level_1_region(&[])]), articulation]), pcm_wave(100, &[]));
    assert!(sounds(Bank::from_bytes(&file).unwrap()));
}

/// Makes a conditional chunk's program.
fn condition(program: &[u8]) -> Vec<u8> {
    chunk(b"cdl ", program)
}

const SUPPORTS_DLS2: [u8; 16] =
    [0xE5, 0x99, 0x45, 0xF1, 0x89, 0x46, 0xD2, 0x11, 0xAF, 0xA6, 0x00, 0xAA, 0x00, 0x24, 0xD8, 0xB6];

#[test]
fn a_conditional_chunk_applies_to_the_list_around_it() {
    let no = condition(&constant_word(0));
    let yes = condition(&constant_word(5));
    let whole = |condition: &Vec<u8>| riff(&[condition.clone(), plain_file()[12..].to_vec()]);
    assert_eq!(broken(&whole(&no)), Rule::NotForThisDevice);
    assert!(sounds(Bank::from_bytes(&whole(&yes)).unwrap()));

    let regions = |condition: &Vec<u8>| list(b"lrgn", &[level_1_region(std::slice::from_ref(condition))]);
    let kept = |instrument, wave| sounds(Bank::from_bytes(&file(instrument, wave)).unwrap());
    assert!(kept(instrument(&[regions(&yes)]), pcm_wave(100, &[])));
    assert!(!kept(instrument(&[regions(&no)]), pcm_wave(100, &[])));
    let plain = list(b"lrgn", &[level_1_region(&[])]);
    assert!(!kept(instrument(std::slice::from_ref(&plain)), pcm_wave(100, std::slice::from_ref(&no))));
    let dropped = file(instrument(&[plain, no]), pcm_wave(100, &[]));
    assert_eq!(broken(&dropped), Rule::NoInstruments);
}

#[test]
fn evaluates_conditions_on_a_stack() {
    let query = |opcode: u16, id: &[u8; 16]| [halves(&[opcode]), id.to_vec()].concat();
    let op = |opcode: u16| halves(&[opcode]);
    let holds = |program: &[Vec<u8>]| {
        let whole = riff(&[condition(&program.concat()), plain_file()[12..].to_vec()]);
        Bank::from_bytes(&whole).is_ok()
    };
    let (two, three) = (constant_word(2), constant_word(3));
    assert!(holds(&[query(0x11, &SUPPORTS_DLS2)]));
    assert!(holds(&[query(0x12, &SUPPORTS_DLS2)]));
    assert!(!holds(&[query(0x11, &[9; 16])]));
    assert!(!holds(&[query(0x12, &[9; 16])]));
    assert!(holds(&[query(0x12, &[9; 16]), op(0x0F)]));
    // The top of the stack is the left operand: 3 - 2 = 1 and 3 > 2.
    assert!(holds(&[two.clone(), three.clone(), op(0x05), constant_word(1), op(0x0E)]));
    assert!(holds(&[two.clone(), three.clone(), op(0x0C)]));
    assert!(!holds(&[three.clone(), two.clone(), op(0x0C)]));
    assert!(holds(&[constant_word(0), three, op(0x09)]));
    assert!(!holds(&[constant_word(0), two, op(0x08)]));
    // An empty stack, or an unknown opcode: not for this device.
    assert!(!holds(&[op(0x01)]));
    assert!(!holds(&[op(0x77)]));
    assert!(!holds(&[halves(&[0x10])]));
}

/// Every operation, as the word that it leaves: `x` is the top of the stack, `y` is below it.
#[test]
fn evaluates_every_operation_of_a_condition() {
    const TRUE: u32 = u32::MAX;
    let value = |program: &[Vec<u8>], expected: u32| {
        let test = [program.to_vec(), vec![constant_word(expected), halves(&[0x0E])]].concat().concat();
        Bank::from_bytes(&riff(&[condition(&test), plain_file()[12..].to_vec()])).is_ok()
    };
    let cases: [(u16, u32, u32, u32); 28] = [
        (0x01, 0b1100, 0b1010, 0b1000),
        (0x02, 0b1100, 0b1010, 0b1110),
        (0x03, 0b1100, 0b1010, 0b0110),
        (0x04, 7, 3, 10),
        (0x04, u32::MAX, 2, 1),
        (0x05, 7, 3, 4),
        (0x05, 3, 7, 3u32.wrapping_sub(7)),
        (0x06, 7, 3, 21),
        (0x06, 0x8000_0000, 2, 0),
        (0x07, 7, 3, 2),
        (0x07, 7, 0, 0),
        (0x08, 7, 3, TRUE),
        (0x08, 7, 0, 0),
        (0x09, 7, 0, TRUE),
        (0x09, 0, 0, 0),
        (0x0A, 3, 7, TRUE),
        (0x0A, 7, 7, 0),
        (0x0A, u32::MAX, 0, 0),
        (0x0B, 7, 7, TRUE),
        (0x0B, 8, 7, 0),
        (0x0C, 8, 7, TRUE),
        (0x0C, 7, 7, 0),
        (0x0D, 7, 7, TRUE),
        (0x0D, 6, 7, 0),
        (0x0E, 7, 7, TRUE),
        (0x0E, 7, 8, 0),
        (0x0F, 0, 0, TRUE),
        (0x0F, 7, 0, 0),
    ];
    for (opcode, x, y, expected) in cases {
        let program = [constant_word(y), constant_word(x), halves(&[opcode])];
        assert!(value(&program, expected), "{x} {opcode:#x} {y} is not {expected}");
        assert!(!value(&program, expected ^ 1), "{x} {opcode:#x} {y} is anything");
    }
    // Eight deep at least, and not without end.
    let deep = |count: usize| {
        let program = [vec![constant_word(1); count], vec![halves(&[0x04]); count - 1]].concat();
        value(&program, count as u32)
    };
    assert!(deep(8) && deep(30));
    assert!(!deep(40));
}

#[test]
fn answers_every_property_of_a_condition() {
    const TRUE: u32 = u32::MAX;
    let id = |data: (u32, u16, u16), rest: [u8; 8]| -> Vec<u8> {
        [words(&[data.0]), halves(&[data.1, data.2]), rest.to_vec()].concat()
    };
    let roland = |first: u32| id((first, 0xC364, 0x11D1), [0xA7, 0x60, 0x00, 0x00, 0xF8, 0x75, 0xAC, 0x12]);
    let makers = |first: u32| id((first, 0x8095, 0x11D2), [0xA1, 0xEF, 0x00, 0x60, 0x08, 0x33, 0xDB, 0xD8]);
    let level_2 = id((0xF145_99E5, 0x4689, 0x11D2), [0xAF, 0xA6, 0x00, 0xAA, 0x00, 0x24, 0xD8, 0xB6]);
    let rate = id((0x2A91_F713, 0xA4BF, 0x11D2), [0xBB, 0xDF, 0x00, 0x60, 0x08, 0x33, 0xDB, 0xD8]);
    let answers = [
        (roland(0x178F_2F24), 0),
        (roland(0x178F_2F25), 0),
        (roland(0x178F_2F26), 0),
        (roland(0x178F_2F27), TRUE),
        (roland(0x178F_2F28), dls_synth::limits::DOWNLOAD_MEMORY_DEFAULT),
        (level_2, TRUE),
        (makers(0xB03E_1181), 0),
        (makers(0xB03E_1182), 0),
        (rate, dls_synth::SynthConfig::default().sample_rate),
    ];
    let holds = |program: Vec<u8>| Bank::from_bytes(&riff(&[condition(&program), plain_file()[12..].to_vec()])).is_ok();
    for (id, answer) in answers {
        assert!(holds([halves(&[0x12]), id.clone()].concat()), "{id:02x?} is supported");
        assert!(holds([halves(&[0x11]), id.clone(), constant_word(answer), halves(&[0x0E])].concat()), "{id:02x?}");
        let mut unknown = id.clone();
        unknown[15] ^= 1;
        assert!(!holds([halves(&[0x12]), unknown.clone()].concat()));
        assert!(holds([halves(&[0x11]), unknown, constant_word(0), halves(&[0x0E])].concat()), "answered with 0");
    }
}

#[test]
fn applies_both_levels_of_articulation_and_selects_by_condition() {
    let level = |level_1: bool| -> Vec<u8> {
        let (list_id, chunk_id) = if level_1 { (b"lart", b"art1") } else { (b"lar2", b"art2") };
        let pitch = if level_1 { 100 } else { 200 };
        let block = block([0, 0, d::PITCH, 0], pitch << 16);
        // Level 1 for devices that do not know level 2, as the specification advises.
        let level_2 = [halves(&[0x11]), SUPPORTS_DLS2.to_vec()].concat();
        let program = if level_1 { [level_2, halves(&[0x0F])].concat() } else { level_2 };
        list(list_id, &[condition(&program), chunk(chunk_id, &[words(&[8, 1]), block].concat())])
    };
    let parts = Parts { in_instrument: vec![level(true), level(false)], ..Parts::default() };
    let found = Collection::from_dls(&parts.file()).unwrap().instruments[0].articulation.clone();
    assert_eq!(found.iter().map(|c| c.scale >> 16).collect::<Vec<_>>(), [200]);
    // Without conditions both count, one after the other.
    let plain = |id: &[u8; 4], inner: &[u8; 4], pitch: i32| {
        list(id, &[chunk(inner, &[words(&[8, 1]), block([0, 0, d::PITCH, 0], pitch << 16)].concat())])
    };
    let both = vec![plain(b"lart", b"art1", 100), plain(b"lar2", b"art2", 200)];
    let parts = Parts { in_region: both, ..Parts::default() };
    let region = Collection::from_dls(&parts.file()).unwrap().instruments[0].regions[0].clone();
    assert_eq!(region.articulation.unwrap().iter().map(|c| c.scale >> 16).collect::<Vec<_>>(), [100, 200]);
}

#[test]
fn a_local_articulation_replaces_the_whole_global_one() {
    let mut collection = tone_collection(0.0, &[constant(d::EG1_ATTACK, time(5.0)), constant(d::PAN, percent(0.5))]);
    collection.instruments[0].regions[0].articulation = Some(vec![constant(d::GAIN, decibels(-6.0206))]);
    let mut synth = plain_synth(dry(), &collection);
    synth.midi(0, NOTE_ON);
    let peak = render(&mut synth, 512).iter().fold(0.0f32, |peak, frame| peak.max(frame[0].abs()));
    close(f64::from(peak), PEAK * 0.5 * std::f64::consts::FRAC_1_SQRT_2, 1e-3);
}

#[test]
fn accepts_both_numbers_of_a_release_loop() {
    for kind in [1, 2] {
        let sample = [words(&[20]), halves(&[60, 0]), words(&[0, 0, 1, 16, kind, 10, 20])].concat();
        let file =
            file(instrument(&[list(b"lrgn", &[level_1_region(&[chunk(b"wsmp", &sample)])])]), pcm_wave(100, &[]));
        let collection = Collection::from_dls(&file).unwrap();
        let found = collection.instruments[0].regions[0].sample.unwrap().sample_loop.unwrap();
        assert_eq!((found.until_release, found.start, found.length), (true, 10, 20));
    }
}

#[test]
fn reads_back_a_written_collection() {
    let mut collection = tone_collection(
        1.0,
        &[constant(d::EG1_ATTACK, time(0.25)), connection(s::VIBRATO, s::CC1, d::PITCH, SOURCE_BIPOLAR, cents(50.0))],
    );
    collection.name = "A name".into();
    collection.instruments.push(Instrument {
        name: "Odd".into(),
        patch: Patch { drums: true, bank_msb: 1, bank_lsb: 2, program: 3 },
        ..collection.instruments[0].clone()
    });
    collection.waves.push(None);
    collection.waves.push(Some(Arc::new(Wave::new("Three samples", 8000, &[1, -2, 3], None))));
    assert_eq!(Collection::from_dls(&collection.to_dls()).unwrap(), collection);
}

#[test]
fn the_built_in_collection_has_every_program_and_a_kit() {
    let collection = Collection::from_dls(builtin::FILE).unwrap();
    for program in 0..128 {
        let patch = Patch { program, ..Patch::default() };
        let found = collection.instruments.iter().find(|i| i.patch == patch).expect("every program");
        for key in 0..128 {
            assert!(found.regions.iter().any(|r| (r.keys.0..=r.keys.1).contains(&key)), "{} {key}", found.name);
        }
    }
    let kit = collection.instruments.iter().find(|i| i.patch.drums).unwrap();
    for key in 35..=81 {
        assert!(kit.regions.iter().any(|r| r.keys == (key, key)), "key {key}");
    }
}

#[test]
fn lists_the_instruments_of_a_bank() {
    let mut collection = tone_collection(0.0, &organ());
    collection.name = "Two".into();
    let kit = Patch { drums: true, program: 8, ..Patch::default() };
    let drums = Instrument { name: "Room".into(), patch: kit, ..collection.instruments[0].clone() };
    collection.instruments.insert(0, drums);
    let bank = Bank::from_collection(&collection);
    let lines: Vec<_> = bank.describe().iter().map(|i| (i.patch, i.name.as_str(), i.regions)).collect();
    assert_eq!((bank.name(), lines), ("Two", vec![(Patch::default(), "", 1), (kit, "Room", 1)]));
}

#[test]
fn lists_instruments_regions_and_articulations_in_musical_units() {
    let rows = [
        constant(d::EG1_ATTACK, time(0.25)),
        constant(d::EG1_DECAY, i32::MIN),
        constant(d::FILTER_CUTOFF, pitch(1000.0)),
        connection(s::VIBRATO, s::CC1, d::PITCH, SOURCE_BIPOLAR, cents(50.0)),
        connection(s::VELOCITY, s::NONE, d::GAIN, 0x8400, decibels(-96.0)),
    ];
    let mut collection = tone_collection(0.0, &rows);
    collection.name = "A bank".into();
    let instrument = &mut collection.instruments[0];
    instrument.name = "Organ".into();
    instrument.patch = Patch { program: 5, bank_msb: 1, ..Patch::default() };
    instrument.regions[0].key_group = 3;
    instrument.regions[0].options = 1;
    let mut second = instrument.regions[0].clone();
    (second.keys, second.velocities, second.sample) = ((60, 72), (64, 127), None);
    second.articulation = Some(vec![constant(d::PAN, percent(-0.5)), constant(0x0002, 1)]);
    instrument.regions.push(second);
    let text = collection.listing().to_string();
    let expected = "\
A bank
1 instruments, 2 regions, 1 waves, 256 samples
 001:000:005 Organ
    EG1 attack = 0.250 s
    EG1 decay = 0 s
    filter cutoff = 1000.00 Hz
    pitch <- vibrato LFO x CC1: +50.0 cents (source bipolar)
    gain <- velocity: -96.00 dB (source concave inverted)
  keys 0-127, wave 0, unity 60 +0 c, +0.0 dB, loop 0+256, key group 3, not self-exclusive
  keys 60-72, velocities 64-127, wave 0, unity 60 +0 c, +0.0 dB, no loop, key group 3, not self-exclusive
    pan = -50.0 %
    0x0002 = 0x00000001
";
    assert_eq!(text, expected);
}

#[test]
fn survives_random_and_damaged_files() {
    let mut random = Random(0xBAD);
    let small = tone_collection(0.0, &organ()).to_dls();
    for round in 0..20_000 {
        let mut file = if round % 2 == 0 { small.clone() } else { plain_file() };
        for _ in 0..=random.below(5) {
            let at = random.below(file.len());
            file[at] = [0, 1, 0xFF, 0x7F, random.below(256) as u8][random.below(5)];
        }
        file.truncate(if random.below(8) == 0 { random.below(file.len()) } else { file.len() });
        if let Ok(bank) = Bank::from_bytes(&file) {
            let mut synth = Synth::new(dry(), Arc::new(bank)).unwrap();
            synth.midi(0, &[0x90, random.below(128) as u8, FULL]);
            synth.midi(0, &[0x99, random.below(128) as u8, FULL]);
            let out = render(&mut synth, 400);
            assert!(out.as_flattened().iter().all(|x| x.is_finite()));
        }
    }
}
