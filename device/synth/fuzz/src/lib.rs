//! What the fuzz targets do with their bytes: the same code runs under `cargo fuzz`, and under the ordinary test
//! `fuzz_corpus`, which feeds it seeds, the inputs of known defects, and what a deterministic mutator makes of them.
//!
//! A target may panic only where the library has a defect.

use std::sync::Arc;

use dls_synth::dls::{Collection, Wave};
use dls_synth::{Bank, ContainedSong, Synth, SynthConfig, VolumeItem};

/// Instruments of a bank that are played.
const INSTRUMENTS: usize = 4;

/// Frames for each of them.
const FRAMES: usize = 300;

/// Most frames of one session, so that a run is short.
const SESSION_FRAMES: usize = 20_000;

/// Makes a synthesizer that is quick to make.
fn small(bank: Arc<Bank>) -> Synth {
    let config = SynthConfig { voices: 16, reverb: false, chorus: false, ..SynthConfig::default() };
    Synth::new(config, bank).expect("a good configuration")
}

fn is_finite(frames: &[[f32; 2]]) -> bool {
    frames.as_flattened().iter().all(|x| x.is_finite())
}

/// Reads any bytes as a bank of any kind, writes it as DLS, reads it again the same, and plays it.
pub fn bank(bytes: &[u8]) {
    if let Ok(found) = ContainedSong::read(bytes) {
        assert!(found.song.starts_with(b"MThd") || bytes.starts_with(b"RIFF"));
    }
    let Ok(loaded) = Collection::load(bytes) else { return };
    let mut collection = loaded.collection;
    let played = collection.clone();
    for wave in collection.waves.iter_mut().flatten() {
        *wave = Arc::new(Wave::clone(wave).without_low_bits());
    }
    // SoundFonts have more exclusive classes than DLS has key groups, and much else that is lost there.
    let mut again = Collection::from_dls(&collection.to_dls()).expect("what was read can be written and read");
    for region in
        [&mut collection, &mut again].into_iter().flat_map(|found| &mut found.instruments).flat_map(|i| &mut i.regions)
    {
        (region.key_group, region.sound_font) = (0, None);
    }
    assert_eq!(again, collection);
    assert!(!collection.listing().to_string().is_empty());
    let mut synth = small(Arc::new(Bank::from_collection(&played)));
    for instrument in collection.instruments.iter().take(INSTRUMENTS) {
        let channel = if instrument.patch.drums { 9 } else { 0 };
        synth.midi(0, &[0xB0 | channel, 0, instrument.patch.bank_msb]);
        synth.midi(0, &[0xB0 | channel, 32, instrument.patch.bank_lsb]);
        synth.midi(0, &[0xC0 | channel, instrument.patch.program]);
        for key in [0, 36, 60, 127] {
            synth.midi(0, &[0x90 | channel, key, 100]);
        }
        let mut out = [[0.0; 2]; FRAMES];
        synth.render(&mut out);
        synth.midi(0, &[0x80 | channel, 60, 0]);
        assert!(is_finite(&out));
    }
}

/// A wave of eight samples with download id 0.
const WAVE: [u8; 76] = {
    let mut bytes = [0; 76];
    bytes[0] = 2;
    bytes[8] = 2;
    bytes[12] = 76;
    bytes[16] = 24;
    bytes[20] = 56;
    bytes[24 + 8] = 1;
    bytes[24 + 12] = 1;
    bytes[24 + 14] = 1;
    bytes[24 + 17] = 0x56;
    bytes[24 + 26] = 16;
    bytes[56] = 16;
    bytes[63] = 0x40;
    bytes
};

/// Downloads any bytes beside a good wave that they may refer to, plays and unloads them while they sound, and checks
/// that all memory is freed.
pub fn download(bytes: &[u8]) {
    let mut synth = small(Bank::builtin());
    let wave = synth.download(&WAVE).expect("a good wave");
    let free = synth.free_download_memory();
    let Ok(handle) = synth.download(bytes) else {
        assert_eq!(synth.free_download_memory(), free, "what is refused costs nothing");
        return;
    };
    assert!(synth.free_download_memory() < free, "what is taken costs something");
    // The patch, when it is an instrument: the first word of the first structure.
    let start = 16 + 4 * u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")) as usize;
    let patch = bytes.get(start..start + 4).unwrap_or(&[0; 4]);
    for channel in [0, 9] {
        synth.midi(0, &[0xB0 | channel, 0, patch[2] & 0x7F]);
        synth.midi(0, &[0xB0 | channel, 32, patch[1] & 0x7F]);
        synth.midi(0, &[0xC0 | channel, patch[0] & 0x7F]);
        for key in [0, 60, 127] {
            synth.midi(0, &[0x90 | channel, key, 100]);
        }
    }
    let mut out = [[0.0; 2]; FRAMES];
    synth.render(&mut out);
    assert!(is_finite(&out));
    synth.unload(handle).expect("it is there");
    _ = synth.unload(wave).expect("it is there");
    synth.render(&mut out);
    assert!(is_finite(&out));
    synth.all_sound_off();
    synth.clear_downloads();
    assert!(synth.free_download_memory() > free, "everything is given back");
}

/// Plays any bytes as messages of any kind with frames between them, whole and in pieces, and checks that the frames
/// are the same bits.
pub fn session(bytes: &[u8]) {
    let config = SynthConfig { voices: 6, ..SynthConfig::default() };
    let make = || Synth::new(config, Bank::builtin()).expect("a good configuration");
    let (mut whole, mut pieces) = (make(), make());
    let mut rest = bytes;
    let mut rendered = 0;
    while let [kind, tail @ ..] = rest {
        let length = usize::from(kind & 7).min(tail.len());
        let (message, next) = tail.split_at(length);
        rest = next;
        for synth in [&mut whole, &mut pieces] {
            match kind >> 5 {
                0 => _ = synth.set_voice_priority(0, kind & 15, u32::from(*message.first().unwrap_or(&0)) << 24),
                1 => synth.set_volume(VolumeItem::Volume, i32::from(*message.first().unwrap_or(&0)) * -100),
                2 if kind & 31 == 0 => synth.all_sound_off(),
                2 if kind & 31 == 1 => synth.reset(),
                _ => synth.midi(u16::from(kind >> 3 & 1), message),
            }
        }
        let frames = usize::from(*kind) * 3;
        let mut out = vec![[0.0; 2]; frames];
        let mut parts = out.clone();
        whole.render(&mut out);
        parts.chunks_mut(17).for_each(|part| pieces.render(part));
        assert_eq!(out, parts);
        assert!(is_finite(&out));
        assert!(whole.active_voices() <= u32::from(config.voices));
        rendered += frames;
        if rendered > SESSION_FRAMES {
            return;
        }
    }
}
