//! The screen: text by the firmware's console, and a screen of one colour.

use uefi::boot;
use uefi::proto::console::gop::{BltOp, BltPixel, GraphicsOutput};
use uefi::system;

/// Writes a line of text.
pub(super) fn show(text: &str) {
    system::with_stdout(|console| {
        for character in text.chars().chain("\r\n".chars()) {
            let mut buffer = [0; 2];
            let units = [character.encode_utf16(&mut buffer).first().copied().unwrap_or_default(), 0];
            if let Ok(string) = uefi::CStr16::from_u16_with_nul(&units) {
                // A firmware without a console shows nothing.
                let _ = console.output_string(string);
            }
        }
    });
}

/// Empties the screen.
pub(super) fn clear() {
    system::with_stdout(|console| {
        let _ = console.clear();
    });
}

/// Fills the screen with a colour.
pub(super) fn fill(red: u8, green: u8, blue: u8) {
    let Ok(handle) = boot::get_handle_for_protocol::<GraphicsOutput>() else { return };
    let Ok(mut output) = boot::open_protocol_exclusive::<GraphicsOutput>(handle) else { return };
    let (width, height) = output.current_mode_info().resolution();
    let fill = BltOp::VideoFill { color: BltPixel::new(red, green, blue), dest: (0, 0), dims: (width, height) };
    // A mode that takes no fill keeps its picture.
    let _ = output.blt(fill);
}
