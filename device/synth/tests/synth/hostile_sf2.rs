//! SoundFonts with exactly one thing wrong: which ones play with a warning, and which are refused, with place.

use crate::common::file::{chunk, find, list};
use crate::common::sf2::*;
use dls_synth::dls::{Collection, PassedOver};
use dls_synth::{Bank, Rule, limits};

const LOOPED: (u16, i16) = (SAMPLE_MODES, 1);

fn plain() -> Font<'static> {
    Font::new(&[], &[LOOPED], 0.0)
}

#[track_caller]
fn refuses(file: &[u8], chunk: &str, offset: usize, rule: Rule) {
    let error = Bank::from_bytes(file).unwrap_err();
    assert_eq!((error.chunk.as_str(), error.offset, &error.rule), (chunk, offset, &rule));
    assert!(error.to_string().contains(rule.remedy()));
}

#[track_caller]
fn passes_over(file: &[u8], chunk: &str, offset: usize, what: PassedOver) {
    let loaded = Collection::load(file).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> = loaded.warnings.iter().map(|w| (w.chunk.as_str(), w.offset, w.what.clone())).collect();
    assert_eq!(found, [(chunk, offset, what)]);
}

/// Makes a file with one table changed by `change`.
fn changed(font: &Font<'_>, id: &[u8; 4], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut tables = font.tables();
    tables.iter_mut().filter(|(name, _)| *name == id).for_each(|(_, data)| change(data));
    font.file_of(&tables)
}

#[test]
fn loads_a_valid_font_without_warnings() {
    assert!(Collection::load(&plain().file()).unwrap().warnings.is_empty());
}

#[test]
fn refuses_a_font_that_lacks_a_list_or_table() {
    for id in [b"phdr", b"pbag", b"pmod", b"pgen", b"inst", b"ibag", b"imod", b"igen", b"shdr"] {
        let tables: Vec<_> = plain().tables().into_iter().filter(|(name, _)| *name != id).collect();
        let file = plain().file_of(&tables);
        let name: &'static str = std::str::from_utf8(id).unwrap();
        refuses(&file, "sfbk/pdta", find(&file, b"pdta") - 8, Rule::Missing(name));
    }
    let mut file = plain().file();
    let place = find(&file, b"smpl");
    file[place] = b'x';
    refuses(&file, "sfbk/sdta", find(&file, b"sdta") - 8, Rule::Missing("smpl"));
    let mut file = plain().file();
    let place = find(&file, b"pdta");
    file[place] = b'x';
    refuses(&file, "sfbk", 0, Rule::Missing("LIST pdta"));
}

#[test]
fn refuses_tables_that_are_no_whole_number_of_records() {
    for (id, record) in [(b"phdr", 38), (b"pbag", 4), (b"pmod", 10), (b"igen", 4), (b"inst", 22), (b"shdr", 46)] {
        let file = changed(&plain(), id, |data| data.truncate(data.len() - 1));
        let size = plain().tables().iter().find(|(name, _)| *name == id).unwrap().1.len() - 1;
        let place = format!("sfbk/pdta/{}", std::str::from_utf8(id).unwrap());
        refuses(&file, &place, find(&file, id), Rule::Records { size, record });
        let file = changed(&plain(), id, Vec::clear);
        refuses(&file, &place, find(&file, id), Rule::Records { size: 0, record });
    }
}

#[test]
fn refuses_indices_out_of_range() {
    let set = |id, at: usize, value: u16| {
        changed(&plain(), id, |data| data[at..at + 2].copy_from_slice(&value.to_le_bytes()))
    };
    let record = |file: &[u8], id, index: usize, size: usize| find(file, id) + 8 + index * size;
    // The second header's first bag; the second bag's first generator and modulator.
    type Case = (&'static [u8; 4], usize, usize, usize, &'static str, u64);
    let cases: [Case; 6] = [
        (b"phdr", 38 + 24, 1, 38, "bags", 1),
        (b"inst", 22 + 20, 1, 22, "bags", 1),
        (b"pbag", 4, 1, 4, "generators", 2),
        (b"pbag", 6, 1, 4, "modulators", 1),
        (b"ibag", 4, 1, 4, "generators", 3),
        (b"ibag", 6, 1, 4, "modulators", 1),
    ];
    for (id, at, index, size, what, count) in cases {
        let file = set(id, at, 0xFFFF);
        let place = format!("sfbk/pdta/{}[{index}]", std::str::from_utf8(id).unwrap());
        refuses(&file, &place, record(&file, id, index, size), Rule::Index { what, index: 0xFFFF, count });
    }
    let file = set(b"phdr", 24, 1);
    let file = changed(&plain(), b"phdr", |data| {
        data.copy_from_slice(&{
            let start = find(&file, b"phdr") + 8;
            let mut table = file[start..start + 76].to_vec();
            table[38 + 24] = 0;
            table
        });
    });
    refuses(&file, "sfbk/pdta/phdr[0]", record(&file, b"phdr", 0, 38), Rule::Order { what: "bags", record: 0 });
    // What a zone leads to: the last generator of the only zone.
    let file = set(b"pgen", 2, 7);
    let rule = Rule::Index { what: "instrument", index: 7, count: 1 };
    refuses(&file, "sfbk/pdta/pbag[0]", record(&file, b"pbag", 0, 4), rule);
    let file = set(b"igen", 6, 0xFFFF);
    let rule = Rule::Index { what: "sample", index: 0xFFFF, count: 1 };
    refuses(&file, "sfbk/pdta/ibag[0]", record(&file, b"ibag", 0, 4), rule);
}

#[test]
fn refuses_samples_outside_of_the_data() {
    let count = plain().samples.len();
    for (start, end) in
        [(0, count as u32 + 1), (u32::MAX, u32::MAX), (10, 9), (0, u32::MAX), (0x8000_0000, 0x8000_0001)]
    {
        let mut font = plain();
        (font.header[0], font.header[1]) = (start, end);
        let file = font.file();
        let rule = Rule::Samples { start: start.into(), end: end.into(), count };
        refuses(&file, "sfbk/shdr", find(&file, b"shdr") + 8, rule);
    }
    // Moved there by generators, the coarse one by 32768 samples each.
    for (generators, start, end) in
        [([(0u16, 2000i16), LOOPED], 2000, 1024), ([(4, 1), LOOPED], 32_768, 1024), ([(1, -1024), LOOPED], 0, 0)]
    {
        let font = Font::new(&[], &generators, 0.0);
        let file = font.file();
        refuses(&file, "sfbk/shdr", find(&file, b"shdr") + 8, Rule::Samples { start, end, count });
    }
    // They move a start forwards and an end backwards only (8.1.3).
    for generator in [(0u16, -1i16), (12, 1), (4, i16::MIN), (1, 7)] {
        let font = Font::new(&[], &[generator, LOOPED], 0.0);
        assert_eq!(Collection::from_sf2(&font.file()), Collection::from_sf2(&plain().file()));
    }
}

#[test]
fn refuses_compressed_samples_and_names_the_remedy() {
    let mut font = plain();
    font.sample.3 = 0x11;
    let file = font.file();
    refuses(&file, "sfbk/shdr", find(&file, b"shdr") + 8, Rule::Compressed);
    assert!(Rule::Compressed.remedy().contains("sf3convert"));
}

#[test]
fn survives_loops_outside_of_the_sample() {
    for (from, to) in [(0, u32::MAX), (u32::MAX, 0), (500, 400), (u32::MAX, u32::MAX), (5000, 9000), (0, 1)] {
        let mut font = plain();
        (font.header[2], font.header[3]) = (from, to);
        let collection = Collection::from_sf2(&font.file()).unwrap();
        let bank = std::sync::Arc::new(Bank::from_collection(&collection));
        let mut synth = dls_synth::Synth::new(crate::common::dry(), bank).unwrap();
        synth.midi(0, crate::common::NOTE_ON);
        let out = crate::common::render(&mut synth, 3000);
        assert!(out.iter().flatten().all(|x| x.is_finite()));
    }
}

#[test]
fn warns_of_unsupported_data() {
    let font = plain();
    let mut low = font.file();
    let place = find(&low, b"sdta") + 4;
    // The lower bits of 24, behind the others.
    let extra = chunk(b"sm24", &vec![0; font.samples.len() - 2]);
    let end = place + 8 + 2 * font.samples.len();
    low.splice(end..end, extra.iter().copied());
    for (at, more) in [(4, extra.len()), (place - 8, extra.len())] {
        let size = u32::from_le_bytes(low[at..at + 4].try_into().unwrap()) + more as u32;
        low[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }
    passes_over(&low, "sfbk/sdta/sm24", end, PassedOver::LowBits);

    let file = Font::new(&[], &[(42, 60), LOOPED], 0.0).file();
    passes_over(&file, "sfbk/pdta/igen[0]", find(&file, b"igen") + 8, PassedOver::Generator(42));
    let file = Font::new(&[(999, 60)], &[LOOPED], 0.0).file();
    passes_over(&file, "sfbk/pdta/pgen[0]", find(&file, b"pgen") + 8, PassedOver::Generator(999));

    let mut font = plain();
    font.instrument.push(Zone { generators: vec![(COARSE_TUNE, 1)], modulators: &[] });
    let file = font.file();
    passes_over(&file, "sfbk/pdta/ibag[1]", find(&file, b"ibag") + 8 + 4, PassedOver::DeadZone("sample"));

    let mut font = plain();
    font.sample.3 = 0x8001;
    let file = font.file();
    passes_over(&file, "sfbk/ibag", find(&file, b"ibag") + 8, PassedOver::Rom("Tone".into()));

    let file = plain().file();
    let more = [file.clone(), list(b"abcd", &[])].concat();
    passes_over(&more, "sfbk/....", file.len(), PassedOver::Trailing(12));
}

#[test]
fn refuses_truncated_fonts() {
    let good = plain().file();
    for length in 0..good.len() - 1 {
        assert!(Bank::from_bytes(&good[..length]).is_err(), "{length}");
    }
}

/// Two thousand zones that each lead to an instrument of two thousand: four million pairs out of 60 kB.
#[test]
fn bounds_regions_and_pairs_of_zones() {
    let mut font = plain();
    font.preset = vec![font.preset[0].clone(); 2000];
    font.instrument = vec![font.instrument[0].clone(); 2000];
    let error = Bank::from_bytes(&font.file()).unwrap_err();
    assert_eq!(error.rule, Rule::TooMany { what: "regions", limit: limits::REGIONS_MAX });
    // Without a key in common no pair is a region, and there is an end to looking for one.
    font.preset.iter_mut().for_each(|zone| zone.generators.insert(0, (KEY_RANGE, 10 << 8)));
    font.instrument.iter_mut().for_each(|zone| zone.generators.insert(0, (KEY_RANGE, 30 << 8 | 20)));
    let error = Bank::from_bytes(&font.file()).unwrap_err();
    assert_eq!(error.rule, Rule::TooMany { what: "pairs of zones", limit: limits::SOUND_FONT_PAIRS_MAX });
}

/// Zones that begin at other places of the same sample each need a copy of it: there is an end to that.
#[test]
fn bounds_the_copies_of_overlapping_samples() {
    let mut font = plain();
    font.samples = vec![1; 400_000];
    font.header = [0, 400_000, 0, 400_000, 48_000];
    let zone = |start: i16| Zone { generators: vec![(0, start), LOOPED, (SAMPLE, 0)], modulators: &[] };
    font.instrument = (0..12).map(zone).collect();
    let error = Bank::from_bytes(&font.file()).unwrap_err();
    assert!(matches!(error.rule, Rule::TooMany { what: "samples in overlapping waves", .. }), "{error}");
    font.instrument.truncate(8);
    assert_eq!(Collection::from_sf2(&font.file()).unwrap().waves.len(), 8);
}
