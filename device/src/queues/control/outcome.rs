//! A control request, and how it ends.

use card_spec::control::{
    DownloadResponse, Latency, OpenResponse, PortParameters, RequestCode, RequestHeader, ResponseHeader, Statistics,
    Status, VoicePriority,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::bus::Chain;
use crate::diagnosis::DriverError;

/// Bytes of a response's header.
pub(super) const HEADER_BYTES: usize = size_of::<ResponseHeader>();

/// The answer to a request that was carried out.
pub(super) struct Answer {
    /// The status of the response.
    pub(super) status: Status,
    /// The payload of the response.
    pub(super) payload: Vec<u8>,
}

impl Answer {
    /// Answers without a payload.
    pub(super) const DONE: Self = Self { status: Status::OK, payload: Vec::new() };

    /// Returns an answer whose payload is a structure.
    pub(super) fn with(status: Status, payload: &(impl IntoBytes + Immutable)) -> Self {
        Self { status, payload: payload.as_bytes().to_vec() }
    }
}

/// Why a request was not carried out.
pub(super) struct Refusal {
    /// The status of the response.
    pub(super) status: Status,
    /// The driver's error, if it is one.
    pub(super) error: Option<DriverError>,
    /// The payload of the response.
    pub(super) payload: Vec<u8>,
}

impl Refusal {
    /// Refuses because of an error of the driver.
    pub(super) fn new(status: Status, error: DriverError) -> Self {
        Self { status, error: Some(error.on(Queue::CONTROL)), payload: Vec::new() }
    }

    /// Refuses a parameter at a byte offset of the payload, with the bound that it exceeds.
    pub(super) fn parameter(offset: usize, bound: u32, got: u32) -> Self {
        let error = DriverError::new(Diagnosis::PARAMETER).at(offset as u32).expected(bound, got);
        Self::new(Status::INVALID_PARAMETER, error)
    }

    /// Refuses because a limit is reached, which is no error of the driver.
    pub(super) const fn no_resources() -> Self {
        Self { status: Status::NO_RESOURCES, error: None, payload: Vec::new() }
    }

    /// Refuses because of a stream id.
    pub(super) fn stream(status: Status, stream: u32) -> Self {
        Self::new(status, DriverError::new(Diagnosis::STREAM).got(stream))
    }
}

/// The result of a request.
pub(super) type Outcome = Result<Answer, Refusal>;

/// A request whose header has been checked.
pub(super) struct Request<'a> {
    /// The chain that it came in.
    pub(super) chain: &'a Chain,
    /// Its payload.
    pub(super) payload: &'a [u8],
}

impl Request<'_> {
    /// Reads the payload as a structure. It may be longer: a driver of a later minor version sends more.
    pub(super) fn read<T: FromBytes + KnownLayout + Immutable + Unaligned>(&self) -> Result<T, Refusal> {
        T::read_from_prefix(self.payload).map(|(value, _)| value).map_err(|_| {
            let error = self.chain.diagnose(Diagnosis::READABLE_TOO_SHORT);
            let needed = const { size_of::<RequestHeader>() + size_of::<T>() };
            let got = size_of::<RequestHeader>().saturating_add(self.payload.len());
            Refusal::new(Status::MALFORMED, error.expected(needed as u32, got as u32))
        })
    }
}

/// Returns the most bytes of payload that a request is answered with.
pub(super) const fn response_bytes(code: RequestCode) -> usize {
    match code {
        RequestCode::OPEN => size_of::<OpenResponse>(),
        RequestCode::STATISTICS => size_of::<Statistics>(),
        RequestCode::PARAMETERS => size_of::<PortParameters>(),
        RequestCode::LATENCY => size_of::<Latency>(),
        RequestCode::VOICE_PRIORITY => size_of::<VoicePriority>(),
        RequestCode::DLS_DOWNLOAD => size_of::<DownloadResponse>(),
        _ => 0,
    }
}
