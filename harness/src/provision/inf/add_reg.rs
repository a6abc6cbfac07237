//! The lines of an add-registry section.
//!
//! Rules: Windows driver documentation, "INF AddReg Directive".

use guest_protocol::{RegistryRoot, RegistryValue};

use super::registry::{Keys, kind, string};
use driver_package::inf::Strings;
use driver_package::inf::{Entry, Section};
use driver_package::inf::{Fault, Warnings};

/// The page of the directive.
const RULE: &str = "INF AddReg Directive";

/// `FLG_ADDREG_*` (setupapi.h).
mod flag {
    /// `FLG_ADDREG_BINVALUETYPE`.
    pub(super) const BINARY: u32 = 1;
    /// `FLG_ADDREG_NOCLOBBER`.
    pub(super) const NO_CLOBBER: u32 = 2;
    /// `FLG_ADDREG_DELVAL`.
    pub(super) const DELETE_VALUE: u32 = 4;
    /// `FLG_ADDREG_APPEND`.
    pub(super) const APPEND: u32 = 8;
    /// `FLG_ADDREG_KEYONLY`.
    pub(super) const KEY_ONLY: u32 = 0x10;
    /// `FLG_ADDREG_OVERWRITEONLY`.
    pub(super) const OVERWRITE_ONLY: u32 = 0x20;
    /// `FLG_ADDREG_64BITKEY`: no difference here.
    pub(super) const KEY_64_BIT: u32 = 0x1000;
    /// `FLG_ADDREG_KEYONLY_COMMON`.
    pub(super) const KEY_ONLY_COMMON: u32 = 0x2000;
    /// `FLG_ADDREG_32BITKEY`: no difference here.
    pub(super) const KEY_32_BIT: u32 = 0x4000;
    /// `FLG_ADDREG_DELREG_BIT`.
    pub(super) const DELETE: u32 = 0x8000;
    /// All of the low half.
    pub(super) const ALL: u32 = BINARY
        | NO_CLOBBER
        | DELETE_VALUE
        | APPEND
        | KEY_ONLY
        | OVERWRITE_ONLY
        | KEY_64_BIT
        | KEY_ONLY_COMMON
        | KEY_32_BIT
        | DELETE;
    /// The high half: the type.
    pub(super) const TYPE_SHIFT: u32 = 16;
}

/// Carries out the lines of an add-registry section. `relative` is the key that `HKR` stands for.
///
/// # Errors
/// A [`Fault`] for a line that the page does not allow.
pub(super) fn apply(
    section: &Section,
    relative: RegistryRoot,
    below: &str,
    strings: &Strings,
    keys: &mut Keys,
    warnings: &mut Warnings,
) -> Result<(), Fault> {
    for entry in &section.entries {
        let fields = entry.fields.iter().map(|field| strings.expand(entry.line, field));
        let fields = fields.collect::<Result<Vec<String>, _>>()?;
        line(entry, &fields, relative, below, keys, warnings)?;
    }
    Ok(())
}

fn line(
    entry: &Entry,
    fields: &[String],
    relative: RegistryRoot,
    below: &str,
    keys: &mut Keys,
    warnings: &mut Warnings,
) -> Result<(), Fault> {
    let fault = |what: String| Fault::new(entry.line, what, RULE);
    if entry.key.is_some() {
        return Err(fault("an entry of an add-registry section is root,subkey,name,flags,value, without `=`".into()));
    }
    let field = |index: usize| fields.get(index).map_or("", String::as_str);
    let (root, base) = match field(0).to_ascii_uppercase().as_str() {
        "HKR" => (relative, below.to_owned()),
        "HKLM" => (RegistryRoot::Machine, String::new()),
        "HKCR" => (RegistryRoot::Machine, "Software\\Classes".to_owned()),
        "HKU" => (RegistryRoot::Users, String::new()),
        "HKCU" => {
            warnings.add(
                entry.line,
                "HKCU is the key of the user who installs: a driver does not see it, and it is left out",
            );
            return Ok(());
        }
        other => return Err(fault(format!("`{other}` is no root: there are HKR, HKLM, HKCR, HKU and HKCU"))),
    };
    let subkey = field(1).trim_matches('\\');
    let path = [base.as_str(), subkey].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\\");
    let name = field(2);
    let flags = match field(3) {
        "" => 0,
        text => number(text).ok_or_else(|| fault(format!("the flags `{text}` are no number")))?,
    };
    let unknown = flags & 0xffff & !flag::ALL;
    if unknown != 0 {
        return Err(fault(format!("the flags {flags:#x} have bits that mean nothing: {unknown:#x}")));
    }
    if flags & (flag::DELETE_VALUE | flag::DELETE) != 0 {
        keys.delete(root, &path, (!name.is_empty() || flags & flag::DELETE == 0).then_some(name));
        return Ok(());
    }
    // A key alone: by its flag, or by a line that ends with the key.
    if flags & (flag::KEY_ONLY | flag::KEY_ONLY_COMMON) != 0 || fields.len() <= 2 {
        keys.create(root, &path);
        return Ok(());
    }
    let value = value(name, flags, fields.get(4..).unwrap_or_default()).map_err(fault)?;
    let known = keys.value(root, &path, name);
    if flags & flag::APPEND != 0 {
        if value.kind != kind::MULTI_SZ {
            return Err(fault("only strings of type REG_MULTI_SZ can be appended".into()));
        }
        if let Some(known) = known {
            append(known, &value);
            return Ok(());
        }
    } else if (known.is_some() && flags & flag::NO_CLOBBER != 0)
        || (known.is_none() && flags & flag::OVERWRITE_ONLY != 0)
    {
        return Ok(());
    }
    keys.write(root, &path, value);
    Ok(())
}

/// Appends the strings of one list to another, those that it does not hold.
fn append(known: &mut RegistryValue, more: &RegistryValue) {
    let units =
        |data: &[u8]| -> Vec<u16> { data.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect() };
    let mut strings: Vec<Vec<u16>> = Vec::new();
    for data in [&known.data, &more.data] {
        for string in units(data).split(|unit| *unit == 0).filter(|string| !string.is_empty()) {
            if !strings.iter().any(|one| one == string) {
                strings.push(string.to_vec());
            }
        }
    }
    let all = strings.iter().flat_map(|string| string.iter().copied().chain([0])).chain([0]);
    known.data = all.flat_map(u16::to_le_bytes).collect();
}

/// Returns a value of the type that the flags say, or what is wrong with its text.
fn value(name: &str, flags: u32, texts: &[String]) -> Result<RegistryValue, String> {
    let high = flags >> flag::TYPE_SHIFT;
    let is_binary = flags & flag::BINARY != 0;
    let kind = match (is_binary, high) {
        (false, 0) => kind::SZ,
        (false, 1) => kind::MULTI_SZ,
        (false, 2) => kind::EXPAND_SZ,
        (true, 0) => kind::BINARY,
        (true, 1) => kind::DWORD,
        (true, 2) => kind::NONE,
        // The number of any other type.
        (true, number) => number,
        (false, _) => return Err(format!("the flags {flags:#x} name no type of string")),
    };
    let one = || match texts {
        [] => Ok(""),
        [one] => Ok(one.as_str()),
        _ => Err(format!("the value has {} parts and its type one: quote a comma", texts.len())),
    };
    let data = match kind {
        kind::SZ | kind::EXPAND_SZ if !is_binary => string(one()?),
        kind::MULTI_SZ if !is_binary => {
            let mut data: Vec<u8> =
                texts.iter().filter(|text| !text.is_empty()).flat_map(|text| string(text)).collect();
            data.extend([0, 0]);
            data
        }
        kind::DWORD => match texts {
            [text] => {
                let wrong = || format!("`{text}` is no number of 32 bits");
                number(text).ok_or_else(wrong)?.to_le_bytes().to_vec()
            }
            [_, _, _, _] => bytes(texts)?,
            _ => return Err("a REG_DWORD is one number, or four bytes in hexadecimal, low byte first".into()),
        },
        _ => bytes(texts)?,
    };
    Ok(RegistryValue { name: name.into(), kind, data })
}

/// Reads bytes, a field each, in hexadecimal with or without `0x`.
fn bytes(texts: &[String]) -> Result<Vec<u8>, String> {
    let byte = |text: &String| {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let is_hex = (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex
            .then(|| u8::from_str_radix(digits, 16).ok())
            .flatten()
            .ok_or_else(|| format!("`{text}` is no byte: binary data is one byte a field, in hexadecimal"))
    };
    texts.iter().filter(|text| !text.is_empty()).map(byte).collect()
}

/// Reads a number of 32 bits: decimal, negative too, or hexadecimal with `0x`.
pub(super) fn number(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?;
    }
    let negative = || text.parse::<i32>().ok().map(i32::cast_unsigned);
    (!text.starts_with('+')).then(|| text.parse().ok().or_else(negative)).flatten()
}
