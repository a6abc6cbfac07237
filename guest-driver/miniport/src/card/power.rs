//! Power: the card keeps no state without it, so the driver sends the whole state again.

use core::sync::atomic::Ordering;

use card_spec::control::clock_sync;
use card_spec::queue::Queue;
use portcls::NtStatus;

use super::device::{CAPTURE_STREAM, Card, WAVE_STREAM};
use super::error::CardError;
use super::recovery_count::RecoveryCount;
use super::volume::VolumeItem;
use crate::clock::Anchor;
use crate::control::{ControlError, PayloadOwner};
use crate::downloads::List;
use crate::irql::Passive;
use crate::kernel::Kernel;
use crate::log::Part;
use crate::midi_out;

impl<K: Kernel> Card<K> {
    /// Stops the card before it loses power. Its registers are not accessed any more; events are held and downloads
    /// kept, but events that the card had are lost. Does nothing to a card that is off.
    pub fn power_down(&self, level: Passive) {
        self.downloads.with(level, |downloads| {
            self.without_power.store(true, Ordering::Release);
            self.switch_off(level, downloads);
        });
    }

    /// Stops the card, with the downloads' lock held.
    pub(super) fn switch_off(&self, level: Passive, downloads: &mut List<K::Dma>) {
        if self.off.load(Ordering::Acquire) {
            return;
        }
        self.queues.midi_out.suspend(level.into());
        self.stop(level);
        self.off.store(true, Ordering::Release);
        self.rundown.wait_for_release(|| self.kernel.pause(level, 1));
        downloads.iter_mut().for_each(|download| download.on_card = None);
        // No voice sounds any more.
        self.unloads.end_all(level.into(), NtStatus::SUCCESS);
        self.needs_reset.store(false, Ordering::Release);
    }

    /// Starts a card that has power again, and restores its parameters, its downloads, its streams and their states. A
    /// download that the card does not take again is logged, and its handle stays valid. Does nothing to a card that is
    /// on.
    ///
    /// # Errors
    /// [`CardError::Transport`] when the function does not start; [`CardError::Control`] when a request fails or the
    /// card was removed. The card stays off, and the call can be repeated.
    pub fn power_up(&self, level: Passive) -> Result<(), CardError> {
        // The lock is held until the card is on, or reset: until then it may be reading a download.
        self.downloads.with(level, |downloads| {
            self.without_power.store(false, Ordering::Release);
            self.needs_reset.store(false, Ordering::Release);
            self.recoveries.with(level.into(), |recoveries| *recoveries = RecoveryCount::default());
            self.switch_on(level, downloads)
        })
    }

    /// Starts the card again, with the downloads' lock held.
    pub(super) fn switch_on(&self, level: Passive, downloads: &mut List<K::Dma>) -> Result<(), CardError> {
        if !self.off.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.gone.load(Ordering::Acquire) {
            return Err(ControlError::Gone.into());
        }
        self.transport.renegotiate(&self.kernel, level)?;
        let rings = [
            self.queues.control.restart(level),
            self.queues.midi_out.restart(level.into()),
            self.queues.midi_in.restart(&self.kernel, level),
            self.queues.wave.restart(level),
            self.queues.event_queue.restart(level.into()),
        ];
        for ((queue, size), ring) in Queue::ALL.into_iter().zip(self.queues.sizes).zip(rings) {
            self.transport.enable_queue(queue.0, size, ring)?;
        }
        // From here on it may interrupt, and then the service routine must know it.
        self.rundown.reinitialize();
        self.transport.driver_ok();
        self.begin_epoch();
        self.off.store(false, Ordering::Release);
        self.restore(level, downloads).inspect_err(|_| {
            _ = self.transport.reset(&self.kernel, level);
            self.off.store(true, Ordering::Release);
            self.rundown.wait_for_release(|| self.kernel.pause(level, 1));
            downloads.iter_mut().for_each(|download| download.on_card = None);
        })?;
        // What failed meanwhile needs another recovery, before which no event is to be sent.
        self.queues.midi_out.resume_unless(level.into(), self, || self.needs_reset.load(Ordering::Acquire));
        Ok(())
    }

    /// Gives a new session the state of the old one.
    fn restore(&self, level: Passive, downloads: &mut List<K::Dma>) -> Result<(), CardError> {
        self.open(level)?;
        let parameters = self.parameters.with(level.into(), |parameters| *parameters);
        if let Some(parameters) = parameters {
            self.set_parameters(level, &parameters)?;
        }
        for item in [VolumeItem::Volume, VolumeItem::Boost] {
            if self.volume(item) != 0 {
                self.set_volume(level, item, self.volume(item))?;
            }
        }
        self.restore_downloads(level, downloads)?;
        if let Ok(stream) = self.with_wave(level.into(), |stream| *stream) {
            self.open_wave_on_card(level, stream.format)?;
            if let Some(anchor) = stream.anchor {
                let time = anchor.time_of(stream.next_frame, stream.format.sample_rate);
                self.anchor_on_card(level, Anchor { time, frame: stream.next_frame }, clock_sync::START)?;
            }
            self.set_stream_state(level, WAVE_STREAM, stream.state)?;
        }
        if let Some(state) = self.queues.midi_in.state(level.into()) {
            self.open_capture_on_card(level)?;
            self.set_stream_state(level, CAPTURE_STREAM, state)?;
        }
        for id in 0..midi_out::STREAMS as u32 {
            if let Some(state) = self.queues.midi_out.state_of(level.into(), id) {
                self.open_render_on_card(level, id)?;
                self.set_stream_state(level, id, state)?;
            }
        }
        Ok(())
    }

    /// Sends every download again, in order.
    fn restore_downloads(&self, level: Passive, downloads: &mut List<K::Dma>) -> Result<(), CardError> {
        for download in downloads.iter_mut() {
            match self.send_download(level, &download.payload) {
                Ok(on_card) => download.on_card = Some(on_card),
                Err((error @ CardError::Control(ControlError::Refused(_)), PayloadOwner::Driver)) => {
                    self.kernel.log(&[
                        Part::Text("download "),
                        Part::Number(download.handle.into()),
                        Part::Text(" is not restored: "),
                        Part::Reason(error.into()),
                    ]);
                }
                Err((error, _)) => return Err(error),
            }
        }
        Ok(())
    }
}
