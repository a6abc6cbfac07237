//! The synthesizer: parameters, volume, statistics, downloads.

use core::sync::atomic::Ordering;

use card_spec::control::{DownloadHandle, DownloadResponse, PortParameters, RequestCode, Statistics, Status, Volume};
use portcls::NtStatus;
use zerocopy::FromZeros;

use super::{Card, CardError};
use crate::control::{self, ControlError, Parcel, Parcelled};
use crate::dma::Window;
use crate::downloads::List;
use crate::format::PcmFormat;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::unloads::Wait;

/// Which volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeItem {
    /// The port's volume.
    Volume = 0,
    /// The boost, which is added.
    Boost = 1,
}

/// The range of volume and boost in 1/100 dB, as the datasheet gives it.
pub const VOLUME_RANGE: core::ops::RangeInclusive<i32> = -20_000..=2_000;

impl<K: Kernel> Card<K> {
    /// Asks for port parameters. Gives what is in force, and whether something that was asked for was altered.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn set_parameters(&self, level: Passive, wanted: &PortParameters) -> Result<(PortParameters, bool), CardError> {
        let (status, parameters): (_, PortParameters) = self.query(level, RequestCode::PARAMETERS, wanted)?;
        if wanted.valid.get() != 0 {
            self.parameters.with(level.into(), |kept| *kept = Some(parameters));
        }
        Ok((parameters, status == Status::ALTERED))
    }

    /// What the card renders: the wave stream's format once it has been opened, before that what the parameters say.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn wave_format(&self, level: Passive) -> Result<PcmFormat, CardError> {
        // Asking for nothing changes nothing, and is answered with what is in force.
        let (parameters, _) = self.set_parameters(level, &PortParameters::new_zeroed())?;
        PcmFormat::new(parameters.sample_rate.get(), parameters.audio_channels.get())
            .ok_or(CardError::Control(ControlError::BadAnswer))
    }

    /// The running statistics.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn statistics(&self, level: Passive) -> Result<Statistics, CardError> {
        Ok(self.query(level, RequestCode::STATISTICS, &())?.1)
    }

    /// Reads or sets a channel's priority.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn voice_priority(
        &self,
        level: Passive,
        request: &card_spec::control::VoicePriority,
    ) -> Result<card_spec::control::VoicePriority, CardError> {
        Ok(self.query(level, RequestCode::VOICE_PRIORITY, request)?.1)
    }

    /// Downloads DLS data for a stream: `bytes` bytes, which `fill` puts into the card's sight. The handle, which stays
    /// good when the card loses its power in between.
    ///
    /// # Errors
    /// [`CardError`]. What is wrong with the data is logged.
    pub fn download(
        &self,
        level: Passive,
        stream: u32,
        bytes: usize,
        fill: impl FnOnce(&Window) -> bool,
    ) -> Result<u32, CardError> {
        self.check_power()?;
        let parcel = Parcel::new(&self.kernel, level, bytes, fill)?;
        self.downloads.with(level, |list| {
            if !list.reserve(bytes) {
                return Err(CardError::NoMemory);
            }
            match self.send_download(level, &parcel) {
                Ok(on_card) => Ok(list.add(stream, on_card, parcel)),
                Err((error, Parcelled::Returned)) => Err(error),
                Err((error, Parcelled::Lent)) => {
                    self.control.park(level, parcel);
                    Err(error)
                }
            }
        })
    }

    /// Sends a download's data, with the downloads' lock held. The card's handle.
    pub(super) fn send_download(&self, level: Passive, parcel: &Parcel<K::Dma>) -> Result<u32, (CardError, Parcelled)> {
        let returned = |error: ControlError| (error.into(), Parcelled::Returned);
        self.check_power().map_err(returned)?;
        let (status, answer): (_, DownloadResponse) = self
            .control
            .transfer(level, &self.line(control::QUEUE), RequestCode::DLS_DOWNLOAD, parcel)
            .map_err(|(error, whose)| (error.into(), whose))?;
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

    /// Unloads, asked to on a stream. What still sounds from it goes on to its end; the card's memory is free after
    /// that, and if there is a client, it waits for it.
    ///
    /// # Errors
    /// [`CardError`]; the download is still there then.
    pub fn unload(
        &self,
        level: Passive,
        stream: u32,
        handle: u32,
        client: Option<K::Waiting>,
    ) -> Result<Wait, CardError> {
        let wait = self.downloads.with(level, |list| {
            let place = list.place_of(handle).ok_or(CardError::NoDownload)?;
            let Some(on_card) = list.get(place).and_then(|download| download.on_card) else {
                list.remove(place);
                return Ok(Wait::Over);
            };
            let client = client.filter(|_| self.unloads.expect(level.into(), on_card));
            let is_expected = client.is_some();
            let answer = self.unload_on_card(level, on_card);
            if answer.is_ok() {
                list.remove(place);
            }
            match (answer, client) {
                (Ok(Status::PENDING), Some(client)) => Ok(self.unloads.wait(level.into(), on_card, stream, client)),
                (answer, _) => {
                    if is_expected {
                        self.unloads.forget(level.into(), on_card);
                    }
                    answer.map(|_| Wait::Over)
                }
            }
        })?;
        if wait == Wait::Begun && self.gone.load(Ordering::Acquire) {
            self.unloads.end_all(level.into(), NtStatus::DEVICE_REMOVED);
        }
        Ok(wait)
    }

    /// The canceller of a client's request has come.
    pub fn cancel_unload(&self, level: AtMostDispatch, is_meant: impl Fn(&K::Waiting) -> bool) {
        self.unloads.cancel(level, is_meant);
    }

    /// How many clients wait for what they have unloaded.
    pub fn unloads_waiting(&self, level: AtMostDispatch) -> usize {
        self.unloads.waiting(level)
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

    /// A download that the card does not have is only forgotten.
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

    /// Packs download memory.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn compact(&self, level: Passive) -> Result<(), CardError> {
        self.command(level, RequestCode::DLS_COMPACT, &())?;
        Ok(())
    }

    /// The volume or boost that was set last, in 1/100 dB.
    pub fn volume(&self, item: VolumeItem) -> i32 {
        self.volume[item as usize].load(Ordering::Relaxed)
    }

    /// Sets volume or boost, clamped to [`VOLUME_RANGE`].
    ///
    /// # Errors
    /// [`CardError`].
    pub fn set_volume(&self, level: Passive, item: VolumeItem, hundredths_db: i32) -> Result<(), CardError> {
        let value = hundredths_db.clamp(*VOLUME_RANGE.start(), *VOLUME_RANGE.end());
        let request = Volume { item: (item as u32).into(), hundredths_db: value.into() };
        self.command(level, RequestCode::VOLUME, &request)?;
        self.volume[item as usize].store(value, Ordering::Relaxed);
        Ok(())
    }
}
