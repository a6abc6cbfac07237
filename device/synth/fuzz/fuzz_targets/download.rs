//! Any bytes as a DirectMusic download, beside a good wave that it may refer to.
#![no_main]

use dls_synth::{Bank, Synth, SynthConfig};
use libfuzzer_sys::fuzz_target;

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

fuzz_target!(|bytes: &[u8]| {
    let mut synth = Synth::new(SynthConfig { voices: 16, ..SynthConfig::default() }, Bank::builtin()).expect("a good configuration");
    synth.download(&WAVE).expect("a good wave");
    let free = synth.free_download_memory();
    let Ok(handle) = synth.download(bytes) else {
        assert_eq!(synth.free_download_memory(), free);
        return;
    };
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
    let mut out = [[0.0; 2]; 300];
    synth.render(&mut out);
    assert!(out.as_flattened().iter().all(|x| x.is_finite()));
    synth.unload(handle).expect("it is there");
    synth.all_sound_off();
    assert_eq!(synth.free_download_memory(), free);
});
