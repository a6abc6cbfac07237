//! Any bytes as a session: messages of any kind, and frames between them, whole and in pieces.
#![no_main]

use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};
use libfuzzer_sys::fuzz_target;

/// Most frames of one session, so that a run is short.
const FRAMES_MAX: usize = 20_000;

fuzz_target!(|bytes: &[u8]| {
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
        assert!(out.as_flattened().iter().all(|x| x.is_finite()));
        assert!(whole.active_voices() <= u32::from(config.voices));
        rendered += frames;
        if rendered > FRAMES_MAX {
            return;
        }
    }
});
