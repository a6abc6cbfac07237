//! XMF files in the making.

/// Makes a number of variable length.
pub(crate) fn number(value: usize) -> Vec<u8> {
    let mut out = vec![(value & 0x7F) as u8];
    let mut rest = value >> 7;
    while rest > 0 {
        out.insert(0, 0x80 | (rest & 0x7F) as u8);
        rest >>= 7;
    }
    out
}

/// Makes a number of exactly so many bytes, so that lengths that count themselves can be written.
pub(crate) fn wide(value: usize) -> Vec<u8> {
    (0..4).rev().map(|i| (value >> (7 * i)) as u8 & 0x7F | if i > 0 { 0x80 } else { 0 }).collect()
}

/// Makes a node: children or content, after its header.
pub(crate) fn node(children: usize, unpackers: &[u8], content: &[u8]) -> Vec<u8> {
    let fields = [number(0), number(unpackers.len()), unpackers.to_vec()].concat();
    let start = 4 + number(children).len() + 4;
    let header = start + fields.len();
    let length = header + 1 + content.len();
    [wide(length), number(children), wide(header), fields, number(1), content.to_vec()].concat()
}

/// Makes a file of version 2, type 2, revision 1, around a root node.
pub(crate) fn file(root: &[u8]) -> Vec<u8> {
    let start = 4 + 4 + 8 + 4 + 1 + 4 + 4;
    let length = start + root.len();
    let head =
        [b"XMF_2.00".to_vec(), vec![0, 0, 0, 2, 0, 0, 0, 1], wide(length), number(0), wide(start), wide(length - 1)];
    [head.concat(), root.to_vec()].concat()
}

pub(crate) fn packed(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let unpackers = [number(0), number(1), number(bytes.len())].concat();
    (unpackers, miniz_oxide::deflate::compress_to_vec_zlib(bytes, 6))
}
