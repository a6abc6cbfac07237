//! Why a back-end is gone, and that there is one.

use std::io;

use crate::finding::RequestName;

/// A change of the connection to the back-end.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackendChange {
    /// A back-end was reached, and knows what the front-end has said so far. Rings of a lost one wait for the driver's reset,
    /// unless it completes in order.
    Reached,
    /// The back-end is gone. Its rings are parked, and their drivers have been interrupted once.
    Lost(Loss),
    /// A back-end was reached that cannot take the place of the first one, and was left.
    Unfit(Unfit),
}

/// Why a back-end counts as gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// It has ended the connection.
    #[error("the back-end has ended the connection, at {}", match .request {
        Some(request) => format!("request {}", RequestName(*request)),
        None => "no request".into(),
    })]
    Disconnected {
        /// The request that was being relayed, if one was.
        request: Option<u32>,
    },
    /// It has not answered in time.
    #[error("the back-end has not answered request {} in time", RequestName(*request))]
    Silent {
        /// The request; a heartbeat is a GET_FEATURES.
        request: u32,
    },
    /// It leaves a kick unread, so the thread that serves the ring has ended.
    #[error("the back-end leaves the kicks of ring {ring} unread; its worker has ended or hangs")]
    IgnoresKicks {
        /// The ring.
        ring: u32,
    },
    /// It has answered what was not requested, or not as the protocol says.
    #[error("the back-end has sent an answer that does not fit request {}", RequestName(*request))]
    BadAnswer {
        /// The request.
        request: u32,
    },
    /// The socket has failed.
    #[error("the connection to the back-end has failed: {0}")]
    Socket(#[source] io::Error),
}

/// Why a back-end cannot take the place of the first one: QEMU and the driver go on with what that one has offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It lacks features.
    #[error("the new back-end offers features {got:#x}, the first one {expected:#x}; start the same program again")]
    Features {
        /// What the first one offers.
        expected: u64,
        /// What this one offers.
        got: u64,
    },
    /// It lacks protocol features.
    #[error(
        "the new back-end offers protocol features {got:#x}, the first one {expected:#x}; start the same program again"
    )]
    ProtocolFeatures {
        /// What the first one offers.
        expected: u64,
        /// What this one offers.
        got: u64,
    },
    /// It has fewer rings.
    #[error("the new back-end has {got} rings, the first one {expected}; start the same program again")]
    Rings {
        /// How many the first one has.
        expected: u64,
        /// How many this one has.
        got: u64,
    },
}
