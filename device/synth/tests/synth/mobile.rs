//! XMF files, above all Mobile XMF: the collection and the song in them, packed or not, and what is refused.

use crate::common::file::{Parts, find};
use crate::common::xmf::*;
use dls_synth::dls::{Collection, PassedOver, Xmf};
use dls_synth::{Rule, limits};

const SONG: &[u8] = b"MThd\0\0\0\x06\0\0\0\x01\0\x60MTrk\0\0\0\x04\0\xFF\x2F\0";

fn carrier(collection: &[u8]) -> Vec<u8> {
    let children = [node(0, &[], collection), node(0, &[], SONG)].concat();
    file(&node(2, &[], &children))
}

#[test]
fn finds_the_collection_and_the_song() {
    let dls = Parts::default().file();
    let bytes = carrier(&dls);
    let found = Xmf::read(&bytes).unwrap();
    assert_eq!((found.collection.as_deref(), found.song.as_deref()), (Some(&dls[..]), Some(SONG)));
    let loaded = Collection::load(&bytes).unwrap();
    assert_eq!(loaded.collection, Collection::from_dls(&dls).unwrap());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn reads_version_1_without_a_file_type() {
    let dls = Parts::default().file();
    let root = node(1, &[], &node(0, &[], &dls));
    let start = 4 + 4 + 4 + 1 + 4 + 4;
    let length = start + root.len();
    let head = [b"XMF_1.00".to_vec(), wide(length), number(0), wide(start), wide(length - 1)].concat();
    assert!(Collection::load(&[head, root].concat()).is_ok());
}

#[test]
fn unpacks_compressed_nodes() {
    let dls = Parts::default().file();
    let (unpackers, content) = packed(&dls);
    assert!(content.len() < dls.len());
    let bytes = file(&node(1, &[], &node(0, &unpackers, &content)));
    assert_eq!(Collection::load(&bytes).unwrap().collection, Collection::from_dls(&dls).unwrap());
}

#[test]
fn reports_offsets_in_the_outer_file() {
    let mut dls = Parts::default().file();
    let place = find(&dls, b"ptbl");
    dls[place + 12] = 9;
    let bytes = carrier(&dls);
    let error = Collection::load(&bytes).unwrap_err();
    assert_eq!((error.chunk.as_str(), error.offset), ("XMF_/node[1]/DLS/ptbl", find(&bytes, b"ptbl") + 12));
    let mut dls = Parts::default().file();
    dls[find(&Parts::default().file(), b"colh") + 8] = 9;
    let bytes = carrier(&dls);
    let warnings = Collection::load(&bytes).unwrap().warnings;
    let found: Vec<_> = warnings.iter().map(|w| (w.chunk.as_str(), w.offset)).collect();
    assert_eq!(found, [("XMF_/node[1]/DLS/colh", find(&bytes, b"colh") + 8)]);
}

#[test]
fn warns_of_unused_nodes() {
    let dls = Parts::default().file();
    let text = node(0, &[], b"Liner notes");
    let children = [text, node(0, &[], &dls), node(0, &[], &dls)].concat();
    let loaded = Collection::load(&file(&node(4, &[], &children))).unwrap();
    let found: Vec<_> = loaded.warnings.iter().map(|w| w.what.clone()).collect();
    let node = PassedOver::Node;
    assert_eq!(
        found,
        [
            node("neither instruments nor a song"),
            node("what another one had before it"),
            node("fewer nodes than it declares")
        ]
    );
}

#[test]
fn refuses_malformed_files_with_the_broken_rule() {
    let rule = |bytes: &[u8]| Collection::load(bytes).unwrap_err().rule;
    let dls = Parts::default().file();
    assert_eq!(rule(&file(&node(1, &[], &node(0, &[], SONG)))), Rule::NoCollection);
    assert_eq!(rule(b"XMF_2.00"), Rule::BeyondList { size: 8, room: 0 });
    assert_eq!(rule(b"XMF_1.00\xFF\xFF\xFF\xFF\xFF\xFF"), Rule::Length);
    // A node longer than its parent.
    let mut long = carrier(&dls);
    let root = 29;
    long[root + 1] |= 0x7F;
    assert!(matches!(rule(&long), Rule::BeyondList { .. }));
    // Another unpacker, packed data that is damaged, and a bomb.
    let (unpackers, mut content) = packed(&dls);
    let other = [number(2), number(1), number(5)].concat();
    assert!(matches!(rule(&file(&node(0, &other, &content))), Rule::Packing(_)));
    let too_long = [number(0), number(1), number(dls.len() - 1)].concat();
    assert_eq!(rule(&file(&node(0, &too_long, &content))), Rule::Packed);
    let middle = content.len() / 2;
    content[middle] ^= 0xFF;
    assert_eq!(rule(&file(&node(0, &unpackers, &content))), Rule::Packed);
    let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; limits::XMF_UNPACKED_MAX + 1], 1);
    let most = [number(0), number(1), wide((1 << 28) - 1)].concat();
    assert_eq!(rule(&file(&node(0, &most, &bomb))), Rule::Packed);
}

#[test]
fn bounds_the_number_and_depth_of_nodes() {
    let mut root = node(0, &[], &Parts::default().file());
    for _ in 0..limits::XMF_DEPTH_MAX {
        root = node(1, &[], &root);
    }
    assert!(matches!(Collection::load(&file(&root)).unwrap_err().rule, Rule::TooMany { what: "nodes", .. }));
    let many = vec![node(0, &[], b""); limits::XMF_NODES_MAX].concat();
    let root = node(limits::XMF_NODES_MAX, &[], &many);
    assert!(matches!(Collection::load(&file(&root)).unwrap_err().rule, Rule::TooMany { what: "nodes", .. }));
}

#[test]
fn refuses_truncated_files() {
    let good = file(&node(1, &[], &node(0, &[], &Parts::default().file())));
    assert!(Collection::load(&good).is_ok());
    for length in 0..good.len() {
        assert!(Collection::load(&good[..length]).is_err(), "{length}");
    }
}
