//! Bulk data through requests, for a guest whose memory the harness does not map.

use guest_protocol::{Bulk, BulkAccess, LINE_BULK_BYTES_MAX, Reply, Request};

use super::conversation::Session;
use super::error::SessionError;
use super::requests::unexpected;
use crate::host::hash::sha256;
use crate::machine::Health;

impl<H: Health> Session<'_, H> {
    /// Returns how the harness reaches ranges of the guest, which has said so in its answer to [`Session::hello`].
    #[must_use]
    pub const fn bulk_access(&self) -> BulkAccess {
        self.bulk_access
    }

    /// Writes into a range by requests.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn write_bulk(&mut self, bulk: Bulk, bytes: &[u8]) -> Result<(), SessionError> {
        let mut address = bulk.address;
        for part in bytes.chunks(LINE_BULK_BYTES_MAX as usize) {
            let request = Request::WriteBulk { address, bytes: part.to_vec() };
            self.done("write into guest memory", request)?;
            address += part.len() as u64;
        }
        Ok(())
    }

    /// Reads a range by requests, and compares the guest's hash of it with that of what has arrived.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`]; [`SessionError::Protocol`] where the bytes are not those of the guest.
    pub fn read_bulk(&mut self, bulk: Bulk) -> Result<Vec<u8>, SessionError> {
        const STEP: &str = "read guest memory";
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < bulk.length {
            let left = bulk.length - bytes.len() as u64;
            let part =
                Bulk { address: bulk.address + bytes.len() as u64, length: left.min(LINE_BULK_BYTES_MAX.into()) };
            match self.call(STEP, Request::ReadBulk(part), |_, _| {})? {
                Reply::Bytes(read) if read.len() as u64 == part.length => bytes.extend(read),
                other => return Err(unexpected(STEP, &other)),
            }
        }
        match self.call(STEP, Request::HashBulk(bulk), |_, _| {})? {
            Reply::Hash(hash) if hash == sha256(&bytes) => Ok(bytes),
            Reply::Hash(_) => Err(SessionError::Protocol {
                step: STEP.into(),
                what: format!("the {} bytes that arrived do not have the hash of the guest's", bytes.len()),
            }),
            other => Err(unexpected(STEP, &other)),
        }
    }
}
