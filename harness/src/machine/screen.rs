//! A guest's screen, as a PNG file: whether it has changed, and whether it is one colour as a bug check's is.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The share of a screen that a bug check fills with its colour, in percent: its text takes the rest.
const FILLED: usize = 75;

/// The least share of a screen that a bug check's text lights, in thousandths: some lines of it.
const LIT: usize = 1;

/// The least value of each channel of its text, which is white or light grey.
const LIGHT: u8 = 0xa0;

/// The colours of bug checks: Windows 7 and before in the palette of VGA; 8; 10 and 11; the Insider builds' green.
const BUG_CHECK: [([u8; 3], &str); 5] = [
    ([0x00, 0x00, 0x80], "Windows 7 and older"),
    ([0x00, 0x00, 0xaa], "Windows 7 and older"),
    ([0x00, 0x71, 0xc5], "Windows 8"),
    ([0x00, 0x78, 0xd7], "Windows 10 and 11"),
    ([0x00, 0x85, 0x50], "Insider builds"),
];

/// How far a channel of the screen may be from a colour above.
const NEAR: u8 = 12;

/// Returns a hash of a picture's file: a screen that has not changed makes the same file.
#[must_use]
pub fn hash(path: &Path) -> Option<[u8; 32]> {
    Some(Sha256::digest(fs::read(path).ok()?).into())
}

/// Returns which Windows have bug checks that look as the picture does; `None` where none does, or it cannot be read.
#[must_use]
pub fn bug_check(path: &Path) -> Option<&'static str> {
    let decoder = png::Decoder::new(BufReader::new(File::open(path).ok()?));
    let mut reader = decoder.read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut pixels).ok()?;
    let samples = info.color_type.samples();
    if info.bit_depth != png::BitDepth::Eight || samples < 3 {
        return None;
    }
    let pixels = &pixels[..info.buffer_size()];
    let all = pixels.len() / samples;
    let is_lit = |pixel: &&[u8]| pixel[..3].iter().all(|channel| *channel >= LIGHT);
    if pixels.chunks_exact(samples).filter(is_lit).count() * 1000 < all * LIT {
        return None;
    }
    BUG_CHECK.iter().find_map(|(colour, systems)| {
        let like = |pixel: &&[u8]| pixel.iter().zip(colour).all(|(have, want)| have.abs_diff(*want) <= NEAR);
        let count = pixels.chunks_exact(samples).filter(like).count();
        (all > 0 && count * 100 >= all * FILLED).then_some(*systems)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    fn picture(path: &Path, filled: usize, colour: [u8; 3]) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), 10, 10);
        encoder.set_color(png::ColorType::Rgb);
        let pixels: Vec<u8> = (0..100).flat_map(|at| if at < filled { colour } else { [255; 3] }).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }

    #[test]
    fn tells_a_bug_check_from_a_desktop_and_from_a_picture_that_is_none() {
        let folder = Scratch::new().unwrap();
        let path = folder.path().join("screen.png");
        picture(&path, 90, [0x00, 0x78, 0xd7]);
        assert_eq!(bug_check(&path), Some("Windows 10 and 11"));
        picture(&path, 50, [0x00, 0x78, 0xd7]);
        assert_eq!(bug_check(&path), None);
        picture(&path, 100, [0, 0, 0]);
        assert_eq!(bug_check(&path), None);
        // A background without text.
        picture(&path, 100, [0x00, 0x78, 0xd7]);
        assert_eq!(bug_check(&path), None);
        let before = hash(&path);
        picture(&path, 99, [0, 0, 0]);
        assert_ne!(before, hash(&path));
        fs::write(&path, "no picture").unwrap();
        assert_eq!(bug_check(&path), None);
        assert_eq!(hash(&folder.path().join("absent")), None);
    }
}
