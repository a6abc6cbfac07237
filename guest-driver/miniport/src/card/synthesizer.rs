//! The synthesizer: parameters, volume, statistics, downloads.

use core::sync::atomic::Ordering;

use card_spec::control::{DownloadHandle, DownloadResponse, PortParameters, RequestCode, Statistics, Status, Volume};
use portcls::NtStatus;
use zerocopy::FromZeros;

use super::device::Card;
use super::error::CardError;
use super::volume::{VOLUME_RANGE, VolumeItem};
use crate::control::{ControlError, PayloadBuffer, PayloadOwner};
use crate::dma::Window;
use crate::downloads::List;
use crate::format::PcmFormat;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::unloads::Unload;

impl<K: Kernel> Card<K> {
    /// Requests port parameters. Returns those in force, and whether the card altered a requested one.
    ///
    /// # Errors
    /// [`CardError::Control`] when the request fails, or the card refuses it.
    pub fn set_parameters(&self, level: Passive, wanted: &PortParameters) -> Result<(PortParameters, bool), CardError> {
        let (status, parameters): (_, PortParameters) = self.query(level, RequestCode::PARAMETERS, wanted)?;
        if wanted.valid.get() != 0 {
            self.parameters.with(level.into(), |in_force| *in_force = Some(parameters));
        }
        Ok((parameters, status == Status::ALTERED))
    }

    /// Returns the format that the card renders: the wave stream's once it has been opened, before that the one of the
    /// port parameters.
    ///
    /// # Errors
    /// [`CardError::Control`] when the request fails, or its response holds a format that no card has.
    pub fn wave_format(&self, level: Passive) -> Result<PcmFormat, CardError> {
        // A request without valid parameters changes none, and its response has those in force.
        let (parameters, _) = self.set_parameters(level, &PortParameters::new_zeroed())?;
        PcmFormat::new(parameters.sample_rate.get(), parameters.audio_channels.get())
            .ok_or(CardError::Control(ControlError::BadAnswer))
    }

    /// Queries the running statistics.
    ///
    /// # Errors
    /// [`CardError::Control`] when the request fails, or the card refuses it.
    pub fn statistics(&self, level: Passive) -> Result<Statistics, CardError> {
        Ok(self.query(level, RequestCode::STATISTICS, &())?.1)
    }

    /// Reads or sets a channel's priority.
    ///
    /// # Errors
    /// [`CardError::Control`] when the request fails, or the card refuses it.
    pub fn voice_priority(
        &self,
        level: Passive,
        request: &card_spec::control::VoicePriority,
    ) -> Result<card_spec::control::VoicePriority, CardError> {
        Ok(self.query(level, RequestCode::VOICE_PRIORITY, request)?.1)
    }

    /// Downloads DLS data for a stream: `bytes` bytes, which `fill` writes into a common buffer. Returns the driver's
    /// handle, which stays valid when the card loses its power.
    ///
    /// # Errors
    /// [`CardError::NoMemory`] when the card's download memory is full; [`CardError::Control`] when the buffer cannot
    /// be made or filled, or the request fails. Why the card refuses the data is logged.
    pub fn download(
        &self,
        level: Passive,
        stream: u32,
        bytes: usize,
        fill: impl FnOnce(&Window) -> bool,
    ) -> Result<u32, CardError> {
        self.check_power()?;
        let payload = PayloadBuffer::new(&self.kernel, level, bytes, fill)?;
        self.downloads.with(level, |list| {
            if !list.reserve(bytes) {
                return Err(CardError::NoMemory);
            }
            match self.send_download(level, &payload) {
                Ok(on_card) => Ok(list.add(stream, on_card, payload)),
                Err((error, PayloadOwner::Driver)) => Err(error),
                Err((error, PayloadOwner::Card)) => {
                    self.queues.control.retain(level, payload);
                    Err(error)
                }
            }
        })
    }

    /// Sends a download's data, with the downloads' lock held. Returns the card's handle.
    pub(super) fn send_download(
        &self,
        level: Passive,
        payload: &PayloadBuffer<K::Dma>,
    ) -> Result<u32, (CardError, PayloadOwner)> {
        let returned = |error: ControlError| (error.into(), PayloadOwner::Driver);
        self.check_power().map_err(returned)?;
        let epoch = self.epoch();
        let (status, answer): (_, DownloadResponse) =
            self.queues.control.transfer(level, self, RequestCode::DLS_DOWNLOAD, payload).map_err(
                |(error, owner)| {
                    self.check_failure(level, epoch, error);
                    (error.into(), owner)
                },
            )?;
        if status != Status::OK {
            self.kernel.log(&[
                Part::Text("download refused: "),
                Part::Reason(ControlError::Refused(status).into()),
                Part::Text(", reason "),
                Part::Number(answer.reason.get().into()),
                Part::Text(" at byte "),
                Part::Number(answer.offset.get().into()),
            ]);
            return Err(returned(ControlError::Refused(status)));
        }
        match answer.handle.get() {
            0 => Err(returned(ControlError::BadAnswer)),
            handle => Ok(handle),
        }
    }

    /// Unloads a download on behalf of a stream. Voices that still sound from it go on to their ends, and the card
    /// frees the memory after that; a client's request, if there is one, stays pending until then.
    ///
    /// # Errors
    /// [`CardError::NoDownload`] when there is no such handle; [`CardError::Control`] when the request fails. The
    /// download stays.
    pub fn unload(
        &self,
        level: Passive,
        stream: u32,
        handle: u32,
        client: Option<K::PendingRequest>,
    ) -> Result<Unload, CardError> {
        let unload = self.downloads.with(level, |list| {
            let place = list.place_of(handle).ok_or(CardError::NoDownload)?;
            let Some(on_card) = list.get(place).and_then(|download| download.on_card) else {
                list.remove(place);
                return Ok(Unload::Done);
            };
            let client = client.filter(|_| self.unloads.enter(level.into(), on_card));
            let is_entered = client.is_some();
            let answer = self.unload_on_card(level, on_card);
            if answer.is_ok() {
                list.remove(place);
            }
            match (answer, client) {
                (Ok(Status::PENDING), Some(client)) => {
                    Ok(self.unloads.make_pending(level.into(), on_card, stream, client))
                }
                (answer, _) => {
                    if is_entered {
                        self.unloads.remove(level.into(), on_card);
                    }
                    answer.map(|_| Unload::Done)
                }
            }
        })?;
        if unload == Unload::Pending && self.gone.load(Ordering::Acquire) {
            self.unloads.end_all(level.into(), NtStatus::DEVICE_REMOVED);
        }
        Ok(unload)
    }

    /// Completes the pending unload for which `is_meant` returns true. Called from its cancel routine.
    pub fn cancel_unload(&self, level: AtMostDispatch, is_meant: impl Fn(&K::PendingRequest) -> bool) {
        self.unloads.cancel(level, is_meant);
    }

    /// Returns how many unloads are pending.
    pub fn unloads_pending(&self, level: AtMostDispatch) -> usize {
        self.unloads.pending(level)
    }

    /// Unloads everything that a stream has downloaded.
    pub(super) fn unload_all_of(&self, level: Passive, stream: u32) {
        self.downloads.with(level, |list| {
            while let Some(place) = list.place_of_stream(stream) {
                if let Err(error) = self.unload_place(level, list, place) {
                    self.kernel.log(&[
                        Part::Text("the card does not unload a download of stream "),
                        Part::Number(stream.into()),
                        Part::Text(": "),
                        Part::Reason(error.into()),
                    ]);
                    list.remove(place);
                }
            }
        });
    }

    /// Unloads the download at a place of the list. One that the card does not have is only taken off the list.
    fn unload_place(&self, level: Passive, list: &mut List<K::Dma>, place: usize) -> Result<(), CardError> {
        if let Some(on_card) = list.get(place).and_then(|download| download.on_card) {
            self.unload_on_card(level, on_card)?;
        }
        list.remove(place);
        Ok(())
    }

    fn unload_on_card(&self, level: Passive, on_card: u32) -> Result<Status, CardError> {
        let request = DownloadHandle { handle: on_card.into(), reserved: 0.into() };
        Ok(self.command(level, RequestCode::DLS_UNLOAD, &request)?)
    }

    /// Has the card compact its download memory.
    ///
    /// # Errors
    /// [`CardError::Control`] when the request fails, or the card refuses it.
    pub fn compact(&self, level: Passive) -> Result<(), CardError> {
        self.command(level, RequestCode::DLS_COMPACT, &())?;
        Ok(())
    }

    /// Returns the volume or boost that was set last, in 1/100 dB.
    pub fn volume(&self, item: VolumeItem) -> i32 {
        self.volume[item as usize].load(Ordering::Relaxed)
    }

    /// Sets volume or boost in 1/100 dB, clamped to [`VOLUME_RANGE`].
    ///
    /// # Errors
    /// [`CardError::Control`] when the request fails, or the card refuses it.
    pub fn set_volume(&self, level: Passive, item: VolumeItem, hundredths_db: i32) -> Result<(), CardError> {
        let value = hundredths_db.clamp(*VOLUME_RANGE.start(), *VOLUME_RANGE.end());
        let request = Volume { item: (item as u32).into(), hundredths_db: value.into() };
        self.command(level, RequestCode::VOLUME, &request)?;
        self.volume[item as usize].store(value, Ordering::Relaxed);
        Ok(())
    }
}
