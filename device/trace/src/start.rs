//! What a card is started with, and the guest memory that its transport describes: what a replay needs besides the exchange.

/// What a card is started with.
///
/// Its payload: 1 byte of flags (bit 0, the clock is lockstep; bit 1, the transport is vfio-user), 1 byte zero, 2 bytes voices, 4 bytes
/// frames of a block, 8 bytes length of the bank, 32 bytes SHA-256 of the bank, and the name of the bank as UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardStart<'r> {
    /// Time moves with wave buffers, and not with the host's clock.
    pub lockstep: bool,
    /// The transport is vfio-user, and not vhost-user.
    pub vfio_user: bool,
    /// Most voices that a driver can have.
    pub voices: u16,
    /// Frames rendered at a time.
    pub render_block: u32,
    /// Bytes of the bank.
    pub bank_bytes: u64,
    /// SHA-256 of the bank.
    pub bank_sha256: [u8; 32],
    /// The name of the bank's file, or that of the built-in one.
    pub bank: &'r str,
}

/// Bytes of the payload before the name.
const FIXED_BYTES: usize = 48;

/// Longest name that is kept, in bytes.
const NAME_MAX: usize = 256;

const LOCKSTEP: u8 = 1 << 0;
const VFIO_USER: u8 = 1 << 1;

impl<'r> CardStart<'r> {
    /// Returns the payload of [`Kind::CARD`](crate::Kind::CARD); the name is cut after 256 bytes.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut name = self.bank.len().min(NAME_MAX);
        while !self.bank.is_char_boundary(name) {
            name -= 1;
        }
        let flags = if self.lockstep { LOCKSTEP } else { 0 } | if self.vfio_user { VFIO_USER } else { 0 };
        let mut payload = Vec::with_capacity(FIXED_BYTES + name);
        payload.extend([flags, 0]);
        payload.extend(self.voices.to_le_bytes());
        payload.extend(self.render_block.to_le_bytes());
        payload.extend(self.bank_bytes.to_le_bytes());
        payload.extend(self.bank_sha256);
        payload.extend(self.bank.as_bytes().iter().take(name));
        payload
    }

    /// Reads what [`Self::payload`] has made; none where it is cut short.
    pub(crate) fn read(payload: &'r [u8]) -> Option<Self> {
        let (fixed, name) = payload.split_first_chunk::<FIXED_BYTES>()?;
        let (numbers, sha256) = fixed.split_first_chunk::<16>()?;
        let [flags, _, v0, v1, b0, b1, b2, b3, bytes @ ..] = *numbers;
        Some(Self {
            lockstep: flags & LOCKSTEP != 0,
            vfio_user: flags & VFIO_USER != 0,
            voices: u16::from_le_bytes([v0, v1]),
            render_block: u32::from_le_bytes([b0, b1, b2, b3]),
            bank_bytes: u64::from_le_bytes(bytes),
            bank_sha256: *sha256.first_chunk::<32>()?,
            bank: std::str::from_utf8(name).ok()?,
        })
    }
}

/// Returns the payload of [`Kind::MEMORY`](crate::Kind::MEMORY), of regions by guest-physical address and length.
#[must_use]
pub fn memory_payload(regions: &[(u64, u64)]) -> Vec<u8> {
    regions.iter().flat_map(|(address, length)| [address.to_le_bytes(), length.to_le_bytes()]).flatten().collect()
}

/// Returns guest-physical address and length of each region of [`Act::Memory`](crate::Act::Memory).
pub fn regions(payload: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let (pairs, _) = payload.as_chunks::<16>();
    pairs.iter().map(|pair| {
        let (words, _) = pair.as_chunks::<8>();
        let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        (word(0), word(1))
    })
}
