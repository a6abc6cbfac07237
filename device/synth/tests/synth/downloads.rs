//! DirectMusic download buffers: what they become, what they cost, and what is refused where.

use crate::common::download::{
    INSTRUMENT, INSTRUMENT2, ONE_SHOT_WAVE, STREAMING_WAVE, WAVE, WAVE_ARTICULATION, buffer, instrument, region,
    simple_instrument, wave,
};
use crate::common::*;
use dls_synth::dls::spec::destination as d;
use dls_synth::dls::{Collection, Connection};
use dls_synth::{DownloadError, DownloadErrorReason as Reason, Synth, UnknownHandle, Unload};

const TONE: u32 = 7;

/// Makes a synthesizer whose bank has one instrument, at a program that no test uses.
fn synth() -> Synth {
    let mut bank: Collection = tone_collection(0.0, &organ());
    bank.instruments[0].patch.program = 127;
    plain_synth(dry(), &bank)
}

fn with_tone() -> Synth {
    let mut synth = synth();
    synth.download(&wave(TONE, RATE, &tone(0.0))).unwrap();
    synth
}

fn peak(synth: &mut Synth) -> f32 {
    render(synth, 2000).iter().fold(0.0, |peak, frame| peak.max(frame[0].abs()))
}

fn refused(synth: &mut Synth, buffer: &[u8]) -> (Reason, u32) {
    let free = synth.free_download_memory();
    let DownloadError { reason, offset } = synth.download(buffer).unwrap_err();
    assert_eq!(synth.free_download_memory(), free, "a refused download must cost nothing");
    (reason, offset)
}

fn patch_word(buffer: &mut [u8], offset: usize, value: u32) {
    buffer[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_downloaded_instrument_plays_its_wave_bit_for_bit() {
    let mut synth = with_tone();
    synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    let out = render(&mut synth, 1000);
    let samples = tone(0.0);
    for (i, frame) in out.iter().enumerate() {
        let expected = f64::from(samples[i % TURN]) / 32_768.0 * std::f64::consts::FRAC_1_SQRT_2;
        close(f64::from(frame[0]), expected, 1e-6);
    }
}

#[test]
fn selects_an_instrument_by_its_whole_patch_number() {
    for (patch, channel, msb, lsb, program) in
        [(0x0003_0205, 0, 3, 2, 5), (0x8000_0009, 9, 0, 0, 9), (0x0001_0000, 2, 1, 0, 0)]
    {
        let mut synth = with_tone();
        synth.download(&simple_instrument(patch, 0, TONE, TURN as u32, &organ())).unwrap();
        synth.midi(0, &[0x90 | channel, 60, FULL]);
        assert_eq!(peak(&mut synth), 0.0, "{patch:#x} before the program change");
        for message in [[0xB0 | channel, 0, msb], [0xB0 | channel, 32, lsb]] {
            synth.midi(0, &message);
        }
        synth.midi(0, &[0xC0 | channel, program]);
        synth.midi(0, &[0x90 | channel, 60, FULL]);
        assert!(peak(&mut synth) > 0.5, "{patch:#x}");
    }
}

#[test]
fn downloads_are_shared_by_all_channel_groups() {
    let mut synth = with_tone();
    synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    synth.midi(1, &[0xC4, 5]);
    synth.midi(1, &[0x94, 60, FULL]);
    assert!(peak(&mut synth) > 0.1);
}

#[test]
fn prefers_any_other_download_over_a_general_midi_instrument_of_its_patch() {
    const GM: u32 = 1;
    let soft = [constant(d::EG1_ATTACK, i32::MIN), constant(d::GAIN, decibels(-20.0))];
    let mut synth = with_tone();
    let own = synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &soft)).unwrap();
    synth.download(&simple_instrument(5, GM, TONE, TURN as u32, &organ())).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    assert!(peak(&mut synth) < 0.1, "the download that is not of the set");
    synth.all_sound_off();
    synth.unload(own).unwrap();
    synth.midi(0, &[0xB0, 7, 127]);
    synth.midi(0, NOTE_ON);
    assert!(peak(&mut synth) > 0.5, "the set's own, now that it is alone");
}

#[test]
fn plays_the_newest_download_of_a_patch() {
    let mut synth = with_tone();
    let soft = [constant(d::GAIN, decibels(-20.0))];
    synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    let newest = synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &soft)).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    assert!(peak(&mut synth) < 0.1);
    synth.unload(newest).unwrap();
    synth.midi(0, &[0x90, 72, FULL]);
    assert!(peak(&mut synth) > 0.5, "the older one is there again");
}

#[test]
fn reads_level_1_articulation_parameters() {
    let mut parameters = Vec::new();
    // LFO: 5 Hz, 10 ms, no depths. Volume envelope: attack 0.1 s, the rest at once, sustain 100 %.
    let numbers = [
        pitch(5.0),
        time(0.01),
        0,
        0,
        0,
        0,
        time(0.1),
        i32::MIN,
        percent(1.0),
        i32::MIN,
        0,
        0,
        i32::MIN,
        i32::MIN,
        0,
        i32::MIN,
        0,
        0,
        0,
        percent(0.5),
    ];
    numbers.iter().for_each(|n| parameters.extend_from_slice(&n.to_le_bytes()));
    let articulation = [3u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
    let structures = [instrument(5, 1, 2, 0), region(0, TONE, 60, TURN as u32, 0), articulation, parameters];
    let mut synth = with_tone();
    synth.download(&buffer(INSTRUMENT, 9, &structures)).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    let out = render(&mut synth, frame(0.15));
    let peak = |part: &[[f32; 2]], side: usize| part.iter().fold(0.0f32, |peak, f| peak.max(f[side].abs()));
    close(f64::from(peak(&out[..frame(0.05)], 1)), PEAK * 0.5, 0.02);
    close(f64::from(peak(&out[frame(0.11)..], 1)), PEAK, 0.01);
    assert!(peak(&out, 0) < 1e-6, "the pan is hard right");
}

#[test]
fn chains_of_regions_and_articulations_are_followed() {
    let mut first = region(2, TONE, 60, TURN as u32, 0);
    first[2] = 59;
    let mut second = region(0, TONE, 72, TURN as u32, 0);
    second[0] = 60;
    let mut synth = with_tone();
    synth.download(&buffer(INSTRUMENT2, 9, &[instrument(5, 1, 0, 0), first, second])).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, &[0x90, 59, FULL]);
    synth.midi(0, &[0x90, 60, FULL]);
    assert_eq!(synth.active_voices(), 2);
}

#[test]
fn an_unload_waits_for_the_last_voice() {
    let mut synth = synth();
    let all = synth.free_download_memory();
    let tone_wave = synth.download(&wave(TONE, RATE, &tone(0.0))).unwrap();
    let before = synth.free_download_memory();
    assert!(before < all);
    let mut release = organ();
    release.push(constant(d::EG1_RELEASE, time(0.05)));
    let handle = synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &release)).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    assert!(peak(&mut synth) > 0.5);
    assert_eq!(synth.unload(handle), Ok(Unload::Pending));
    assert_eq!(synth.unload(handle), Err(UnknownHandle), "once is enough");
    assert_eq!(synth.unload(tone_wave), Ok(Unload::Pending));
    assert!(peak(&mut synth) > 0.5, "what sounds goes on");
    assert_eq!(synth.take_unloaded(), None);
    synth.midi(0, &[0x90, 64, FULL]);
    assert_eq!(synth.active_voices(), 1, "no new note uses it");
    synth.midi(0, NOTE_OFF);
    render(&mut synth, frame(0.06));
    let mut unloaded: Vec<_> = std::iter::from_fn(|| synth.take_unloaded()).collect();
    unloaded.sort();
    assert_eq!(unloaded, [tone_wave, handle]);
    assert_eq!(synth.free_download_memory(), all);
}

#[test]
fn an_instrument_is_silent_when_its_wave_is_gone() {
    let mut synth = synth();
    let handle = synth.download(&wave(TONE, RATE, &tone(0.0))).unwrap();
    synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    assert_eq!(synth.unload(handle), Ok(Unload::Done));
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    assert_eq!(synth.active_voices(), 0);
}

#[test]
fn clearing_downloads_ends_their_voices_and_frees_their_memory() {
    let mut synth = synth();
    let all = synth.free_download_memory();
    synth.download(&wave(TONE, RATE, &tone(0.0))).unwrap();
    synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    synth.clear_downloads();
    assert_eq!((synth.active_voices(), peak(&mut synth)), (0, 0.0));
    assert_eq!(synth.free_download_memory(), all);
    assert_eq!(synth.take_unloaded(), None);
}

#[test]
fn bounds_download_memory() {
    let mut synth = synth();
    synth.set_download_memory(10_000);
    synth.download(&wave(1, RATE, &[0; 2000])).unwrap();
    assert_eq!(refused(&mut synth, &wave(2, RATE, &[0; 4000])).0, Reason::Memory);
    // Eight bits become sixteen.
    let mut narrow = wave(3, RATE, &[0; 2000]);
    narrow[16 + 8 + 26] = 8;
    assert_eq!(refused(&mut synth, &narrow).0, Reason::Memory);
    synth.download(&wave(4, RATE, &[0; 1000])).unwrap();
}

/// Returns regions of one instrument, each with the articulation that `articulation_of` names by its place in `more`.
fn many_regions(count: u32, articulation_of: impl Fn(u32) -> u32, more: Vec<Vec<u8>>) -> Vec<u8> {
    let first = 1 + more.len() as u32;
    let mut structures = vec![instrument(5, first, 0, 0)];
    structures.extend(more);
    structures.extend((0..count).map(|i| {
        let next = if i + 1 == count { 0 } else { first + 1 + i };
        region(next, TONE, 60, TURN as u32, 1 + articulation_of(i))
    }));
    buffer(INSTRUMENT2, 9, &structures)
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn connection_list(list: &[Connection]) -> Vec<u8> {
    let halves = |values: [u16; 4]| values.into_iter().flat_map(u16::to_le_bytes);
    let mut out = words(&[8, list.len() as u32]);
    for c in list {
        out.extend(halves([c.source, c.control, c.destination, c.transform]));
        out.extend(c.scale.to_le_bytes());
    }
    out
}

/// Makes as many different connections as an articulation takes.
fn long_list() -> Vec<Connection> {
    (0..127u16).map(|i| connection(0x80 + i, 0x80, d::GAIN, 1 << 10, 1 << 16)).collect()
}

#[test]
fn charges_an_articulation_and_a_loop_that_regions_share_once() {
    let buffer = many_regions(500, |_| 0, vec![words(&[2, 0, 0]), connection_list(&long_list())]);
    let mut synth = with_tone();
    let free = synth.free_download_memory();
    synth.download(&buffer).unwrap();
    let cost = (free - synth.free_download_memory()) as usize;
    assert!((buffer.len()..4 * buffer.len()).contains(&cost), "{cost} for {}", buffer.len());
    synth.midi(0, &[0xC0, 5]);
    synth.midi(0, NOTE_ON);
    // All 500 sound that find a voice.
    assert_eq!((synth.active_voices(), synth.notes_lost()), (u32::from(synth.config().voices), 1));
}

#[test]
fn charges_an_instrument_its_size_in_memory() {
    // Each of 400 articulations is one connection of its own, chained to the one long list: 44 bytes become thousands.
    let mut more = vec![words(&[2, 0, 0]), connection_list(&long_list())];
    for i in 0..400u32 {
        more.push(words(&[3 + 2 * i + 1, 0, 1]));
        more.push(connection_list(&[constant(d::GAIN, i as i32)]));
    }
    let buffer = many_regions(400, |i| 2 + 2 * i, more);
    let mut synth = with_tone();
    let free = synth.free_download_memory();
    synth.download(&buffer).unwrap();
    let cost = (free - synth.free_download_memory()) as usize;
    assert!(cost > 10 * buffer.len(), "{cost} for {}", buffer.len());
    synth.set_download_memory(cost as u32 / 2);
    synth.clear_downloads();
    synth.download(&wave(TONE, RATE, &tone(0.0))).unwrap();
    assert_eq!(refused(&mut synth, &buffer).0, Reason::Memory);
}

#[test]
fn plays_streamed_and_one_shot_waves_that_regions_name() {
    for kind in [STREAMING_WAVE, ONE_SHOT_WAVE] {
        let mut synth = synth();
        let all = synth.free_download_memory();
        let mut buffer = wave(TONE, RATE, &tone(0.0));
        patch_word(&mut buffer, 0, kind);
        let handle = synth.download(&buffer).unwrap();
        assert!(synth.free_download_memory() < all);
        synth.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
        synth.midi(0, &[0xC0, 5]);
        synth.midi(0, NOTE_ON);
        assert!(peak(&mut synth) > 0.5);
        assert_eq!(synth.unload(handle), Ok(Unload::Pending), "a voice sounds from it");
        assert!(peak(&mut synth) > 0.5);
    }
}

/// Makes a `DMUS_WAVEARTDL` with the download ids of its buffers.
fn wave_articulation(count: u32, ids: &[u32]) -> Vec<u8> {
    buffer(WAVE_ARTICULATION, 77, &[words(&[1, 0, count, 0, 0]), words(ids)])
}

#[test]
fn accepts_a_wave_articulation_of_downloaded_waves_only() {
    let mut synth = with_tone();
    let mut second = wave(TONE + 1, RATE, &tone(0.0));
    patch_word(&mut second, 0, STREAMING_WAVE);
    synth.download(&second).unwrap();
    let free = synth.free_download_memory();
    let handle = synth.download(&wave_articulation(2, &[TONE, TONE + 1])).unwrap();
    assert!(synth.free_download_memory() < free);
    assert_eq!(synth.unload(handle), Ok(Unload::Done));
    assert_eq!(synth.free_download_memory(), free);
    // Header 16, table 8, articulation 20: the ids are at 44.
    assert_eq!(refused(&mut synth, &wave_articulation(2, &[TONE, 99])), (Reason::WaveLink, 48));
    assert_eq!(refused(&mut synth, &wave_articulation(0, &[TONE])), (Reason::WaveArticulation, 32));
    assert_eq!(refused(&mut synth, &wave_articulation(3, &[TONE, TONE])), (Reason::OutOfBounds, 44));
    assert_eq!(refused(&mut synth, &wave_articulation(u32::MAX, &[TONE])), (Reason::OutOfBounds, 44));
    assert_eq!(refused(&mut synth, &wave_articulation(1 << 30, &[TONE])), (Reason::OutOfBounds, 44));
}

#[test]
fn accepts_a_wave_in_the_extensible_format_with_the_pcm_subformat() {
    // WAVEFORMATEXTENSIBLE in place of WAVEFORMATEX: 22 bytes more, then the data.
    let extensible = |sub_format: u16| {
        let mut header = words(&[0, 0, 1]);
        header.extend([0xFEu8, 0xFF, 1, 0]);
        header.extend(words(&[RATE, RATE * 2]));
        header.extend([2, 0, 16, 0, 22, 0, 16, 0]);
        header.extend(words(&[4]));
        header.extend(sub_format.to_le_bytes());
        header.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
        let data = [words(&[8]), vec![0; 8]].concat();
        buffer(WAVE, 3, &[header, data])
    };
    let mut synth = synth();
    synth.download(&extensible(1)).unwrap();
    assert_eq!(refused(&mut synth, &extensible(3)), (Reason::WaveFormat, 36));
}

#[test]
fn refuses_a_header_whose_sizes_or_counts_are_wrong() {
    let mut synth = with_tone();
    assert_eq!(refused(&mut synth, &[]), (Reason::Header, 0));
    assert_eq!(refused(&mut synth, &[0; 15]), (Reason::Header, 12));
    let good = wave(1, RATE, &[0; 10]);
    let mut long = good.clone();
    patch_word(&mut long, 12, good.len() as u32 + 1);
    assert_eq!(refused(&mut synth, &long), (Reason::Header, 12));
    for count in [0, u32::MAX, 1 << 30] {
        let mut bad = good.clone();
        patch_word(&mut bad, 8, count);
        assert_eq!(refused(&mut synth, &bad), (Reason::OffsetTable, 8));
    }
    let mut shifted = good.clone();
    patch_word(&mut shifted, 16, 28);
    assert_eq!(refused(&mut synth, &shifted), (Reason::OffsetTable, 16));
    for kind in [0, 7, 99] {
        let mut other = good.clone();
        patch_word(&mut other, 0, kind);
        assert_eq!(refused(&mut synth, &other), (Reason::Unsupported, 0));
    }
}

#[test]
fn refuses_a_malformed_download_with_the_offset_of_the_error() {
    let mut synth = with_tone();
    // The first structure of a wave is at 24: header 16, table 8.
    let good = wave(1, RATE, &[0; 10]);
    let mut index = good.clone();
    patch_word(&mut index, 24 + 8, 2);
    assert_eq!(refused(&mut synth, &index), (Reason::Index, 32));
    let mut data = good.clone();
    patch_word(&mut data, 24 + 32, 1000);
    assert_eq!(refused(&mut synth, &data), (Reason::OutOfBounds, 60));
    let mut stereo = good.clone();
    stereo[24 + 14] = 2;
    assert_eq!(refused(&mut synth, &stereo), (Reason::WaveFormat, 36));
    let mut adpcm = good.clone();
    adpcm[24 + 12] = 2;
    assert_eq!(refused(&mut synth, &adpcm), (Reason::WaveFormat, 36));

    let good = simple_instrument(5, 0, TONE, TURN as u32, &organ());
    assert!(synth.download(&good).is_ok());
    let unknown = simple_instrument(5, 0, TONE + 1, TURN as u32, &organ());
    // Table of four: the instrument at 32, its region at 56, the wave link's index 32 further.
    assert_eq!(refused(&mut synth, &unknown), (Reason::WaveLink, 88));
    let mut cyclic = good.clone();
    patch_word(&mut cyclic, 56 + 16, 1);
    assert_eq!(refused(&mut synth, &cyclic).0, Reason::Chain);
    let mut chained = good.clone();
    patch_word(&mut chained, 56 + 72 + 8, 2);
    assert_eq!(refused(&mut synth, &chained).0, Reason::Chain);
    let mut crowded = good.clone();
    patch_word(&mut crowded, 56 + 72 + 12 + 4, u32::MAX);
    assert_eq!(refused(&mut synth, &crowded).0, Reason::OutOfBounds);
    let mut odd = good;
    patch_word(&mut odd, 16 + 4, 57);
    assert_eq!(refused(&mut synth, &odd), (Reason::OffsetTable, 20));
    assert_eq!(refused(&mut synth, &buffer(WAVE, 1, &[vec![0; 8]])).0, Reason::OutOfBounds);
}

#[test]
fn survives_random_and_damaged_buffers() {
    let mut random = Random(0xD1CE);
    let originals = [
        wave(1, RATE, &tone(0.0)),
        simple_instrument(5, 0, TONE, TURN as u32, &organ()),
        simple_instrument(0x8000_0000, 1, TONE, 3, &[]),
    ];
    let mut synth = with_tone();
    synth.midi(0, &[0xC0, 5]);
    for round in 0..20_000 {
        let mut buffer = originals[round % 3].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(buffer.len());
            buffer[at] = [0, 1, 0xFF, 0x80, random.below(256) as u8][random.below(5)];
        }
        buffer.truncate(if random.below(8) == 0 { random.below(buffer.len()) } else { buffer.len() });
        if let Ok(handle) = synth.download(&buffer) {
            synth.midi(0, &[0x90, random.below(128) as u8, FULL]);
            synth.midi(0, &[0x99, random.below(128) as u8, FULL]);
            let out = render(&mut synth, random.below(200));
            assert!(out.as_flattened().iter().all(|x| x.is_finite()));
            synth.unload(handle).unwrap();
        }
    }
    synth.all_sound_off();
    synth.clear_downloads();
    assert_eq!(synth.free_download_memory(), dls_synth::limits::DOWNLOAD_MEMORY_DEFAULT);
}

#[test]
fn moves_downloads_and_pending_unloads_to_a_new_synthesizer() {
    let mut first = with_tone();
    let all = first.free_download_memory();
    let instrument = first.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    let free = first.free_download_memory();
    first.midi(0, &[0xC0, 5]);
    first.midi(0, NOTE_ON);
    render(&mut first, 64);
    assert_eq!(first.unload(instrument), Ok(Unload::Pending), "a voice sounds from it");
    let mut second = synth();
    second.take_downloads(&mut first);
    assert_eq!((first.downloads(), second.downloads()), (0, 1));
    assert!(all > free && second.free_download_memory() == all);
    assert_eq!(second.take_unloaded(), Some(instrument), "its voices have ended with their synthesizer");
    second.download(&simple_instrument(5, 0, TONE, TURN as u32, &organ())).unwrap();
    second.midi(0, &[0xC0, 5]);
    second.midi(0, NOTE_ON);
    assert!(peak(&mut second) > 0.5, "the wave is still there");
}
