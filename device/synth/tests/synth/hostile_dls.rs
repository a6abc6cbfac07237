//! DLS files with exactly one thing wrong: which ones play with a warning, and which are refused, with place.

use std::sync::Arc;

use crate::common::file::*;
use crate::common::*;
use dls_synth::dls::{Collection, Loaded, PassedOver};
use dls_synth::{Bank, Rule, Synth, limits};

/// Asserts that a file plays, and leaves exactly this one warning at this chunk and offset.
#[track_caller]
fn passes_over(file: &[u8], chunk: &str, offset: usize, what: PassedOver) {
    let Loaded { warnings, .. } = Collection::load(file).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> = warnings.iter().map(|w| (w.chunk.as_str(), w.offset, w.what.clone())).collect();
    assert_eq!(found, [(chunk, offset, what)]);
    assert_eq!(Bank::from_bytes(file).unwrap().warnings(), &warnings, "a bank keeps them");
    assert!(sounds(file));
}

/// Asserts that a file is refused, at this chunk and offset, for this reason.
#[track_caller]
fn refuses(file: &[u8], chunk: &str, offset: usize, rule: Rule) {
    let error = Bank::from_bytes(file).unwrap_err();
    let text = error.to_string();
    assert_eq!((error.chunk.as_str(), error.offset, &error.rule), (chunk, offset, &rule));
    for part in [chunk, &offset.to_string(), &rule.to_string(), rule.remedy()] {
        assert!(text.contains(part), "{text}");
    }
}

fn sounds(file: &[u8]) -> bool {
    let mut synth = Synth::new(dry(), Arc::new(Bank::from_bytes(file).unwrap())).unwrap();
    synth.midi(0, NOTE_ON);
    render(&mut synth, 100).iter().any(|frame| frame[0] != 0.0)
}

/// Returns the offset of the header of the first chunk with this code; of a list, with this form.
#[track_caller]
fn at(file: &[u8], id: &[u8; 4]) -> usize {
    let found = find(file, id);
    if found >= 8 && &file[found - 8..found - 4] == b"LIST" { found - 8 } else { found }
}

fn whole() -> Vec<u8> {
    Parts::default().file()
}

#[test]
fn loads_a_valid_file_without_warnings() {
    let loaded = Collection::load(&whole()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!((loaded.warnings.count(), loaded.warnings.omitted()), (0, 0));
    assert!(sounds(&whole()));
}

mod tolerated {
    use super::*;

    #[test]
    fn passes_over_a_wrong_riff_size() {
        let good = whole();
        let found = good.len() - 8;
        for declared in [0u32, 4, 11, found as u32 - 8, found as u32 + 1, u32::MAX] {
            let mut file = good.clone();
            file[4..8].copy_from_slice(&declared.to_le_bytes());
            passes_over(&file, "DLS", 0, PassedOver::RiffSize { declared, found });
        }
    }

    #[test]
    fn reads_the_instruments_behind_a_riff_size_that_is_too_small() {
        let parts = Parts::default();
        let file = riff(&[
            list(b"wvpl", &[parts.wave()]),
            chunk(b"ptbl", &parts.ptbl),
            list(b"lins", &[parts.instrument()]),
            chunk(b"colh", &parts.colh),
        ]);
        let declared = (at(&file, b"lins") - 8) as u32;
        let mut short = file.clone();
        short[4..8].copy_from_slice(&declared.to_le_bytes());
        passes_over(&short, "DLS", 0, PassedOver::RiffSize { declared, found: file.len() - 8 });
    }

    #[test]
    fn passes_over_junk_after_the_end() {
        let good = whole();
        let junk = [good.clone(), vec![0xAA; 333]].concat();
        passes_over(&junk, "DLS/....", good.len(), PassedOver::Trailing(333));
        let both = [good.clone(), good.clone()].concat();
        passes_over(&both, "DLS/....", good.len(), PassedOver::Trailing(good.len()));
    }

    #[test]
    fn passes_over_junk_at_the_end_of_a_list() {
        for junk in [vec![1], vec![1; 7], vec![0; 4]] {
            let mut parts = Parts::default();
            let end = at(&parts.file(), b"rgn2") + parts.region().len();
            parts.in_region.push(junk.clone());
            let file = parts.file();
            let place = "DLS/lins/ins[0]/lrgn/rgn2[0]/....";
            passes_over(&file, place, end, PassedOver::Trailing(junk.len()));
        }
    }

    #[test]
    fn passes_over_unknown_chunks_and_lists() {
        let mut parts = Parts { top: vec![chunk(b"junk", &[1, 2, 3])], ..Parts::default() };
        passes_over(&parts.file(), "DLS/junk", at(&parts.file(), b"junk"), PassedOver::UnknownChunk(3));
        parts.top = vec![list(b"zzzz", &[chunk(b"abcd", &[0; 6])])];
        passes_over(&parts.file(), "DLS/zzzz", at(&parts.file(), b"zzzz"), PassedOver::UnknownChunk(18));
        parts.top.clear();
        parts.in_region.push(chunk(b"xtra", &[0; 4]));
        let place = "DLS/lins/ins[0]/lrgn/rgn2[0]/xtra";
        passes_over(&parts.file(), place, at(&parts.file(), b"xtra"), PassedOver::UnknownChunk(4));
    }

    #[test]
    fn passes_over_an_unknown_chunk_that_does_not_end() {
        let mut endless = chunk(b"junk", &[0; 8]);
        endless[4] = 200;
        let parts = Parts { top: vec![endless], ..Parts::default() };
        passes_over(&parts.file(), "DLS/junk", at(&parts.file(), b"junk"), PassedOver::Trailing(16));
    }

    #[test]
    fn passes_over_alias_chunks_of_mobile_synthesizers() {
        let parts = Parts { top: vec![chunk(b"pgal", &[0, 1, 2, 3])], ..Parts::default() };
        passes_over(&parts.file(), "DLS/pgal", at(&parts.file(), b"pgal"), PassedOver::Aliases(4));
    }

    #[test]
    fn passes_over_version_identity_and_text_chunks_without_a_warning() {
        let parts = Parts {
            top: vec![
                chunk(b"vers", &words(&[1, 2])),
                chunk(b"dlid", &[7; 16]),
                list(b"INFO", &[chunk(b"INAM", b"Name\0"), chunk(b"ISFT", b"x"), chunk(b"WHAT", b"y")]),
            ],
            in_instrument: vec![chunk(b"dlid", &[7; 16])],
            in_wave: vec![chunk(b"dlid", &[7; 16]), chunk(b"fact", &[0; 4])],
            ..Parts::default()
        };
        let loaded = Collection::load(&parts.file()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.collection.name, "Name");
    }

    #[test]
    fn passes_over_wrong_counts() {
        let parts = Parts { colh: words(&[77]), ..Parts::default() };
        let what = PassedOver::Count { what: "instruments", declared: 77, found: 1 };
        passes_over(&parts.file(), "DLS/colh", at(&parts.file(), b"colh") + 8, what);
        let parts = Parts { insh: words(&[0, 0, 0]), ..Parts::default() };
        let what = PassedOver::Count { what: "regions", declared: 0, found: 1 };
        passes_over(&parts.file(), "DLS/lins/ins[0]/insh", at(&parts.file(), b"insh") + 8, what);
        let parts = Parts { ptbl: words(&[8, 1, 0, 0, 0]), ..Parts::default() };
        let what = PassedOver::Count { what: "cues", declared: 1, found: 3 };
        passes_over(&parts.file(), "DLS/ptbl", at(&parts.file(), b"ptbl") + 12, what);
    }

    #[test]
    fn passes_over_an_odd_chunk_without_its_pad_byte() {
        let mut unpadded = chunk(b"dlid", &[7; 17]);
        unpadded.pop();
        let parts = Parts { in_instrument: vec![unpadded, chunk(b"dlid", &[7; 16])], ..Parts::default() };
        let file = parts.file();
        let loaded = Collection::load(&file).unwrap();
        let found: Vec<_> = loaded.warnings.iter().map(|w| (w.offset, w.what.clone())).collect();
        assert_eq!(found, [(at(&file, b"dlid"), PassedOver::Unpadded)]);
        assert!(sounds(&file));
        // One that is padded with something else than zero is no reason for a word.
        let mut padded = chunk(b"dlid", &[7; 17]);
        *padded.last_mut().unwrap() = 9;
        let parts = Parts { in_instrument: vec![padded], ..Parts::default() };
        assert!(Collection::load(&parts.file()).unwrap().warnings.is_empty());
    }

    #[test]
    fn reads_structures_larger_than_the_known_ones() {
        let size = 28;
        let parts = Parts { in_region: vec![wave_sample(size, &[[0, 10, 20]])], ..Parts::default() };
        let what = PassedOver::Grown { known: 20, found: 28 };
        let file = parts.file();
        passes_over(&file, "DLS/lins/ins[0]/lrgn/rgn2[0]/wsmp", at(&file, b"wsmp") + 8, what);
        let region = Collection::from_dls(&file).unwrap().instruments[0].regions[0].clone();
        let found = region.sample.unwrap().sample_loop.unwrap();
        assert_eq!((found.start, found.length), (10, 20), "the loop is found behind what is new");

        let parts = Parts { ptbl: words(&[12, 1, 0xDEAD, 0]), ..Parts::default() };
        let what = PassedOver::Grown { known: 8, found: 12 };
        passes_over(&parts.file(), "DLS/ptbl", at(&parts.file(), b"ptbl") + 8, what);

        let art = chunk(b"art2", &[words(&[12, 1, 0xDEAD]), block([0, 0, 3, 0], 100 << 16)].concat());
        let parts = Parts { in_instrument: vec![list(b"lar2", &[art])], ..Parts::default() };
        let what = PassedOver::Grown { known: 8, found: 12 };
        passes_over(&parts.file(), "DLS/lins/ins[0]/lar2/art2", at(&parts.file(), b"art2") + 8, what);
        assert_eq!(Collection::from_dls(&parts.file()).unwrap().instruments[0].articulation[0].scale, 100 << 16);
    }

    #[test]
    fn reads_structures_whose_size_field_is_too_small() {
        let mut sample = wave_sample(20, &[]);
        sample[8] = 0;
        let parts = Parts { in_region: vec![sample], ..Parts::default() };
        let what = PassedOver::Shrunk { known: 20, found: 0 };
        passes_over(&parts.file(), "DLS/lins/ins[0]/lrgn/rgn2[0]/wsmp", at(&parts.file(), b"wsmp") + 8, what);
    }

    #[test]
    fn passes_over_a_duplicate_chunk() {
        let parts = Parts { in_instrument: vec![chunk(b"insh", &words(&[9, 9, 9]))], ..Parts::default() };
        let file = parts.file();
        let second = file.windows(4).rposition(|part| part == b"insh").unwrap();
        passes_over(&file, "DLS/lins/ins[0]/insh", second, PassedOver::Duplicate);
        assert_eq!(Collection::from_dls(&file).unwrap().instruments[0].patch.program, 0);
    }

    #[test]
    fn passes_over_reserved_destinations() {
        for destination in [0x0002, 0x0208, 0x030C] {
            let list = articulation(1, &[block([0, 0, destination, 0], 0x7FFF_0000)]);
            let parts = Parts { in_instrument: vec![list], ..Parts::default() };
            let file = parts.file();
            let what = PassedOver::ReservedDestination { index: 0, destination };
            passes_over(&file, "DLS/lins/ins[0]/lar2/art2", at(&file, b"art2") + 16, what);
        }
    }

    #[test]
    fn passes_over_connections_that_dls_does_not_define() {
        for (source, control, destination) in [(0x0A, 0, 3), (0x103, 0, 3), (1, 0x7F, 3), (0, 0, 0x999)] {
            let known = block([0, 0, 3, 0], 0);
            let list = articulation(2, &[known, block([source, control, destination, 0], 1)]);
            let parts = Parts { in_region: vec![list], ..Parts::default() };
            let file = parts.file();
            let what = PassedOver::UnknownConnection { index: 1, source_id: source, control, destination };
            passes_over(&file, "DLS/lins/ins[0]/lrgn/rgn2[0]/lar2/art2", at(&file, b"art2") + 28, what);
        }
    }

    #[test]
    fn passes_over_loops_of_invalid_type_number_or_position() {
        let warned = |sample: Vec<u8>| {
            let parts = Parts { in_wave: vec![sample], ..Parts::default() };
            let loaded = Collection::load(&parts.file()).unwrap();
            assert!(sounds(&parts.file()));
            let place = at(&parts.file(), b"wsmp");
            loaded.warnings.iter().map(|w| (w.offset - place - 8, w.what.clone())).collect::<Vec<_>>()
        };
        assert_eq!(warned(wave_sample(20, &[[0, 0, 100]])), []);
        assert_eq!(warned(wave_sample(20, &[[2, 0, 100]])), [], "both numbers of a release loop");
        assert_eq!(warned(wave_sample(20, &[[3, 0, 100]])), [(24, PassedOver::LoopType(3))]);
        assert_eq!(warned(wave_sample(20, &[[0, 0, 100], [0, 5, 5]])), [(16, PassedOver::Loops(2))]);
        for (start, length) in [(0, 101), (100, 1), (99, 2), (u32::MAX, u32::MAX), (5, 0), (1, u32::MAX)] {
            let what = PassedOver::Loop { start, length, samples: 100 };
            assert_eq!(warned(wave_sample(20, &[[0, start, length]])), [(28, what)]);
        }
    }

    #[test]
    fn passes_over_half_a_sample() {
        let parts = Parts { data: vec![0x40; 101], ..Parts::default() };
        let file = parts.file();
        passes_over(&file, "DLS/wvpl/wave[0]/data", at(&file, b"data") + 8 + 100, PassedOver::HalfSample);
    }

    #[test]
    fn passes_over_a_region_with_a_null_cue() {
        let parts = Parts::default();
        let other = Parts { wlnk: [halves(&[0, 0]), words(&[1, 1])].concat(), ..Parts::default() };
        let regions = list(b"lrgn", &[parts.region(), other.region()]);
        let instrument = list(b"ins ", &[chunk(b"insh", &words(&[2, 0, 0])), regions]);
        let file = riff(&[
            chunk(b"colh", &parts.colh),
            list(b"lins", &[instrument]),
            chunk(b"ptbl", &words(&[8, 2, 0, u32::MAX])),
            list(b"wvpl", &[parts.wave()]),
        ]);
        let link = file.windows(4).rposition(|part| part == b"wlnk").unwrap();
        passes_over(&file, "DLS/lins/ins[0]/lrgn/rgn2[1]/wlnk", link + 16, PassedOver::NullCue(1));
        assert_eq!(Collection::from_dls(&file).unwrap().instruments[0].regions.len(), 1);
    }

    #[test]
    fn passes_over_a_region_with_an_empty_range() {
        for header in [[90, 10, 0, 127, 0, 0], [0, 127, 90, 10, 0, 0], [200, 300, 0, 127, 0, 0]] {
            let parts = Parts { rgnh: halves(&header), ..Parts::default() };
            let loaded = Collection::load(&parts.file()).unwrap();
            let found: Vec<_> = loaded.warnings.iter().map(|w| w.what.clone()).collect();
            assert_eq!(found, [PassedOver::EmptyRange]);
            assert!(!sounds(&parts.file()));
        }
    }

    #[test]
    fn passes_over_a_list_whose_condition_is_false_wherever_it_is_in_the_list() {
        let conditions = [
            (constant_word(0), PassedOver::ConditionFalse),
            (halves(&[0x77]), PassedOver::ConditionUnreadable),
            (vec![], PassedOver::ConditionUnreadable),
        ];
        for (program, what) in conditions {
            // A second articulation list, of one connection that would silence all, with its condition last.
            let silence = chunk(b"art2", &[words(&[8, 1]), block([0, 0, 1, 0], -960 << 16)].concat());
            let condition = chunk(b"cdl ", &program);
            let parts = Parts { in_instrument: vec![list(b"lar2", &[silence, condition])], ..Parts::default() };
            let file = parts.file();
            passes_over(&file, "DLS/lins/ins[0]/lar2/cdl", at(&file, b"cdl "), what);
        }
    }

    #[test]
    fn does_not_parse_a_list_whose_condition_is_false() {
        let wrong = chunk(b"art2", &[0xFF; 8]);
        let parts = Parts {
            in_instrument: vec![list(b"lart", &[chunk(b"cdl ", &constant_word(0)), wrong])],
            ..Parts::default()
        };
        let file = parts.file();
        passes_over(&file, "DLS/lins/ins[0]/lart/cdl", at(&file, b"cdl "), PassedOver::ConditionFalse);
    }

    #[test]
    fn accepts_the_extensible_format_with_the_pcm_subformat() {
        let mut format =
            [halves(&[0xFFFE, 1]), words(&[22_050, 44_100]), halves(&[2, 16, 22, 16]), words(&[4])].concat();
        format.extend([1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
        let parts = Parts { format, ..Parts::default() };
        assert!(Collection::load(&parts.file()).unwrap().warnings.is_empty());
        assert!(sounds(&parts.file()));
    }

    #[test]
    fn counts_warnings_beyond_the_bound() {
        let parts = Parts { top: vec![chunk(b"junk", &[]); limits::WARNINGS_MAX + 44], ..Parts::default() };
        let warnings = Collection::load(&parts.file()).unwrap().warnings;
        assert_eq!(
            (warnings.iter().count(), warnings.omitted(), warnings.count()),
            (limits::WARNINGS_MAX, 44, limits::WARNINGS_MAX + 44)
        );
    }
}

mod refused {
    use super::*;

    #[test]
    fn refuses_files_of_other_formats() {
        for bytes in [&b""[..], b"RIFF", b"RIFF\x04\0\0\0WAVE", b"MThd\0\0\0\x06\0\0", &[0; 64]] {
            refuses(bytes, "RIFF", 0, Rule::Form);
        }
    }

    #[test]
    fn refuses_a_file_whose_condition_is_false() {
        for program in [constant_word(0), halves(&[0x77]), vec![]] {
            let parts = Parts { top: vec![chunk(b"cdl ", &program)], ..Parts::default() };
            refuses(&parts.file(), "DLS/cdl", at(&parts.file(), b"cdl "), Rule::NotForThisDevice);
        }
    }

    #[test]
    fn refuses_files_that_lack_a_chunk() {
        // Another code in its place: the chunk is then unknown, and the one that is needed is missing.
        let places: [(&[u8; 4], &str, &'static str); 10] = [
            (b"lins", "DLS", "LIST lins"),
            (b"wvpl", "DLS", "LIST wvpl"),
            (b"ptbl", "DLS", "ptbl"),
            (b"colh", "DLS", "colh"),
            (b"insh", "DLS/lins/ins[0]", "insh"),
            (b"lrgn", "DLS/lins/ins[0]", "LIST lrgn"),
            (b"rgnh", "DLS/lins/ins[0]/lrgn/rgn2[0]", "rgnh"),
            (b"wlnk", "DLS/lins/ins[0]/lrgn/rgn2[0]", "wlnk"),
            (b"fmt ", "DLS/wvpl/wave[0]", "fmt "),
            (b"data", "DLS/wvpl/wave[0]", "data"),
        ];
        for (id, place, name) in places {
            let mut file = whole();
            let found = find(&file, id);
            let parent = place.rsplit('/').next().unwrap();
            let offset = match parent {
                "DLS" => 0,
                "ins[0]" => at(&file, b"ins "),
                "rgn2[0]" => at(&file, b"rgn2"),
                _ => at(&file, b"wave"),
            };
            file[found..found + 4].copy_from_slice(b"zzzz");
            refuses(&file, place, offset, Rule::Missing(name));
        }
    }

    #[test]
    fn refuses_files_without_instruments() {
        let parts = Parts::default();
        let file = riff(&[
            chunk(b"colh", &words(&[0])),
            list(b"lins", &[]),
            chunk(b"ptbl", &parts.ptbl),
            list(b"wvpl", &[parts.wave()]),
        ]);
        refuses(&file, "DLS/lins", at(&file, b"lins"), Rule::NoInstruments);
    }

    #[test]
    fn refuses_chunks_shorter_than_their_fields() {
        let short = |parts: Parts, id: &[u8; 4], place: &str, found: usize, needed: usize| {
            refuses(&parts.file(), place, at(&parts.file(), id), Rule::Short { found, needed });
        };
        let region = "DLS/lins/ins[0]/lrgn/rgn2[0]";
        short(Parts { colh: vec![1, 0], ..Parts::default() }, b"colh", "DLS/colh", 2, 4);
        short(Parts { ptbl: words(&[8]), ..Parts::default() }, b"ptbl", "DLS/ptbl", 4, 8);
        short(Parts { insh: words(&[1, 0]), ..Parts::default() }, b"insh", "DLS/lins/ins[0]/insh", 8, 12);
        short(Parts { rgnh: halves(&[0; 5]), ..Parts::default() }, b"rgnh", &format!("{region}/rgnh"), 10, 12);
        short(Parts { wlnk: words(&[0, 1]), ..Parts::default() }, b"wlnk", &format!("{region}/wlnk"), 8, 12);
        short(Parts { format: halves(&[1; 7]), ..Parts::default() }, b"fmt ", "DLS/wvpl/wave[0]/fmt", 14, 16);
        let sample = chunk(b"wsmp", &words(&[20, 60, 0]));
        let parts = Parts { in_region: vec![sample.clone()], ..Parts::default() };
        short(parts, b"wsmp", &format!("{region}/wsmp"), 12, 20);
        short(Parts { in_wave: vec![sample], ..Parts::default() }, b"wsmp", "DLS/wvpl/wave[0]/wsmp", 12, 20);
        let list = list(b"lart", &[chunk(b"art1", &words(&[8]))]);
        let parts = Parts { in_instrument: vec![list], ..Parts::default() };
        short(parts, b"art1", "DLS/lins/ins[0]/lart/art1", 4, 8);
    }

    #[test]
    fn refuses_chunks_that_reach_beyond_their_list() {
        for (id, place) in [
            (b"wlnk", "DLS/lins/ins[0]/lrgn/rgn2[0]/wlnk"),
            (b"lrgn", "DLS/lins/ins[0]/lrgn"),
            (b"lins", "DLS/lins"),
            (b"wave", "DLS/wvpl/wave"),
            (b"data", "DLS/wvpl/wave[0]/data"),
        ] {
            for size in [u32::MAX, u32::MAX - 8, 0x7FFF_FFFF, 0x0010_0000] {
                let mut file = whole();
                let offset = at(&file, id);
                file[offset + 4..offset + 8].copy_from_slice(&size.to_le_bytes());
                let error = Collection::load(&file).unwrap_err();
                assert_eq!((error.chunk.as_str(), error.offset), (place, offset), "{error}");
                let Rule::BeyondList { size: declared, room } = error.rule else { panic!("{error}") };
                assert!(declared == u64::from(size) && room < file.len() as u64, "{error}");
            }
        }
    }

    #[test]
    fn refuses_truncated_files() {
        let good = whole();
        for length in 0..good.len() {
            let error = Bank::from_bytes(&good[..length]).map(drop).unwrap_err();
            assert!(error.offset <= length, "{length}: {error}");
        }
    }

    #[test]
    fn refuses_counts_beyond_the_chunk() {
        for count in [2, 1 << 28, 1 << 30, 0x5555_5556, u32::MAX] {
            let room = |what, room| Rule::Count { what, count: count.into(), room };
            let parts = Parts { ptbl: words(&[8, count, 0]), ..Parts::default() };
            refuses(&parts.file(), "DLS/ptbl", at(&parts.file(), b"ptbl") + 12, room("cues", 1));
            let list = articulation(count, &[block([0, 0, 3, 0], 0)]);
            let parts = Parts { in_instrument: vec![list], ..Parts::default() };
            let offset = at(&parts.file(), b"art2") + 12;
            refuses(&parts.file(), "DLS/lins/ins[0]/lar2/art2", offset, room("connections", 1));
        }
        let mut sample = wave_sample(20, &[]);
        sample[8 + 16] = 1;
        let parts = Parts { in_wave: vec![sample], ..Parts::default() };
        let rule = Rule::Count { what: "loops", count: 1, room: 0 };
        refuses(&parts.file(), "DLS/wvpl/wave[0]/wsmp", at(&parts.file(), b"wsmp") + 24, rule);
    }

    #[test]
    fn refuses_structures_whose_size_field_exceeds_their_chunk() {
        for size in [24, 1000, u32::MAX] {
            let parts = Parts { ptbl: words(&[size, 1, 0]), ..Parts::default() };
            let offset = at(&parts.file(), b"ptbl") + 12;
            let rule = Rule::Count { what: "cues", count: 1, room: 0 };
            refuses(&parts.file(), "DLS/ptbl", offset, rule);
        }
    }

    #[test]
    fn refuses_cues_and_links_out_of_range() {
        for offset in [4, 8, 1000, u32::MAX - 1] {
            let parts = Parts { ptbl: words(&[8, 1, offset]), ..Parts::default() };
            refuses(&parts.file(), "DLS/ptbl", at(&parts.file(), b"ptbl") + 16, Rule::Cue { cue: 0, offset });
        }
        for index in [1, 0xFFFF, u32::MAX] {
            let parts = Parts { wlnk: [halves(&[0, 0]), words(&[1, index])].concat(), ..Parts::default() };
            let rule = Rule::Index { what: "cue", index: index.into(), count: 1 };
            let offset = at(&parts.file(), b"wlnk") + 16;
            refuses(&parts.file(), "DLS/lins/ins[0]/lrgn/rgn2[0]/wlnk", offset, rule);
        }
    }

    #[test]
    fn refuses_waves_that_are_not_mono_pcm_of_8_or_16_bits() {
        let formats = [(2, 1, 4, 22_050), (1, 2, 16, 22_050), (1, 1, 24, 22_050), (1, 1, 16, 0), (3, 1, 32, 48_000)];
        for (tag, channels, bits, rate) in formats {
            let format = [halves(&[tag, channels]), words(&[rate, rate * 2]), halves(&[2, bits])].concat();
            let parts = Parts { format, ..Parts::default() };
            let rule = Rule::WaveFormat { tag, channels, bits, rate };
            refuses(&parts.file(), "DLS/wvpl/wave[0]/fmt", at(&parts.file(), b"fmt ") + 8, rule);
        }
        // A sub-format that is not PCM, and one that only looks like it.
        for (tag, tail) in [(0x55u16, 0x71), (1, 0x72)] {
            let mut format =
                [halves(&[0xFFFE, 1]), words(&[22_050, 44_100]), halves(&[2, 16, 22, 16]), words(&[4])].concat();
            format.extend(halves(&[tag]));
            format.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, tail]);
            let parts = Parts { format, ..Parts::default() };
            let tag = if tail == 0x71 { tag } else { 0xFFFE };
            let rule = Rule::WaveFormat { tag, channels: 1, bits: 16, rate: 22_050 };
            refuses(&parts.file(), "DLS/wvpl/wave[0]/fmt", at(&parts.file(), b"fmt ") + 8, rule);
        }
    }

    #[test]
    fn refuses_numbers_of_objects_beyond_the_limits() {
        let blocks: Vec<_> =
            (0..=limits::CONNECTIONS_MAX as u16).map(|i| block([0x80 + i % 128, 0, 1, 0], 0)).collect();
        let parts = Parts { in_instrument: vec![articulation(blocks.len() as u32, &blocks)], ..Parts::default() };
        let rule = Rule::TooMany { what: "connections of one articulation", limit: limits::CONNECTIONS_MAX };
        refuses(&parts.file(), "DLS/lins/ins[0]/lar2/art2", at(&parts.file(), b"art2"), rule);
        // In two chunks, each within the limit.
        let (one, two) = blocks.split_at(100);
        let parts = Parts {
            in_instrument: vec![articulation(one.len() as u32, one), articulation(two.len() as u32, two)],
            ..Parts::default()
        };
        assert!(matches!(Collection::load(&parts.file()).unwrap_err().rule, Rule::TooMany { .. }));

        let file = riff(&[
            chunk(b"colh", &words(&[1])),
            list(b"lins", &vec![list(b"ins ", &[]); limits::INSTRUMENTS_MAX + 1]),
            chunk(b"ptbl", &words(&[8, 0])),
            list(b"wvpl", &[]),
        ]);
        let rule = Rule::TooMany { what: "instruments", limit: limits::INSTRUMENTS_MAX };
        refuses(&file, "DLS/lins", at(&file, b"lins"), rule);

        let many = vec![u32::MAX; limits::WAVES_MAX + 1];
        let ptbl = [words(&[8, many.len() as u32]), words(&many)].concat();
        let parts = Parts { ptbl, ..Parts::default() };
        let rule = Rule::TooMany { what: "cues", limit: limits::WAVES_MAX };
        refuses(&parts.file(), "DLS/ptbl", at(&parts.file(), b"ptbl"), rule);
    }
}
