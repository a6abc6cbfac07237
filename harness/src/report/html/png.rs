//! Pictures as data URIs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A picture of grey levels, row by row from the top.
pub(super) struct Grey {
    /// Columns.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// A byte for each point.
    pub(super) levels: Vec<u8>,
}

impl Grey {
    /// Returns it as the address of a PNG.
    pub(super) fn data_uri(&self) -> String {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        // Memory does not fail, and the levels are as many as the points.
        if let Ok(mut writer) = encoder.write_header() {
            let _ = writer.write_image_data(&self.levels);
        }
        data_uri("image/png", &file)
    }
}

/// Returns bytes as an address of their own.
pub(super) fn data_uri(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_read_back_as_it_was() {
        let picture = Grey { width: 3, height: 2, levels: vec![0, 10, 20, 30, 40, 255] };
        let uri = picture.data_uri();
        let file = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut levels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut levels).unwrap();
        assert_eq!((info.width, info.height, levels), (3, 2, picture.levels));
    }
}
