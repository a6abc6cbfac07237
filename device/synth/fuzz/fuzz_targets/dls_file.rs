//! Any bytes as a DLS file: read, written, read again, and played.
#![no_main]

use std::sync::Arc;

use dls_synth::dls::Collection;
use dls_synth::{Bank, Synth, SynthConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(collection) = Collection::from_dls(bytes) else { return };
    let again = Collection::from_dls(&collection.to_dls()).expect("what was read can be written and read");
    assert_eq!(again.instruments.len(), collection.instruments.len());
    let bank = Arc::new(Bank::from_collection(&collection));
    let mut synth = Synth::new(SynthConfig { voices: 16, ..SynthConfig::default() }, bank).expect("a good configuration");
    for instrument in collection.instruments.iter().take(4) {
        let (msb, lsb) = (instrument.patch.bank_msb, instrument.patch.bank_lsb);
        let channel = if instrument.patch.drums { 9 } else { 0 };
        synth.midi(0, &[0xB0 | channel, 0, msb]);
        synth.midi(0, &[0xB0 | channel, 32, lsb]);
        synth.midi(0, &[0xC0 | channel, instrument.patch.program]);
        for key in [0, 36, 60, 127] {
            synth.midi(0, &[0x90 | channel, key, 100]);
        }
        let mut out = [[0.0; 2]; 300];
        synth.render(&mut out);
        assert!(out.as_flattened().iter().all(|x| x.is_finite()));
    }
});
