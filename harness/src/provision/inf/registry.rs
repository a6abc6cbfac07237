//! The registry as an INF writes it: keys by root and path, values in their order, and their types.

use std::collections::BTreeMap;

use guest_protocol::{RegistryKey, RegistryRoot, RegistryValue};

/// Types of values (winnt.h).
pub(super) mod kind {
    /// `REG_NONE`.
    pub(crate) const NONE: u32 = 0;
    /// `REG_SZ`.
    pub(crate) const SZ: u32 = 1;
    /// `REG_EXPAND_SZ`.
    pub(crate) const EXPAND_SZ: u32 = 2;
    /// `REG_BINARY`.
    pub(crate) const BINARY: u32 = 3;
    /// `REG_DWORD`.
    pub(crate) const DWORD: u32 = 4;
    /// `REG_MULTI_SZ`.
    pub(crate) const MULTI_SZ: u32 = 7;
}

/// Keys that an INF writes, with their values. The registry is empty before.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    keys: BTreeMap<(RegistryRoot, String), RegistryKey>,
    bytes: usize,
}

impl Keys {
    /// Creates a key, if it is not there.
    pub(super) fn create(&mut self, root: RegistryRoot, path: &str) -> &mut RegistryKey {
        self.bytes += path.len();
        self.keys.entry((root, path.to_lowercase())).or_insert_with(|| RegistryKey {
            root,
            path: path.into(),
            values: Vec::new(),
        })
    }

    /// Returns a value, if it is there.
    pub(super) fn value(&mut self, root: RegistryRoot, path: &str, name: &str) -> Option<&mut RegistryValue> {
        let key = self.keys.get_mut(&(root, path.to_lowercase()))?;
        key.values.iter_mut().find(|value| value.name.eq_ignore_ascii_case(name))
    }

    /// Writes a value, in the place of one of the same name.
    pub(super) fn write(&mut self, root: RegistryRoot, path: &str, value: RegistryValue) {
        self.bytes += value.name.len() + value.data.len();
        let key = self.create(root, path);
        match key.values.iter_mut().find(|known| known.name.eq_ignore_ascii_case(&value.name)) {
            Some(known) => *known = value,
            None => key.values.push(value),
        }
    }

    /// Deletes a value; without a name the whole key.
    pub(super) fn delete(&mut self, root: RegistryRoot, path: &str, name: Option<&str>) {
        let at = (root, path.to_lowercase());
        match name {
            Some(name) => {
                if let Some(key) = self.keys.get_mut(&at) {
                    key.values.retain(|value| !value.name.eq_ignore_ascii_case(name));
                }
            }
            None => _ = self.keys.remove(&at),
        }
    }

    /// Returns how many bytes were written.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the keys in order of root and path.
    pub(super) fn into_keys(self) -> Vec<RegistryKey> {
        self.keys.into_values().collect()
    }
}

/// Returns text as a string of the registry has it.
pub(super) fn string(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Returns a value of type `REG_SZ`.
pub(super) fn string_value(name: &str, text: &str) -> RegistryValue {
    RegistryValue { name: name.into(), kind: kind::SZ, data: string(text) }
}

/// Returns a value of type `REG_DWORD`.
pub(super) fn number_value(name: &str, number: u32) -> RegistryValue {
    RegistryValue { name: name.into(), kind: kind::DWORD, data: number.to_le_bytes().to_vec() }
}

/// Reads a GUID in braces as it is in memory.
pub(super) fn guid(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix('{')?.strip_suffix('}')?;
    let parts: Vec<&str> = digits.split('-').collect();
    if parts.iter().map(|part| part.len()).collect::<Vec<_>>() != [8, 4, 4, 4, 12] {
        return None;
    }
    let bytes: [u8; 16] = hex::decode(parts.concat()).ok()?.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let mut guid = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
    guid[8..].copy_from_slice(&rest);
    Some(guid)
}

/// Returns a GUID as text, with the name of the category where it is one of kernel streaming's.
pub(super) fn guid_text(guid: &[u8; 16]) -> String {
    /// `KSCATEGORY_*` of ks.h and ksmedia.h that drivers for music register.
    const CATEGORIES: [(&str, &str); 8] = [
        ("6994ad04-93ef-11d0-a3cc-00a0c9223196", "KSCATEGORY_AUDIO"),
        ("65e8773e-8f56-11d0-a3b9-00a0c9223196", "KSCATEGORY_RENDER"),
        ("65e8773d-8f56-11d0-a3b9-00a0c9223196", "KSCATEGORY_CAPTURE"),
        ("dff220f3-f70f-11d0-b917-00a0c9223196", "KSCATEGORY_SYNTHESIZER"),
        ("1e84c900-7e70-11d0-a5d6-28db04c10000", "KSCATEGORY_DATATRANSFORM"),
        ("dda54a40-1e4c-11d1-a050-405705c10000", "KSCATEGORY_TOPOLOGY"),
        ("eb115ffc-10c8-4964-831d-6dcb02e6f23f", "KSCATEGORY_REALTIME"),
        ("085aff00-62ce-11cf-a5d6-28db04c10000", "KSCATEGORY_BRIDGE"),
    ];
    let [a, b, c, d, e, f, g, h, i, j, rest @ ..] = *guid;
    let hex = |bytes: &[u8]| hex::encode(bytes);
    let text = format!("{}-{}-{}-{}-{}", hex(&[d, c, b, a]), hex(&[f, e]), hex(&[h, g]), hex(&[i, j]), hex(&rest));
    let name = CATEGORIES.iter().find(|(known, _)| *known == text).map(|(_, name)| *name);
    name.map_or_else(|| format!("{{{text}}}"), ToOwned::to_owned)
}
