//! The screen: text by the firmware's console, and a screen of one colour.

use uefi::boot;
use uefi::proto::console::gop::{BltOp, BltPixel, GraphicsOutput};
use uefi::proto::console::text::Color;
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

/// Shows what a bug check of Windows 10 shows: some lines of text on its blue.
pub(super) fn bug_check() {
    clear();
    fill(0, 0x78, 0xd7);
    system::with_stdout(|console| {
        // A console without colours keeps its own.
        let _ = console.set_color(Color::White, Color::Blue);
    });
    for _ in 0..4 {
        show("A problem was found that the system cannot go on from. It is collecting what is known of it.");
    }
}

/// Fills the screen with a colour.
fn fill(red: u8, green: u8, blue: u8) {
    let Ok(handle) = boot::get_handle_for_protocol::<GraphicsOutput>() else { return };
    let Ok(mut output) = boot::open_protocol_exclusive::<GraphicsOutput>(handle) else { return };
    let (width, height) = output.current_mode_info().resolution();
    let fill = BltOp::VideoFill { color: BltPixel::new(red, green, blue), dest: (0, 0), dims: (width, height) };
    // A mode that takes no fill keeps its picture.
    let _ = output.blt(fill);
}
