//! Files that carry a song with its instruments: RMID with DLS collections and SoundFonts, XMF.

use std::sync::Arc;

use crate::common::file::{Parts, chunk, halves, list};
use crate::common::sf2::Fonts;
use crate::common::*;
use dls_synth::dls::{Collection, PassedOver};
use dls_synth::{Bank, BankError, ContainedSong, Rule, Synth, is_container};

const SONG: &[u8] = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xFF\x2F\0";

/// Samples of a turn at 1000 Hz.
const TURN_1000: u32 = 48;

fn rmid(children: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"RIFF", &[&b"RMID"[..], &children.concat()].concat())
}

fn dls() -> Vec<u8> {
    Collection::from_sf2(&Fonts::of_tones(&[TURN_1000]).file()).unwrap().to_dls()
}

fn hertz(bank: &[u8], messages: &[&[u8]]) -> f64 {
    let loaded = Collection::load(bank).unwrap();
    let bank = Bank::from_collection_over(&loaded.collection, &Bank::builtin());
    let mut synth = Synth::new(dry(), Arc::new(bank)).unwrap();
    messages.iter().for_each(|message| synth.midi(0, message));
    let out = render(&mut synth, 48_000);
    let crossings = out.windows(2).filter(|pair| pair[0][0] < 0.0 && pair[1][0] >= 0.0).count();
    crossings as f64
}

#[test]
fn key_60_of_the_embedded_collection_sounds_at_its_pitch() {
    let file = rmid(&[chunk(b"data", SONG), dls()]);
    let found = ContainedSong::read(&file).unwrap();
    assert_eq!((&*found.song, found.has_bank, found.warnings.is_empty()), (SONG, true, true));
    close(hertz(&file, &[&[0x90, 60, 127]]), 1000.0, 1.0);
    assert!(is_container(&file) && !is_container(&dls()));
}

#[test]
fn what_the_embedded_bank_does_not_have_comes_from_general_midi() {
    let file = rmid(&[chunk(b"data", SONG), dls()]);
    let builtin = Bank::builtin();
    let bank = Bank::from_collection_over(&Collection::load(&file).unwrap().collection, &builtin);
    assert_eq!(bank.describe().len(), builtin.describe().len());
    assert!(hertz(&file, &[&[0xC0, 73], &[0x90, 69, 127]]) > 300.0, "a flute");
}

#[test]
fn a_collection_behind_the_declared_end_is_found() {
    let file = [rmid(&[chunk(b"data", SONG)]), dls()].concat();
    assert!(ContainedSong::read(&file).unwrap().has_bank);
    close(hertz(&file, &[&[0x90, 60, 127]]), 1000.0, 1.0);
}

#[test]
fn a_sound_font_has_the_bank_offset_of_its_file() {
    let font = Fonts::of_tones(&[TURN_1000]);
    let mut drums = font.clone();
    drums.presets.push((128, 0, drums.presets[0].2.clone()));
    drums.presets.push((127, 5, drums.presets[0].2.clone()));
    let banks = |info: Option<Vec<u8>>| {
        let children = [vec![chunk(b"data", SONG)], info.into_iter().collect(), vec![drums.file()]].concat();
        Collection::load(&rmid(&children)).map(|loaded| {
            let instruments = loaded.collection.instruments.into_iter();
            let patches: Vec<_> = instruments.map(|found| (found.patch.drums, found.patch.bank_msb)).collect();
            (patches, loaded.warnings.count())
        })
    };
    let offset = |bytes: &[u8]| Some(list(b"INFO", &[chunk(b"DBNK", bytes)]));
    assert_eq!(banks(offset(&[0, 0])).unwrap(), (vec![(false, 0), (true, 0), (false, 127)], 0));
    // One by default; the preset at 127 is then beyond MIDI.
    assert_eq!(banks(None).unwrap(), (vec![(false, 1), (true, 0)], 1));
    assert_eq!(banks(offset(&[9, 0])).unwrap().0, [(false, 9), (true, 0)]);
    for wrong in [&[128, 0][..], &[0, 1], &[1]] {
        assert_eq!(banks(offset(wrong)).unwrap_err().rule, Rule::BankOffset);
    }
    // A DLS collection has none.
    let file = rmid(&[chunk(b"data", SONG), list(b"INFO", &[chunk(b"DBNK", &halves(&[7]))]), dls()]);
    let loaded = Collection::load(&file).unwrap();
    assert_eq!(loaded.collection.instruments[0].patch.bank_msb, 0);
    assert_eq!(loaded.warnings.iter().map(|w| w.what.clone()).collect::<Vec<_>>(), [PassedOver::BankOffset]);
}

#[test]
fn says_what_is_not_used() {
    let wave = chunk(b"RIFF", b"WAVEfmt ");
    let children = [chunk(b"data", SONG), chunk(b"data", SONG), wave, dls(), dls(), chunk(b"abcd", &[1, 2])];
    let file = rmid(&children);
    let found = ContainedSong::read(&file).unwrap();
    let places: Vec<_> = found.warnings.iter().map(|warning| warning.chunk.as_str()).collect();
    assert_eq!(places, ["RMID/abcd", "RMID/data", "RMID/RIFF", "RMID/RIFF"]);
}

#[test]
fn refuses_a_file_without_song_and_one_without_bank() {
    let rule = |found: Result<ContainedSong<'_>, BankError>| found.unwrap_err().rule;
    assert_eq!(rule(ContainedSong::read(&rmid(&[dls()]))), Rule::NoSong);
    assert_eq!(
        rule(ContainedSong::read(&crate::common::xmf::file(&crate::common::xmf::node(
            1,
            &[],
            &crate::common::xmf::node(0, &[], &dls())
        )))),
        Rule::NoSong
    );
    assert_eq!(rule(ContainedSong::read(SONG)), Rule::Form);
    assert_eq!(Collection::load(&rmid(&[chunk(b"data", SONG)])).unwrap_err().rule, Rule::NoCollection);
    // A broken bank is refused with its place in the file.
    let broken = Parts { ptbl: vec![8, 0, 0], ..Parts::default() }.file();
    let error = Collection::load(&rmid(&[chunk(b"data", SONG), broken])).unwrap_err();
    assert!(error.chunk.starts_with("RMID/DLS/ptbl") && error.offset > 12 + SONG.len(), "{error}");
    let whole = rmid(&[chunk(b"data", SONG), dls()]);
    for length in 0..whole.len() {
        let _ = (ContainedSong::read(&whole[..length]), Collection::load(&whole[..length]));
    }
}

#[test]
fn an_xmf_file_plays_with_its_bank() {
    use crate::common::xmf::{file, node};
    let children = [node(0, &[], &dls()), node(0, &[], SONG)].concat();
    let bytes = file(&node(2, &[], &children));
    let found = ContainedSong::read(&bytes).unwrap();
    assert_eq!((&*found.song, found.has_bank), (SONG, true));
    close(hertz(&bytes, &[&[0x90, 60, 127]]), 1000.0, 1.0);
}
