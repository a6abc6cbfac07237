//! Downloads of instruments and waves (`dmdls.h`), and their unloading.

use std::path::Path;

use guest_protocol::{Bulk, Caller as GuestCaller, PropertyRequest, PropertyVerb, Request};

use super::side::StepError;
use super::state::{Downloaded, Engine, StreamPins};
use crate::conformance::instrument;
use crate::host::file_error::FileError;
use crate::steps::document::{CodedStatus, DownloadStep, Instrument};
use crate::testbed::synthesizer::{DLS_DOWNLOAD, DLS_PROPERTIES, DLS_UNLOAD};

impl Engine<'_, '_> {
    /// Downloads the parts of an instrument, or raw data, from a process.
    pub(super) fn download(&mut self, download: &DownloadStep, folder: &Path) -> Result<String, StepError> {
        let name = self.stream_name(download.stream.as_ref(), Some(false))?;
        let Some(StreamPins::Song(pins)) = self.streams.get(&name).map(|stream| stream.pins) else {
            return Err(StepError::Unexpected(format!("stream `{name}` takes no music")));
        };
        let node = self.synthesizer_node()?;
        let parts = match (download.instrument, &download.file, &download.data) {
            (Some(Instrument::Triangle), ..) => {
                let found = instrument();
                vec![found.wave, found.instrument]
            }
            (None, Some(file), _) => {
                let path = folder.join(file.get_ref());
                vec![std::fs::read(&path).map_err(FileError::input(&path))?]
            }
            (None, None, Some(bytes)) => vec![bytes.0.clone()],
            (None, None, None) => Vec::new(),
        };
        let caller = download.caller.of_guest();
        let mut done = Downloaded { pin: pins.render, node, caller, handles: Vec::new(), memory: Vec::new() };
        let wanted = download.status.unwrap_or(CodedStatus(0));
        let refused = download.refused.is_some();
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.iter().enumerate() {
            let bulk = self.bed.session.allocate(part.len() as u64)?;
            self.bed.write_bulk(bulk, part)?;
            let part_of = Bulk { address: bulk.address, length: part.len() as u64 };
            let address = match caller {
                GuestCaller::Kernel => {
                    return Err(StepError::Unexpected("a download comes from a process: user64 or user32".into()));
                }
                GuestCaller::User64 | GuestCaller::User32 => self.bed.session.map_user(part_of, caller)?,
            };
            done.memory.push(bulk);
            let (status, handle) = self.download_part(&done, address, part.len() as u32)?;
            let wanted = if index == last { wanted } else { CodedStatus(0) };
            if refused && index == last {
                if status == 0 {
                    self.downloads.insert(download.name.clone(), done);
                    return Err(StepError::Unexpected("it was taken, and must be refused".into()));
                }
                continue;
            }
            if status != wanted.0 {
                let text = format!(
                    "part {} of {}: the status is {}, expected {wanted}",
                    index + 1,
                    parts.len(),
                    CodedStatus(status)
                );
                self.downloads.insert(download.name.clone(), done);
                return Err(StepError::Unexpected(text));
            }
            done.handles.extend(handle);
        }
        let found = format!("{} parts, {} bytes", parts.len(), parts.iter().map(Vec::len).sum::<usize>());
        self.downloads.insert(download.name.clone(), done);
        Ok(found)
    }

    /// Sends `DOWNLOAD` of a buffer at an address in the caller's process. Returns the status, and the handle of a success.
    fn download_part(&mut self, to: &Downloaded, address: u64, bytes: u32) -> Result<(u32, Option<u64>), StepError> {
        let (instance, room) = match to.caller {
            GuestCaller::User32 => ([bytes.to_le_bytes(), (address as u32).to_le_bytes()].concat(), 8),
            _ => ([u64::from(bytes).to_le_bytes(), address.to_le_bytes()].concat(), 16),
        };
        let (status, value) = self.dls_property(to, DLS_DOWNLOAD, PropertyVerb::Get, instance, vec![0; room])?;
        let handle = match to.caller {
            GuestCaller::User32 => value.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
            _ => value.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
        };
        Ok((status, handle.filter(|_| status == 0)))
    }

    fn dls_property(
        &mut self,
        to: &Downloaded,
        id: u32,
        verb: PropertyVerb,
        instance: Vec<u8>,
        value: Vec<u8>,
    ) -> Result<(u32, Vec<u8>), StepError> {
        let request = PropertyRequest {
            caller: to.caller,
            target: to.pin,
            node: Some(to.node),
            set: DLS_PROPERTIES,
            id,
            verb,
            instance,
            value,
        };
        Ok(self.bed.session.property("ask about downloads", request)?)
    }

    /// Unloads what was downloaded under a name, its parts in reverse.
    pub(super) fn unload_download(&mut self, name: &str) -> Result<String, StepError> {
        let Some(mut done) = self.downloads.remove(name) else {
            return Err(StepError::Unexpected(format!("`{name}` is not downloaded: an earlier step has unloaded it")));
        };
        // The instrument before its wave.
        while let Some(handle) = done.handles.pop() {
            let value = match done.caller {
                GuestCaller::User32 => (handle as u32).to_le_bytes().to_vec(),
                _ => handle.to_le_bytes().to_vec(),
            };
            let (status, _) = self.dls_property(&done, DLS_UNLOAD, PropertyVerb::Set, Vec::new(), value)?;
            if status != 0 {
                return Err(StepError::Unexpected(format!("the status of UNLOAD is {}", CodedStatus(status))));
            }
        }
        for bulk in done.memory {
            self.bed.session.done("give back guest memory", Request::FreeBulk(bulk))?;
        }
        Ok(String::new())
    }
}
