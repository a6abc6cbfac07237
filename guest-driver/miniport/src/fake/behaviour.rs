//! The fake card's behaviour, set by tests.

use card_spec::control::{RequestCode, Status};
use card_spec::identity::MAGIC;
use card_spec::queue::QUEUE_COUNT;
use card_spec::{ABI_MAJOR, feature, limits};

use crate::transport::Interrupt;

/// The card's behaviour. By default it keeps to its datasheet.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Features offered.
    pub features: u64,
    /// The card accepts the features that were negotiated.
    pub accepts_features: bool,
    /// The first four bytes of the identity block.
    pub magic: [u8; 4],
    /// The card's major ABI version.
    pub abi_major: u16,
    /// The largest ring of each queue.
    pub queue_size: u16,
    /// All registers read all ones: the card was removed.
    pub gone: bool,
    /// The process behind the card was lost: no queue is served until the reset.
    pub lost: bool,
    /// The status never becomes 0.
    pub never_resets: bool,
    /// The kernel has no memory for the card.
    pub no_memory: bool,
    /// The queues that the card does not serve when it is kicked.
    pub ignores_kicks: [bool; QUEUE_COUNT],
    /// After how many milliseconds the card serves the kicks that it ignored, if ever.
    pub serves_kicks_after: Option<u32>,
    /// For how many milliseconds the card's process does not run: it serves no queue, and a read of the identity block
    /// takes that long.
    pub stalled_for: u32,
    /// The id that the card returns instead of the chain's.
    pub wrong_id: Option<u32>,
    /// How many more bytes than it wrote the card claims.
    pub written_too_much: u32,
    /// By how much the used index is ahead.
    pub used_index_ahead: u16,
    /// Responses have another request's tag.
    pub wrong_tag: bool,
    /// The most bytes of a response.
    pub answer_bytes: Option<usize>,
    /// How many bytes too far on in the driver's buffer the card writes.
    pub misplaced_bytes: usize,
    /// The request that the card refuses, and with which status.
    pub refuses: Option<(RequestCode, Status)>,
    /// The card raises no interrupts.
    pub sends_no_interrupts: bool,
    /// The most channel groups that the card grants.
    pub groups_max: u32,
    /// The card has the capture capability.
    pub captures: bool,
    /// A voice still sounds from what is unloaded.
    pub unloads_later: bool,
    /// The card takes downloads off the ring and never returns them.
    pub keeps_downloads: bool,
    /// How the card interrupts.
    pub interrupt: Interrupt,
    /// Entries of the MSI-X table.
    pub vectors: u16,
    /// How many more allocations of the driver succeed. `None`: all of them.
    pub allocations_left: Option<u32>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            features: feature::VERSION_1 | feature::EVENT_IDX | feature::INDIRECT_DESC,
            accepts_features: true,
            magic: MAGIC,
            abi_major: ABI_MAJOR,
            queue_size: limits::QUEUE_SIZE_MAX,
            gone: false,
            lost: false,
            never_resets: false,
            no_memory: false,
            ignores_kicks: [false; QUEUE_COUNT],
            serves_kicks_after: None,
            stalled_for: 0,
            wrong_id: None,
            written_too_much: 0,
            used_index_ahead: 0,
            wrong_tag: false,
            answer_bytes: None,
            misplaced_bytes: 0,
            refuses: None,
            sends_no_interrupts: false,
            groups_max: 64,
            captures: true,
            unloads_later: false,
            keeps_downloads: false,
            interrupt: Interrupt::Line,
            vectors: 1,
            allocations_left: None,
        }
    }
}
