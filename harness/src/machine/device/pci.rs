//! A PCI function by its ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text that names no PCI function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no PCI function: write VVVV:DDDD, vendor and device in hexadecimal, or VVVV:DDDD:n for the n-th from 0"
)]
pub struct PciError(String);

/// A PCI function by vendor and device, and its number among those with the same ids, from 0 in order of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PciFunction {
    /// The vendor's id.
    pub vendor: u16,
    /// The device's id.
    pub device: u16,
    /// The number among several; `None` where there must be only one.
    pub number: Option<u8>,
}

impl FromStr for PciFunction {
    type Err = PciError;

    fn from_str(text: &str) -> Result<Self, PciError> {
        let error = || PciError(text.into());
        let id = |digits: &str| {
            (digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .then(|| u16::from_str_radix(digits, 16).ok())
                .flatten()
                .ok_or_else(error)
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (vendor, device, number) = match parts[..] {
            [vendor, device] => (vendor, device, None),
            [vendor, device, number] if number.bytes().all(|digit| digit.is_ascii_digit()) => {
                (vendor, device, Some(number.parse().map_err(|_| error())?))
            }
            _ => return Err(error()),
        };
        Ok(Self { vendor: id(vendor)?, device: id(device)?, number })
    }
}

impl fmt::Display for PciFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.vendor, self.device)?;
        self.number.map_or(Ok(()), |number| write!(f, ":{number}"))
    }
}

impl From<PciFunction> for String {
    fn from(function: PciFunction) -> Self {
        function.to_string()
    }
}

impl TryFrom<String> for PciFunction {
    type Error = PciError;

    fn try_from(text: String) -> Result<Self, PciError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_and_a_number() {
        let function: PciFunction = "1af4:1067".parse().unwrap();
        assert_eq!(function, PciFunction { vendor: 0x1af4, device: 0x1067, number: None });
        let second: PciFunction = "8086:2415:1".parse().unwrap();
        assert_eq!((second.number, second.to_string().as_str()), (Some(1), "8086:2415:1"));
        for wrong in
            ["", "1af4", "1af4:", "1af4:10677", "1af4:1067:", "1af4:1067:x", "1af4:1067:256", "1af4:+067", "a:b:c:d"]
        {
            let error = wrong.parse::<PciFunction>().unwrap_err().to_string();
            assert!(error.contains("VVVV:DDDD"), "{wrong}: {error}");
        }
    }
}
