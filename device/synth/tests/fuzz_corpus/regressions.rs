//! Defects that other readers of these files have had, by class: the synthesizer survives each input.
//!
//! The classes are those of the advisories against a widely used C synthesizer's DLS loader: CVE-2025-68617 (memory
//! used after a bank was unloaded while it sounded), and CVE-2026-58264, -61714, -61720, -61721, -61722 and -61723
//! (writes beyond heap buffers in pool tables, articulations and sample data; counts whose product with a record's size
//! wraps). In safe Rust such a defect would be a panic, endless work or a wrong sound, for which these tests check.

use dls_synth::dls::Collection;
use dls_synth::{Bank, Synth, Unload};

use crate::common::download::wave;
use crate::common::*;
use crate::inputs::{self, Door, Input};
use crate::targets;

/// Puts inputs through their doors; tells how many were taken.
fn feed(inputs: &[Input]) -> usize {
    let mut taken = 0;
    for Input { name, door, bytes } in inputs {
        match door {
            Door::Bank => {
                targets::bank(bytes);
                match Bank::from_bytes(bytes) {
                    Ok(_) => taken += 1,
                    Err(error) => assert!(error.offset <= bytes.len(), "{name}: {error}"),
                }
            }
            Door::Download => {
                targets::download(bytes);
                let mut synth = Synth::new(dry(), Bank::builtin()).unwrap();
                match synth.download(bytes) {
                    Ok(_) => taken += 1,
                    Err(error) => assert!(error.offset as usize <= bytes.len().max(16), "{name}: {error}"),
                }
            }
        }
    }
    taken
}

/// Class of CVE-2026-61720 to -61723: heap overruns by a pool table.
#[test]
fn refuses_pool_tables_that_overrun_the_heap() {
    assert_eq!(feed(&inputs::pool_tables()), 0, "each is broken, and refused");
}

/// Class of CVE-2026-58264 and -61714: heap overruns by articulation lists.
#[test]
fn refuses_articulations_that_overrun_the_heap() {
    assert_eq!(feed(&inputs::articulations()), 0, "each is broken, and refused");
}

/// Heap overruns by where a sample, or its loop, is said to be.
#[test]
fn bounds_loops_and_refuses_samples_outside_of_the_data() {
    let inputs = inputs::samples();
    let taken = feed(&inputs);
    assert!((1..inputs.len()).contains(&taken), "loops are cut, samples outside of the data refused: {taken}");
}

/// Integer overflows: a count times a record's size, a chunk's size plus its header.
#[test]
fn refuses_counts_and_sizes_that_overflow() {
    let inputs = inputs::counts();
    assert!(inputs.len() > 70);
    assert_eq!(feed(&inputs), 0, "each is broken, and refused");
}

/// Class of CVE-2025-68617: memory used after it was freed, because it was unloaded while it sounded.
mod unloaded_while_sounding {
    use super::*;

    const TONE: u32 = 7;

    fn with_bank_silent() -> Synth {
        let mut bank: Collection = tone_collection(0.0, &organ());
        bank.instruments[0].patch.program = 127;
        plain_synth(dry(), &bank)
    }

    fn loaded(synth: &mut Synth) -> [dls_synth::DownloadHandle; 2] {
        let wave = synth.download(&wave(TONE, RATE, &tone(0.0))).unwrap();
        let instrument = synth.download(&inputs::lingering(5, TONE)).unwrap();
        synth.midi(0, &[0xC0, 5]);
        [wave, instrument]
    }

    /// Renders a note that no other message disturbs.
    fn undisturbed(frames: usize) -> Vec<[f32; 2]> {
        let mut synth = with_bank_silent();
        loaded(&mut synth);
        synth.midi(0, NOTE_ON);
        render(&mut synth, frames)
    }

    #[test]
    fn sounds_on_after_an_unload() {
        let mut synth = with_bank_silent();
        let all = synth.free_download_memory();
        let handles = loaded(&mut synth);
        synth.midi(0, NOTE_ON);
        let mut out = render(&mut synth, 1000);
        for handle in handles {
            assert_eq!(synth.unload(handle), Ok(Unload::Pending));
        }
        out.extend(render(&mut synth, 4000));
        assert_eq!(out, undisturbed(5000));
        synth.midi(0, NOTE_OFF);
        render(&mut synth, frame(0.6));
        assert_eq!(synth.free_download_memory(), all);
    }

    #[test]
    fn sounds_on_after_a_replacement_under_the_same_id() {
        let mut synth = with_bank_silent();
        let handles = loaded(&mut synth);
        synth.midi(0, NOTE_ON);
        let mut out = render(&mut synth, 1000);
        // The same ids and the same patch, with silence, many times over, as a driver does that reloads a song.
        for _ in 0..50 {
            let silence = synth.download(&wave(TONE, RATE, &[0; TURN])).unwrap();
            let instrument = synth.download(&inputs::lingering(5, TONE)).unwrap();
            out.extend(render(&mut synth, 20));
            assert_eq!(synth.unload(silence), Ok(Unload::Done));
            assert_eq!(synth.unload(instrument), Ok(Unload::Done));
        }
        for handle in handles {
            synth.unload(handle).unwrap();
        }
        out.extend(render(&mut synth, 3000));
        assert_eq!(out, undisturbed(5000));
    }

    #[test]
    fn clearing_downloads_silences_them_at_once() {
        let mut synth = with_bank_silent();
        loaded(&mut synth);
        for key in 40..56 {
            synth.midi(0, &[0x90, key, FULL]);
        }
        render(&mut synth, 1000);
        synth.clear_downloads();
        assert_eq!(synth.active_voices(), 0);
        assert!(render(&mut synth, 1000).iter().all(|frame| *frame == [0.0; 2]));
        loaded(&mut synth);
        synth.midi(0, NOTE_ON);
        assert!(render(&mut synth, 100).iter().any(|frame| *frame != [0.0; 2]), "and ready for the next song");
    }

    #[test]
    fn a_bank_lives_as_long_as_a_synthesizer_plays_from_it() {
        let bank = std::sync::Arc::new(Bank::from_collection(&tone_collection(0.0, &organ())));
        let mut synth = Synth::new(dry(), bank.clone()).unwrap();
        synth.midi(0, NOTE_ON);
        let before = render(&mut synth, TURN);
        drop(bank);
        assert_eq!(render(&mut synth, TURN), before);
    }
}
