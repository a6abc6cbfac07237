//! Plays PCM on the host's output device without a player: the feature `cpal`.

use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, Device, ErrorKind, FromSample, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig};

use super::pcm::{Pcm, PcmFormat};
use crate::host::interrupt;

/// How often an interruption is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The longest time in which a device that plays asks for nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the output device does not play.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is none.
    #[error("the host has no output device for sound")]
    None,
    /// It cannot play this format.
    #[error("the output device {device} takes no PCM of {format}")]
    Format {
        /// The device.
        device: String,
        /// The format.
        format: PcmFormat,
    },
    /// It fails.
    #[error("the output device {device} does not play: {source}")]
    Failed {
        /// The device.
        device: String,
        /// The host's error.
        source: cpal::Error,
    },
    /// It asks for no sound any more.
    #[error("the output device {0} has asked for no sound for {seconds} s", seconds = PATIENCE.as_secs())]
    Stalled(String),
}

/// How playing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All of it was played.
    Whole,
    /// The user has interrupted.
    Interrupted,
}

/// What the device's thread tells.
enum Said {
    /// It has asked for sound, and there is more.
    Asked,
    /// It has all of it, and the last of it is heard after this time.
    Last(Duration),
    /// It cannot go on.
    Failed(cpal::Error),
}

/// Plays to the end.
///
/// # Errors
/// [`DeviceError`], when the host has no output device, or it does not play.
pub fn play(pcm: Pcm) -> Result<Ended, DeviceError> {
    let device = cpal::default_host().default_output_device().ok_or(DeviceError::None)?;
    let name = device.description().map_or_else(|_| "of no name".into(), |described| described.name().to_owned());
    let failed = |source| DeviceError::Failed { device: name.clone(), source };
    let format = pcm.format;
    let (config, sample_format) = configuration(&device, format)
        .map_err(&failed)?
        .ok_or_else(|| DeviceError::Format { device: name.clone(), format })?;
    // The device never waits for the reader: what it says twice is said once.
    let (said, heard) = mpsc::sync_channel(4);
    let stream = match sample_format {
        SampleFormat::F32 => stream::<f32>(&device, config, pcm, said),
        SampleFormat::I32 => stream::<i32>(&device, config, pcm, said),
        _ => stream::<i16>(&device, config, pcm, said),
    }
    .map_err(&failed)?;
    stream.play().map_err(&failed)?;
    let mut silent = Duration::ZERO;
    loop {
        if interrupt::requested() {
            return Ok(Ended::Interrupted);
        }
        match heard.recv_timeout(LOOK_EVERY) {
            Ok(Said::Asked) => silent = Duration::ZERO,
            Ok(Said::Last(after)) => {
                std::thread::sleep(after.min(PATIENCE));
                return Ok(Ended::Whole);
            }
            Ok(Said::Failed(error)) => return Err(failed(error)),
            Err(RecvTimeoutError::Timeout) if silent < PATIENCE => silent += LOOK_EVERY,
            Err(_) => return Err(DeviceError::Stalled(name)),
        }
    }
}

/// Returns a configuration that the device has for this format of PCM; `None` when it has none.
fn configuration(device: &Device, format: PcmFormat) -> Result<Option<(StreamConfig, SampleFormat)>, cpal::Error> {
    let wanted = [SampleFormat::I16, SampleFormat::F32, SampleFormat::I32];
    let ranges = device.supported_output_configs()?.filter(|range| {
        let rates = range.min_sample_rate()..=range.max_sample_rate();
        range.channels() == format.channels && rates.contains(&format.sample_rate)
    });
    let place = |sample_format| wanted.iter().position(|wanted| *wanted == sample_format);
    let best = ranges.filter_map(|range| Some((place(range.sample_format())?, range.sample_format()))).min();
    Ok(best.map(|(_, sample_format)| {
        let config = StreamConfig {
            channels: format.channels,
            sample_rate: format.sample_rate,
            buffer_size: BufferSize::Default,
        };
        (config, sample_format)
    }))
}

/// Makes a stream that plays the samples, then silence.
fn stream<T: SizedSample + FromSample<i16>>(
    device: &Device,
    config: StreamConfig,
    pcm: Pcm,
    said: SyncSender<Said>,
) -> Result<cpal::Stream, cpal::Error> {
    let fails = said.clone();
    let mut samples = pcm.samples.into_iter();
    let frame_time = Duration::from_secs(1) / config.sample_rate;
    let channels = usize::from(config.channels).max(1);
    let fill = move |buffer: &mut [T], info: &OutputCallbackInfo| {
        for place in buffer.iter_mut() {
            *place = T::from_sample(samples.next().unwrap_or(0));
        }
        let last = samples.len() == 0;
        let timestamp = info.timestamp();
        let delay = timestamp.playback.duration_since(timestamp.callback);
        let whole = delay + frame_time * u32::try_from(buffer.len() / channels).unwrap_or(u32::MAX);
        let _ = said.try_send(if last { Said::Last(whole) } else { Said::Asked });
    };
    let fail = move |error: cpal::Error| match error.kind() {
        // Sound goes on after these.
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        _ => _ = fails.try_send(Said::Failed(error)),
    };
    device.build_output_stream(config, fill, fail, None)
}
