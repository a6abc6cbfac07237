//! The state that the stand-in keeps on its disk between boots: one sector behind the copied image.

/// Bytes of the sector.
pub const BYTES: usize = 512;

/// Where it stands on the disk, in bytes: behind the copied image, which is smaller.
pub const OFFSET: u64 = 64 << 20;

/// The first bytes of a sector with a state.
const MAGIC: &[u8; 16] = b"dmus stand-in v1";

/// What the next boot from the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Configures, and starts again.
    Configure,
    /// Runs the script of the first logon, and starts again.
    FirstLogon,
    /// Serves as a guest whose agent runs, for the first time.
    Installed,
    /// Serves so again: what an image holds.
    Used,
}

impl Stage {
    /// Returns the sector of a stage.
    #[must_use]
    pub fn encode(self) -> [u8; BYTES] {
        let mut sector = [0; BYTES];
        sector[..MAGIC.len()].copy_from_slice(MAGIC);
        sector[MAGIC.len()] = match self {
            Self::Configure => 1,
            Self::FirstLogon => 2,
            Self::Installed => 3,
            Self::Used => 4,
        };
        sector
    }

    /// Reads a sector; `None` for one without a state.
    #[must_use]
    pub fn decode(sector: &[u8]) -> Option<Self> {
        match sector.strip_prefix(MAGIC)?.first()? {
            1 => Some(Self::Configure),
            2 => Some(Self::FirstLogon),
            3 => Some(Self::Installed),
            4 => Some(Self::Used),
            _ => None,
        }
    }
}

/// Returns the length of a FAT volume by its first sector (Microsoft's FAT specification, "Boot sector and BPB").
#[must_use]
pub fn image_bytes(sector: &[u8]) -> u64 {
    let number = |at: usize, length: usize| {
        let bytes = sector.get(at..at + length).unwrap_or_default();
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    let sectors = if number(19, 2) != 0 { number(19, 2) } else { number(32, 4) };
    sectors * number(11, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_length_of_a_volume() {
        let mut sector = [0; BYTES];
        sector[11..13].copy_from_slice(&512_u16.to_le_bytes());
        sector[32..36].copy_from_slice(&32768_u32.to_le_bytes());
        assert_eq!(image_bytes(&sector), 16 << 20);
        sector[19..21].copy_from_slice(&100_u16.to_le_bytes());
        assert_eq!(image_bytes(&sector), 51200);
        assert_eq!(image_bytes(&[]), 0);
    }

    #[test]
    fn reads_back_each_stage_and_no_other_sector() {
        for stage in [Stage::Configure, Stage::FirstLogon, Stage::Installed, Stage::Used] {
            assert_eq!(Stage::decode(&stage.encode()), Some(stage));
        }
        assert_eq!(Stage::decode(&[0; BYTES]), None);
        assert_eq!(Stage::decode(MAGIC), None);
    }
}
