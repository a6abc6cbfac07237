//! Which of a manufacturer's model sections an x64 Windows reads.

/// The version of the guest's Windows, which drivers read as `RtlGetVersion` tells it: major, minor, build.
const WINDOWS: (u32, u32, u32) = (10, 0, 19_045);

/// The architecture of the guest.
const ARCHITECTURE: &str = "amd64";

/// A decoration `nt[Architecture][.[Major][.[Minor][.[ProductType][.[SuiteMask][.[Build]]]]]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decoration {
    /// Whether it is for the guest's architecture.
    of_architecture: bool,
    version: (u32, u32, u32),
    /// Whether it names a product type that the guest is not, which is a workstation.
    other_product: bool,
}

impl Decoration {
    /// Reads a decoration; `None` for text of another form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        /// `VER_NT_WORKSTATION`.
        const WORKSTATION: u32 = 1;
        let rest = text.get(..2).filter(|start| start.eq_ignore_ascii_case("nt")).map(|_| &text[2..])?;
        let mut parts = rest.split('.');
        let architecture = parts.next()?;
        if !architecture.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let mut numbers = [None; 5];
        for (index, part) in parts.enumerate() {
            let number = if part.is_empty() { None } else { Some(number(part)?) };
            *numbers.get_mut(index)? = number;
        }
        let [major, minor, product, _suite, build] = numbers;
        Some(Self {
            of_architecture: architecture.eq_ignore_ascii_case(ARCHITECTURE),
            version: (major.unwrap_or(0), minor.unwrap_or(0), build.unwrap_or(0)),
            other_product: product.is_some_and(|product| product != WORKSTATION),
        })
    }

    /// Tells whether the guest's Windows reads the models of this decoration.
    pub(super) fn fits(&self) -> bool {
        self.of_architecture && !self.other_product && self.version <= WINDOWS
    }

    /// Returns the version, by which the highest that fits is preferred.
    pub(super) const fn version(&self) -> (u32, u32, u32) {
        self.version
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Returns the text of the guest's Windows, for messages.
pub(super) fn windows() -> String {
    format!("NT{ARCHITECTURE}.{}.{}...{}", WINDOWS.0, WINDOWS.1, WINDOWS.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_x64_and_its_version_fit() {
        for (text, fits) in [
            ("NTamd64", true),
            ("ntAMD64.6.1", true),
            ("NTamd64.10.0...14393", true),
            ("NTamd64.10.0.1", true),
            ("NTamd64.10.0.3", false),
            ("NTamd64.10.0...99999", false),
            ("NTamd64.11", false),
            ("NTx86", false),
            ("NTarm64.10.0", false),
            // Without an architecture it is for x86, since Windows Server 2003 with its first service pack.
            ("NT", false),
            ("NT.5.1", false),
        ] {
            assert_eq!(Decoration::parse(text).map(|decoration| decoration.fits()), Some(fits), "{text}");
        }
        for wrong in ["", "amd64", "NTamd64.x", "NTamd64.1.2.3.4.5.6", "NT amd64", "ñt"] {
            assert_eq!(Decoration::parse(wrong), None, "{wrong}");
        }
    }
}
