//! Why a description cannot be a PCI function.

use std::ops::Range;

use super::ROM_BYTES_MAX;

/// What of a description cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// A function has six base address registers.
    #[error("BAR {0} does not exist; a function has BARs 0 to 5")]
    NoSuchBar(usize),
    /// A size that a BAR cannot have.
    #[error("BAR {index} cannot have {bytes} bytes; it needs a power of two from {least} to {most}")]
    BarSize {
        /// The BAR.
        index: usize,
        /// Its size.
        bytes: u64,
        /// The smallest size of its kind.
        least: u64,
        /// The largest size of its kind.
        most: u64,
    },
    /// A 64-bit BAR's upper half takes the place of the next BAR.
    #[error("BAR {0} is a 64-bit BAR: the next one must exist, and be free for its upper half")]
    NoPlaceForUpperHalf(usize),
    /// An access rule that allows nothing, or bytes that are not there.
    #[error("BAR {index} has an access rule for {range:#x?}, which is empty or outside of it")]
    RuleOutside {
        /// The BAR.
        index: usize,
        /// The rule's bytes.
        range: Range<u64>,
    },
    /// A mapped range that cannot be.
    #[error("BAR {index}: the mapped range {range:#x?} {reason}")]
    Mapped {
        /// The BAR.
        index: usize,
        /// The range.
        range: Range<u64>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A number of MSI vectors that cannot be.
    #[error("MSI cannot have {vectors} vectors; it has a power of two from 1 to 32")]
    Msi {
        /// The number.
        vectors: u16,
    },
    /// An expansion ROM that is too long.
    #[error("the expansion ROM has {bytes} bytes; at most {ROM_BYTES_MAX} can be read")]
    RomTooLong {
        /// Its length.
        bytes: usize,
    },
    /// Extended capabilities of a function that is no endpoint of PCI Express.
    #[error("extended capabilities are those of PCI Express; add `express()`")]
    NotExpress,
    /// An MSI-X capability that cannot be.
    #[error("MSI-X: {reason}")]
    Msix {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The capabilities do not fit.
    #[error("the capabilities end at byte {bytes} of configuration space, which has {most}; shorten your own ones")]
    CapabilitiesTooLong {
        /// Where they would end.
        bytes: usize,
        /// Where they must end.
        most: usize,
    },
}
