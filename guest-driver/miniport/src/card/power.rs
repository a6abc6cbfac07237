//! Power: the card keeps nothing without it, so the driver tells it everything again.

use core::sync::atomic::Ordering;

use card_spec::control::clock_sync;
use card_spec::queue::Queue;
use portcls::NtStatus;

use super::{CAPTURE_STREAM, Card, CardError, Repairs, VolumeItem, WAVE_STREAM};
use crate::clock::Anchor;
use crate::control::{ControlError, Parcelled};
use crate::downloads::List;
use crate::irql::Passive;
use crate::kernel::Kernel;
use crate::log::Part;
use crate::midi_out;

impl<K: Kernel> Card<K> {
    /// The card is about to lose power: it is stopped, and its registers are not touched any more. Events are held, and
    /// downloads kept; what the card had of events is lost. Without effect on a card that is off.
    pub fn power_down(&self, level: Passive) {
        self.downloads.with(level, |downloads| {
            self.asleep.store(true, Ordering::Release);
            self.switch_off(level, downloads);
        });
    }

    /// Stops the card, with the downloads' lock held.
    pub(super) fn switch_off(&self, level: Passive, downloads: &mut List<K::Dma>) {
        if self.off.load(Ordering::Acquire) {
            return;
        }
        self.midi_out.suspend(level.into());
        self.stop(level);
        self.off.store(true, Ordering::Release);
        self.presence.leave(|| self.kernel.pause(level, 1));
        downloads.iter_mut().for_each(|download| download.on_card = None);
        // What sounded does not any more.
        self.unloads.end_all(level.into(), NtStatus::SUCCESS);
        self.needs_reset.store(false, Ordering::Release);
    }

    /// The card has power again: it is brought back to life, with its parameters, its downloads, its streams and their
    /// states. A download that the card does not take again is logged, and its handle stays good. Without effect on a
    /// card that is on.
    ///
    /// # Errors
    /// [`CardError`]; the card stays off, and can be tried again.
    pub fn power_up(&self, level: Passive) -> Result<(), CardError> {
        // The lock is held until the card is on, or reset: until then it may be reading a download.
        self.downloads.with(level, |downloads| {
            self.asleep.store(false, Ordering::Release);
            self.needs_reset.store(false, Ordering::Release);
            self.repairs.with(level.into(), |repairs| *repairs = Repairs::default());
            self.switch_on(level, downloads)
        })
    }

    /// Brings the card back, with the downloads' lock held.
    pub(super) fn switch_on(&self, level: Passive, downloads: &mut List<K::Dma>) -> Result<(), CardError> {
        if !self.off.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.gone.load(Ordering::Acquire) {
            return Err(ControlError::Gone.into());
        }
        self.transport.renegotiate(&self.kernel, level)?;
        let rings = [
            self.control.restart(level),
            self.midi_out.restart(level.into()),
            self.midi_in.restart(&self.kernel, level),
            self.wave.restart(level),
            self.news.restart(level.into()),
        ];
        for ((queue, size), ring) in Queue::ALL.into_iter().zip(self.queue_sizes).zip(rings) {
            self.transport.enable_queue(queue.0, size, ring)?;
        }
        // From here on it may interrupt, and then the service routine must know it.
        self.presence.come_back();
        self.transport.driver_ok();
        self.off.store(false, Ordering::Release);
        self.restore(level, downloads).inspect_err(|_| {
            _ = self.transport.reset(&self.kernel, level);
            self.off.store(true, Ordering::Release);
            self.presence.leave(|| self.kernel.pause(level, 1));
            downloads.iter_mut().for_each(|download| download.on_card = None);
        })?;
        self.midi_out.resume(level.into(), &self.line(midi_out::QUEUE));
        Ok(())
    }

    /// Tells a new session what the old one knew.
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
        if let Some(state) = self.midi_in.state(level.into()) {
            self.open_capture_on_card(level)?;
            self.set_stream_state(level, CAPTURE_STREAM, state)?;
        }
        for id in 0..midi_out::STREAMS as u32 {
            if let Some(state) = self.midi_out.state_of(level.into(), id) {
                self.open_render_on_card(level, id)?;
                self.set_stream_state(level, id, state)?;
            }
        }
        Ok(())
    }

    /// Sends every download again, in order.
    fn restore_downloads(&self, level: Passive, downloads: &mut List<K::Dma>) -> Result<(), CardError> {
        for download in downloads.iter_mut() {
            match self.send_download(level, &download.parcel) {
                Ok(on_card) => download.on_card = Some(on_card),
                Err((error @ CardError::Control(ControlError::Refused(_)), Parcelled::Returned)) => {
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
