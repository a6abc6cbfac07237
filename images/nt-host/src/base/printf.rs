//! The `printf` of the Windows kernel: what `DbgPrint` and the C routines understand.
//!
//! Specification: Microsoft, "Format specification syntax: printf and wprintf functions", and the WDK's additions
//! `%wZ`, `%Z`. Floating-point conversions are not there, as in the kernel.

use alloc::string::String;
use alloc::vec::Vec;

/// Widest field and longest string, to bound what a broken format does.
const WIDTH_MAX: usize = 4096;

/// Where arguments and the strings that they point to come from.
pub trait Arguments {
    /// Returns the next argument: eight bytes.
    fn next(&mut self) -> u64;
    /// Returns a string of bytes, up to a zero or `limit`; `None`: it cannot be read.
    fn narrow(&self, address: u64, limit: usize) -> Option<Vec<u8>>;
    /// Returns a string of UTF-16 units, up to a zero or `limit`.
    fn wide(&self, address: u64, limit: usize) -> Option<Vec<u16>>;
    /// Returns a counted string's length in bytes and buffer (`UNICODE_STRING` and `ANSI_STRING` are alike).
    fn counted(&self, address: u64) -> Option<(usize, u64)>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Default,
    Char,
    Short,
    Long64,
    Wide,
}

#[derive(Default)]
struct Field {
    left: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats text. `wide_format` says that the function is one for wide strings, where `%s` is wide and `%S` narrow.
pub fn format(template: &str, wide_format: bool, arguments: &mut impl Arguments) -> String {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut field = Field::default();
        while let Some(&flag) = chars.peek() {
            match flag {
                '-' => field.left = true,
                '+' => field.plus = true,
                ' ' => field.space = true,
                '#' => field.alternate = true,
                '0' => field.zero = true,
                _ => break,
            }
            chars.next();
        }
        let number = |chars: &mut core::iter::Peekable<core::str::Chars<'_>>, arguments: &mut dyn FnMut() -> u64| {
            if chars.peek() == Some(&'*') {
                chars.next();
                return i64::from(arguments() as i32);
            }
            let mut value = 0i64;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                value = (value * 10 + i64::from(digit)).min(WIDTH_MAX as i64);
                chars.next();
            }
            value
        };
        let width = number(&mut chars, &mut || arguments.next());
        field.left |= width < 0;
        field.width = (width.unsigned_abs() as usize).min(WIDTH_MAX);
        if chars.peek() == Some(&'.') {
            chars.next();
            let precision = number(&mut chars, &mut || arguments.next());
            field.precision = usize::try_from(precision).ok().map(|p| p.min(WIDTH_MAX));
        }
        let mut size = Size::Default;
        loop {
            match chars.peek() {
                Some('h') => size = if size == Size::Short { Size::Char } else { Size::Short },
                // `long` is 32 bits on Windows; twice it is 64.
                Some('l') => size = if size == Size::Wide { Size::Long64 } else { Size::Wide },
                Some('w') => size = Size::Wide,
                Some('z' | 'j' | 't') => size = Size::Long64,
                Some('I') => {
                    let mut ahead = chars.clone();
                    ahead.next();
                    match (ahead.next(), ahead.next()) {
                        (Some('6'), Some('4')) => {
                            size = Size::Long64;
                            chars.nth(1);
                        }
                        (Some('3'), Some('2')) => {
                            chars.nth(1);
                        }
                        _ => size = Size::Long64,
                    }
                }
                _ => break,
            }
            chars.next();
        }
        let Some(conversion) = chars.next() else { break };
        convert(&mut out, conversion, size, &field, wide_format, arguments);
    }
    out
}

fn convert(
    out: &mut String,
    conversion: char,
    size: Size,
    field: &Field,
    wide_format: bool,
    arguments: &mut impl Arguments,
) {
    match conversion {
        '%' => out.push('%'),
        'd' | 'i' => {
            let raw = arguments.next();
            let value = match size {
                Size::Long64 => raw as i64,
                Size::Short => i64::from(raw as i16),
                Size::Char => i64::from(raw as i8),
                _ => i64::from(raw as i32),
            };
            let sign = if value < 0 {
                "-"
            } else if field.plus {
                "+"
            } else if field.space {
                " "
            } else {
                ""
            };
            integer(out, field, sign, &alloc::format!("{}", value.unsigned_abs()), value == 0);
        }
        'u' | 'x' | 'X' | 'o' => {
            let raw = arguments.next();
            let value = match size {
                Size::Long64 => raw,
                Size::Short => u64::from(raw as u16),
                Size::Char => u64::from(raw as u8),
                _ => u64::from(raw as u32),
            };
            let (prefix, digits) = match conversion {
                'u' => ("", alloc::format!("{value}")),
                'x' => ("0x", alloc::format!("{value:x}")),
                'X' => ("0X", alloc::format!("{value:X}")),
                _ => ("0", alloc::format!("{value:o}")),
            };
            let prefix = if field.alternate && value != 0 { prefix } else { "" };
            integer(out, field, prefix, &digits, value == 0);
        }
        'p' | 'P' => {
            let digits = alloc::format!("{:016X}", arguments.next());
            pad(out, field, &digits);
        }
        'c' | 'C' => {
            let raw = arguments.next();
            let wide = (conversion == 'c') == wide_format;
            let wide = if size == Size::Wide { true } else { wide && size != Size::Short };
            let c = if wide { char::from_u32(u32::from(raw as u16)) } else { Some(char::from(raw as u8)) };
            pad(out, field, c.unwrap_or('\u{fffd}').encode_utf8(&mut [0; 4]));
        }
        's' | 'S' => {
            let address = arguments.next();
            let wide = (conversion == 's') == wide_format;
            let wide = if size == Size::Wide { true } else { wide && size != Size::Short };
            let limit = field.precision.unwrap_or(WIDTH_MAX);
            let text = if address == 0 {
                Some("(null)".into())
            } else if wide {
                arguments.wide(address, limit).map(|units| String::from_utf16_lossy(&units))
            } else {
                arguments.narrow(address, limit).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            };
            pad(out, field, text.as_deref().unwrap_or("(unreadable)"));
        }
        'Z' => {
            let address = arguments.next();
            let text = match arguments.counted(address) {
                None => None,
                Some((length, buffer)) if size == Size::Wide => {
                    arguments.wide(buffer, length / 2).map(|units| String::from_utf16_lossy(&units))
                }
                Some((length, buffer)) => {
                    arguments.narrow(buffer, length).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                }
            };
            let text = if address == 0 { Some("(null)".into()) } else { text };
            pad(out, field, text.as_deref().unwrap_or("(unreadable)"));
        }
        other => {
            out.push('%');
            out.push(other);
        }
    }
}

fn integer(out: &mut String, field: &Field, prefix: &str, digits: &str, is_zero: bool) {
    // A precision of zero shows nothing for zero.
    let digits = if is_zero && field.precision == Some(0) { "" } else { digits };
    let mut zeros = field.precision.unwrap_or(1).saturating_sub(digits.len());
    if field.zero && !field.left && field.precision.is_none() {
        zeros = field.width.saturating_sub(prefix.len() + digits.len());
    }
    let text = alloc::format!("{prefix}{:0<zeros$}{digits}", "");
    pad(out, field, &text);
}

fn pad(out: &mut String, field: &Field, text: &str) {
    let missing = field.width.saturating_sub(text.chars().count());
    if field.left {
        out.push_str(text);
        out.extend(core::iter::repeat_n(' ', missing));
    } else {
        out.extend(core::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    #[derive(Default)]
    struct Fake {
        values: Vec<u64>,
        narrow: BTreeMap<u64, &'static str>,
        wide: BTreeMap<u64, &'static str>,
    }

    impl Arguments for Fake {
        fn next(&mut self) -> u64 {
            self.values.remove(0)
        }
        fn narrow(&self, address: u64, limit: usize) -> Option<Vec<u8>> {
            self.narrow.get(&address).map(|text| text.bytes().take(limit).collect())
        }
        fn wide(&self, address: u64, limit: usize) -> Option<Vec<u16>> {
            self.wide.get(&address).map(|text| text.encode_utf16().take(limit).collect())
        }
        fn counted(&self, address: u64) -> Option<(usize, u64)> {
            self.wide.get(&address).map(|text| (2 * text.len(), address))
        }
    }

    fn shown(template: &str, values: &[u64]) -> String {
        let fake = &mut Fake { values: values.to_vec(), narrow: [(1, "narrow")].into(), wide: [(2, "wide")].into() };
        format(template, false, fake)
    }

    #[test]
    fn formats_integers_in_the_sizes_of_windows() {
        assert_eq!(shown("%d %u", &[u64::MAX, u64::MAX]), "-1 4294967295");
        assert_eq!(shown("%ld %lld %I64d", &[u64::MAX, u64::MAX, 5]), "-1 -1 5");
        assert_eq!(shown("%hx %hhx %I64x", &[0x12345, 0x12345, 0x1_2345_6789]), "2345 45 123456789");
    }

    #[test]
    fn pads_fields() {
        assert_eq!(shown("[%5d][%-5d][%05d][%+d]", &[42, 42, 42, 42]), "[   42][42   ][00042][+42]");
        assert_eq!(shown("[%08X][%#x][%.4x][%.0d]", &[0xbeef, 0xbeef, 0xb, 0]), "[0000BEEF][0xbeef][000b][]");
        assert_eq!(shown("[%*d]", &[4, 7]), "[   7]");
        assert_eq!(shown("%p", &[0xffff_f800_0000_1000]), "FFFFF80000001000");
    }

    #[test]
    fn formats_narrow_wide_and_counted_strings() {
        assert_eq!(shown("%s|%S|%ws|%ls|%wZ", &[1, 2, 2, 2, 2]), "narrow|wide|wide|wide|wide");
        assert_eq!(shown("%.3s|%8s|%s", &[1, 1, 0]), "nar|  narrow|(null)");
        assert_eq!(shown("%s", &[99]), "(unreadable)");
        let fake = &mut Fake { values: [2, 1].into(), narrow: [(1, "n")].into(), wide: [(2, "w")].into() };
        assert_eq!(format("%s %S", true, fake), "w n");
    }

    #[test]
    fn keeps_text_that_is_no_conversion() {
        assert_eq!(shown("100%% %y %", &[]), "100% %y ");
    }
}
