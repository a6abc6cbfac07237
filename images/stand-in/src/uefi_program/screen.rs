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

/// Shows what a bug check of Windows 10 shows from afar: its blue, with light where its lines of text are. The console writes no text any more
/// once the screen is taken from it.
pub(super) fn bug_check() {
    let Ok(handle) = boot::get_handle_for_protocol::<GraphicsOutput>() else { return };
    let Ok(mut output) = boot::open_protocol_exclusive::<GraphicsOutput>(handle) else { return };
    let (width, height) = output.current_mode_info().resolution();
    let mut fill = |colour, dest, dims| {
        // A mode that takes no fill keeps its picture.
        let _ = output.blt(BltOp::VideoFill { color: colour, dest, dims });
    };
    fill(BltPixel::new(0, 0x78, 0xd7), (0, 0), (width, height));
    for line in 4..8 {
        fill(BltPixel::new(0xff, 0xff, 0xff), (width / 10, line * height / 16), (width / 2, 4));
    }
}
