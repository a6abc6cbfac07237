//! From the bytes of an INF to its text.

use encoding_rs::{UTF_8, UTF_16LE, WINDOWS_1252};

use super::fault::{Fault, SYNTAX, Warnings};

/// Decodes an INF: UTF-16 or UTF-8 with a byte-order mark, or the system's code page without one.
///
/// # Errors
/// A [`Fault`] for text that its mark does not fit, for UTF-16 in the other order, and for bytes that are no text.
pub fn decode(bytes: &[u8], warnings: &mut Warnings) -> Result<String, Fault> {
    let whole = |what: &str| Fault::new(0, what, SYNTAX);
    let text = match bytes {
        [0xff, 0xfe, text @ ..] => {
            if text.len() % 2 != 0 {
                return Err(whole("it begins as UTF-16 and has an odd number of bytes: it was cut short"));
            }
            let decoded = UTF_16LE.decode_without_bom_handling_and_without_replacement(text);
            decoded.ok_or_else(|| whole("it begins as UTF-16 and is none: a surrogate stands alone"))?.into_owned()
        }
        [0xfe, 0xff, ..] => {
            return Err(whole(
                "it is UTF-16 with the high byte first, which Windows does not read: save it low byte first",
            ));
        }
        [0xef, 0xbb, 0xbf, text @ ..] => {
            let decoded = UTF_8.decode_without_bom_handling_and_without_replacement(text);
            decoded.ok_or_else(|| whole("it begins as UTF-8 and is none"))?.into_owned()
        }
        text => {
            if !text.is_ascii() {
                let what = "it has no byte-order mark and bytes beyond ASCII: they are read in code page 1252, and on \
                            another Windows in another one; save it as UTF-16";
                warnings.add(0, what);
            }
            WINDOWS_1252.decode_without_bom_handling(text).0.into_owned()
        }
    };
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() + 1;
        return Err(Fault::new(line, "it has a zero character: it is no text, or UTF-16 without its mark", SYNTAX));
    }
    Ok(text)
}
