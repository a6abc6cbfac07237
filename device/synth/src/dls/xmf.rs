//! XMF files (MMA RP-030, RP-039, RP-040, RP-043), of which Mobile XMF (`.mxmf`, RP-042) carries a song with the
//! instruments that it needs: the collection and the Standard MIDI File in it.
//!
//! A file is a header and a tree of nodes; each node begins with its length, the number of its children, and the length
//! of its own header, all of them numbers of variable length. Only resources in the node itself are read;
//! those may be packed by zlib.

use std::borrow::Cow;

use super::chunk_path::ChunkPath;
use super::error::{BankError, Rule};
use super::reader::{self, Loaded};
use super::warning::{PassedOver, Warnings};
use crate::limits::{XMF_DEPTH_MAX, XMF_NODES_MAX, XMF_UNPACKED_MAX};

/// The DLS collection and the songs of an XMF file, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xmf<'a> {
    /// The first DLS collection.
    pub collection: Option<Cow<'a, [u8]>>,
    /// The first Standard MIDI File.
    pub song: Option<Cow<'a, [u8]>>,
}

/// A reference to a resource in the node itself (RP-030, 3.2).
const IN_LINE: u64 = 1;

/// An unpacker that the MMA has defined, and the only one of those: zlib (RP-040).
const STANDARD_UNPACKER: u64 = 0;
const ZLIB: u64 = 1;

/// Returns whether these are the first bytes of an XMF file.
pub(crate) fn is_xmf(bytes: &[u8]) -> bool {
    bytes.starts_with(b"XMF_")
}

/// Reads the first collection of an XMF file.
pub(crate) fn read(bytes: &[u8]) -> Result<Loaded, BankError> {
    let mut warnings = Warnings::default();
    let found = Tree::read(bytes, &mut warnings)?;
    let Some(place) = found.collection else {
        return Err(BankError::at(&ChunkPath::root(*b"XMF_"), Rule::NoCollection));
    };
    // Offsets are those of the XMF file, when it holds the collection unpacked.
    let base = if matches!(place.bytes, Cow::Borrowed(_)) { place.at } else { 0 };
    let inside = |chunk: String| format!("XMF_/node[{}]/{chunk}", place.index);
    let mut loaded = reader::read(&place.bytes).map_err(|error| BankError {
        chunk: inside(error.chunk),
        offset: base + error.offset,
        rule: error.rule,
    })?;
    loaded.warnings.follow(warnings, base, inside);
    Ok(loaded)
}

/// Finds the song of an XMF file, and whether there is a collection too.
pub(crate) fn song<'a>(bytes: &'a [u8], warnings: &mut Warnings) -> Result<SongAndBank<'a>, BankError> {
    let found = Tree::read(bytes, warnings)?;
    Ok((found.song.map(|found| found.bytes), found.collection.is_some()))
}

/// The song of a file, and whether there is a collection too.
type SongAndBank<'a> = (Option<Cow<'a, [u8]>>, bool);

impl<'a> Xmf<'a> {
    /// Finds the collection and the song in an XMF file, and unpacks them.
    ///
    /// # Errors
    /// [`BankError`], when the file is not one, or its tree is broken.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BankError> {
        let found = Tree::read(bytes, &mut Warnings::default())?;
        Ok(Self { collection: found.collection.map(|found| found.bytes), song: found.song.map(|found| found.bytes) })
    }
}

struct Found<'a> {
    bytes: Cow<'a, [u8]>,
    /// The byte offset of its content in the file.
    at: usize,
    /// The index of the node, in the order of the file.
    index: usize,
}

/// Numbers of variable length, within a part of the file.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn number(&mut self, path: &ChunkPath<'_>) -> Result<u64, BankError> {
        let mut value = 0u64;
        // Five times seven bits are more than any length in a file of 4 GB.
        for _ in 0..5 {
            let Some(byte) = self.bytes[..self.end].get(self.at) else { break };
            self.at += 1;
            value = value << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BankError { chunk: path.to_string(), offset: self.at, rule: Rule::Length })
    }

    /// Takes so many bytes.
    fn part(&mut self, length: u64, path: &ChunkPath<'_>) -> Result<Cursor<'a>, BankError> {
        let room = (self.end - self.at) as u64;
        if length > room {
            let rule = Rule::BeyondList { size: length, room };
            return Err(BankError { chunk: path.to_string(), offset: self.at, rule });
        }
        let (start, end) = (self.at, self.at + length as usize);
        self.at = end;
        Ok(Cursor { bytes: self.bytes, at: start, end })
    }
}

#[derive(Default)]
struct Tree<'a> {
    nodes: usize,
    collection: Option<Found<'a>>,
    song: Option<Found<'a>>,
}

impl<'a> Tree<'a> {
    fn read(bytes: &'a [u8], warnings: &mut Warnings) -> Result<Self, BankError> {
        let path = ChunkPath::root(*b"XMF_");
        if !is_xmf(bytes) {
            return Err(BankError { chunk: "XMF_".to_owned(), offset: 0, rule: Rule::Form });
        }
        let mut cursor = Cursor { bytes, at: 4, end: bytes.len() };
        let version = cursor.part(4, &path)?;
        if &bytes[version.at..version.end] == b"2.00" {
            // The type of file and its revision.
            cursor.part(8, &path)?;
        }
        let _length = cursor.number(&path)?;
        let types = cursor.number(&path)?;
        cursor.part(types, &path)?;
        let (start, end) = (cursor.number(&path)?, cursor.number(&path)?);
        cursor.at = 0;
        cursor.part(start, &path)?;
        // The end is that of the tree's last byte; a file whose end is wrong is read as far as it goes.
        let end = end.saturating_add(1).min(bytes.len() as u64) as usize;
        let mut tree = Self::default();
        let mut nodes = Cursor { bytes, at: cursor.at, end: end.max(cursor.at) };
        tree.node(&mut nodes, 0, &path, warnings)?;
        Ok(tree)
    }

    /// Reads one node, and those in it.
    fn node(
        &mut self,
        parent: &mut Cursor<'a>,
        depth: usize,
        path: &ChunkPath<'_>,
        warnings: &mut Warnings,
    ) -> Result<(), BankError> {
        let start = parent.at;
        let index = self.nodes;
        let here = path.nth(*b"node", index, start);
        self.nodes += 1;
        if depth == XMF_DEPTH_MAX || index == XMF_NODES_MAX {
            return Err(BankError::at(&here, Rule::TooMany { what: "nodes", limit: XMF_NODES_MAX }));
        }
        let length = parent.number(&here)?;
        let room = (parent.end - start) as u64;
        if length > room {
            return Err(BankError::at(&here, Rule::BeyondList { size: length, room }));
        }
        let mut node = Cursor { bytes: parent.bytes, at: parent.at, end: (start + length as usize).max(parent.at) };
        let children = node.number(&here)?;
        let header = node.number(&here)?;
        let described = (node.at - start) as u64;
        let rest = header
            .checked_sub(described)
            .ok_or_else(|| BankError::at(&here, Rule::Short { found: header as usize, needed: described as usize }))?;
        let mut head = node.part(rest, &here)?;
        let metadata = head.number(&here)?;
        head.part(metadata, &here)?;
        let unpackers = head.number(&here)?;
        let unpackers = head.part(unpackers, &here)?;
        let reference = node.number(&here)?;
        parent.at = node.end;
        if reference != IN_LINE {
            warnings.at(&here, PassedOver::Node("a reference to something outside of it"));
            return Ok(());
        }
        if children == 0 {
            return self.content(node, unpackers, index, &here, warnings);
        }
        for _ in 0..children {
            if node.at == node.end {
                warnings.at(&here, PassedOver::Node("fewer nodes than it declares"));
                break;
            }
            self.node(&mut node, depth + 1, path, warnings)?;
        }
        Ok(())
    }

    fn content(
        &mut self,
        node: Cursor<'a>,
        mut unpackers: Cursor<'a>,
        index: usize,
        here: &ChunkPath<'_>,
        warnings: &mut Warnings,
    ) -> Result<(), BankError> {
        let at = node.at;
        let mut bytes = Cow::Borrowed(&node.bytes[at..node.end]);
        while unpackers.at < unpackers.end {
            let kind = unpackers.number(here)?;
            if kind != STANDARD_UNPACKER || unpackers.number(here)? != ZLIB {
                return Err(BankError::at(here, Rule::Packing("only zlib is known")));
            }
            let size = unpackers.number(here)?;
            let limit = usize::try_from(size).unwrap_or(usize::MAX).min(XMF_UNPACKED_MAX);
            let unpacked = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&bytes, limit);
            bytes = Cow::Owned(unpacked.map_err(|_| BankError::at(here, Rule::Packed))?);
        }
        let slot = match (bytes.get(0..4), bytes.get(8..12)) {
            (Some(b"RIFF"), Some(b"DLS ")) => &mut self.collection,
            (Some(b"MThd"), _) => &mut self.song,
            _ => {
                warnings.at(here, PassedOver::Node("neither instruments nor a song"));
                return Ok(());
            }
        };
        if slot.is_some() {
            warnings.at(here, PassedOver::Node("what another one had before it"));
        } else {
            *slot = Some(Found { bytes, at, index });
        }
        Ok(())
    }
}
