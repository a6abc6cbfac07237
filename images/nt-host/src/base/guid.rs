//! GUIDs as text: `{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}`.

use alloc::string::String;

use crate::nt::GUID;

/// Characters of a GUID as text.
const LENGTH: usize = 38;
/// Where its hyphens are.
const HYPHENS: [usize; 4] = [9, 14, 19, 24];

/// Reads a GUID. `None` if the text is anything else.
#[must_use]
pub fn parse(text: &[u16]) -> Option<GUID> {
    let text: &[u16; LENGTH] = text.try_into().ok()?;
    if text[0] != u16::from(b'{') || text[LENGTH - 1] != u16::from(b'}') {
        return None;
    }
    let mut value = 0u128;
    for (at, &unit) in text.iter().enumerate().take(LENGTH - 1).skip(1) {
        if HYPHENS.contains(&at) {
            if unit != u16::from(b'-') {
                return None;
            }
        } else {
            value = value << 4 | u128::from(char::from(u8::try_from(unit).ok()?).to_digit(16)?);
        }
    }
    Some(GUID::from_u128(value))
}

/// Returns a GUID in braces.
#[must_use]
pub fn text(guid: &GUID) -> String {
    let d = guid.Data4;
    alloc::format!(
        "{{{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}}}",
        guid.Data1,
        guid.Data2,
        guid.Data3,
        d[0],
        d[1],
        d[2],
        d[3],
        d[4],
        d[5],
        d[6],
        d[7]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<GUID> {
        parse(&text.encode_utf16().collect::<std::vec::Vec<_>>())
    }

    #[test]
    fn a_guid_is_read_in_either_case() {
        let expected = Some(GUID::from_u128(0x22C6AC60_851B_11D0_9A7F_00AA0038ACFE));
        assert_eq!(of("{22C6AC60-851B-11D0-9A7F-00AA0038ACFE}"), expected);
        assert_eq!(of("{22c6ac60-851b-11d0-9a7f-00aa0038acfe}"), expected);
    }

    #[test]
    fn refuses_text_that_is_not_exactly_a_guid() {
        for text in [
            "",
            "22C6AC60-851B-11D0-9A7F-00AA0038ACFE",
            "{22C6AC60-851B-11D0-9A7F-00AA0038ACF}",
            "{22C6AC60-851B-11D0-9A7F-00AA0038ACFEE}",
            "{22C6AC60x851B-11D0-9A7F-00AA0038ACFE}",
            "{22C6AC60-851B-11D0-9A7F-00AA0038ACFG}",
            "(22C6AC60-851B-11D0-9A7F-00AA0038ACFE)",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
