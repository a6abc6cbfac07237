//! The arguments of the command line.

use std::num::NonZeroUsize;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use card_control::{Clock, Sandbox, Transport};
use card_spec::limits::{VOICES_DEFAULT, VOICES_MAX};
use card_trace::TraceOption;
use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use dls_synth::Kernel;

use crate::session::render::{RENDER_BLOCK_DEFAULT, RENDER_BLOCK_MAX};
use crate::transport::Place;

/// A virtual DirectMusic synthesizer card for QEMU.
///
/// Start it, then QEMU with guest memory that it can share:
///
///   vhost-device-dmus --socket-path card.sock &
///   qemu-system-x86_64 -machine q35,memory-backend=mem -smp 1,maxcpus=2
///     -object memory-backend-memfd,id=mem,size=128M,share=on
///     -chardev socket,id=card,path=card.sock
///     -device vhost-user-test-device-pci,chardev=card,virtio-id=39,num_vqs=5,vq_size=128,config_size=160
///
/// With --transport vfio-user, in place of the last two lines:
///
///   -device {"driver":"vfio-user-pci","socket":{"type":"unix","path":"card.sock"}}
#[derive(Debug, Parser)]
#[command(name = "vhost-device-dmus", version, after_help = super::exit::HELP, verbatim_doc_comment)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do instead of serving QEMU.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// How to serve QEMU.
    #[command(flatten)]
    pub serve: Serve,

    /// Confine the process once it is set up: system calls by thread, files, network, descriptors, core dumps.
    #[arg(long, value_enum, default_value = "on", global = true)]
    pub sandbox: Sandbox,
}

/// What to do instead of serving QEMU.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Render a list of events to a WAV file, without a machine.
    Render(Render),
    /// List instrument banks, convert them, make the built-in one.
    #[command(subcommand)]
    Bank(BankCommand),
    /// Give a card what a recorded one got, without QEMU, and record what it does.
    Replay(Replay),
}

/// What to do with a bank.
#[derive(Debug, Subcommand)]
pub enum BankCommand {
    /// List instruments, regions and articulations, in musical units.
    Info {
        /// The bank: .dls, .sf2, .rmi, .xmf or .mxmf.
        file: PathBuf,
        /// The instruments only.
        #[arg(long)]
        brief: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a bank as a DLS level 2 file.
    Convert {
        /// The bank: .dls, .sf2, .rmi, .xmf or .mxmf.
        from: PathBuf,
        /// The file to write.
        to: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write the song that a file carries with its bank.
    Song {
        /// The file: .rmi, .xmf or .mxmf.
        from: PathBuf,
        /// The Standard MIDI File to write.
        to: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make the built-in bank by its code, and write it as a DLS file.
    Build {
        /// The file to write.
        to: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Serve QEMU.
#[derive(Debug, Args)]
pub struct Serve {
    /// Listen for QEMU on this path.
    #[arg(long, value_name = "PATH", conflicts_with = "fd")]
    pub socket_path: Option<PathBuf>,

    /// Use this descriptor, which the parent process has opened: a listening unix socket, or a connected one.
    #[arg(long, value_name = "N")]
    pub fd: Option<RawFd>,

    /// Be the back-end of a guard that runs already: of vhost-user-guard --backend-listen PATH. QEMU connects to the guard,
    /// and lives on when this process ends; another one can then take its place.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["socket_path", "fd", "persistent"])]
    pub guard: Option<PathBuf>,

    /// Serve one QEMU after the other, instead of ending with the first.
    #[arg(long)]
    pub persistent: bool,

    /// What moves the card's time.
    #[arg(long, value_enum, default_value_t = Clock::Realtime)]
    pub clock: Clock,

    /// Write everything that is rendered to a sound file: wav:FILE.
    #[arg(long, value_name = "wav:FILE")]
    pub line_out: Option<String>,

    /// Answer commands, one JSON object a line, on this unix socket.
    #[arg(long, value_name = "PATH", long_help = crate::control_socket::help())]
    pub control: Option<PathBuf>,

    /// Record every act that the guest can see in this ring file, which outlasts this process; read it with dmus trace. Its size
    /// is 16M unless given, some 500,000 records; pcm records the sound of wave buffers too, and not only its hash.
    #[arg(long, value_name = "FILE[,size=BYTES][,pcm]")]
    pub trace: Option<TraceOption>,

    /// How the card is attached to QEMU.
    #[arg(long, value_enum, default_value_t = Transport::VhostUser)]
    pub transport: Transport,

    /// Print the features of this back-end as JSON, and exit.
    #[arg(long)]
    pub print_capabilities: bool,

    /// The bank and the synthesizer.
    #[command(flatten)]
    pub sound: Sound,
}

/// The bank and the synthesizer.
#[derive(Debug, Args)]
pub struct Sound {
    /// Play from this DLS file instead of the built-in General MIDI bank.
    #[arg(long, value_name = "FILE")]
    pub bank: Option<PathBuf>,

    /// Most voices that a driver can have.
    #[arg(long, value_name = "N", default_value_t = VOICES_MAX,
          value_parser = RangedU64ValueParser::<u16>::new().range(1..=VOICES_MAX as u64))]
    pub voices: u16,

    /// Frames rendered at a time. It changes speed, never sound.
    #[arg(long, value_name = "N", default_value_t = RENDER_BLOCK_DEFAULT,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=RENDER_BLOCK_MAX as u64))]
    pub render_block: usize,
}

/// Render without a machine.
#[derive(Debug, Args)]
pub struct Render {
    /// The list of events, or - for standard input.
    ///
    /// Its first line is `# dmus event list 1`. Then one event a line: its time in units of 100 ns, its channel group
    /// (from 1; 0 is all of them), and the bytes of one MIDI message in hexadecimal. Times ascend; events of one time
    /// play in the order of their lines. Empty lines and lines that begin with # are passed over.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub events: PathBuf,

    /// The WAV file to write: 16 bits, stereo. It appears when it is complete.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Sample rate in Hz.
    #[arg(long, value_name = "HZ", default_value_t = card_spec::limits::SAMPLE_RATE_DEFAULT,
          value_parser = RangedU64ValueParser::<u32>::new()
              .range(card_spec::limits::SAMPLE_RATE_MIN as u64..=card_spec::limits::SAMPLE_RATE_MAX as u64))]
    pub rate: u32,

    /// How many frames to render.
    #[arg(long, value_name = "N", conflicts_with = "tail")]
    pub frames: Option<u64>,

    /// Without --frames: how many seconds to render after the last event.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = seconds)]
    pub tail: f64,

    /// Channel groups.
    #[arg(long, value_name = "N", default_value_t = card_spec::limits::CHANNEL_GROUPS_DEFAULT,
          value_parser = RangedU64ValueParser::<u16>::new().range(1..=card_spec::limits::CHANNEL_GROUPS_MAX as u64))]
    pub channel_groups: u16,

    /// Voices, as a driver would request them.
    #[arg(long, value_name = "N", default_value_t = VOICES_DEFAULT,
          value_parser = RangedU64ValueParser::<u16>::new().range(1..=VOICES_MAX as u64))]
    pub voices: u16,

    /// Play from this DLS file instead of the built-in General MIDI bank.
    #[arg(long, value_name = "FILE")]
    pub bank: Option<PathBuf>,

    /// Frames rendered at a time. It changes speed, never sound.
    #[arg(long, value_name = "N", default_value_t = RENDER_BLOCK_DEFAULT,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=RENDER_BLOCK_MAX as u64))]
    pub render_block: usize,

    /// The instruction set of the inner loops: auto, scalar, sse4.1, avx2, avx512 or neon. It changes speed, never
    /// sound.
    #[arg(long, value_name = "NAME", default_value_t = Kernel::Auto)]
    pub kernel: Kernel,

    /// Threads that render. They change speed, never sound.
    #[arg(long, value_name = "N", default_value = "1")]
    pub threads: NonZeroUsize,

    /// Also write one file for each channel that plays, before reverb and chorus, and one for what those add: the sum
    /// of the files is the mix. They are WAV files of 32-bit floating point samples.
    #[arg(long, value_name = "FOLDER")]
    pub stems: Option<PathBuf>,

    /// Print the progress, one JSON object a line on standard output, before the result.
    #[arg(long)]
    pub progress: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Replay a recording.
#[derive(Debug, Args)]
pub struct Replay {
    /// The recording, which a card has made with --trace.
    pub recording: PathBuf,

    /// The trace to write: what this card does. dmus trace replay compares both.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// The bank that the recording was made with, if it is not the built-in one.
    #[arg(long, value_name = "FILE")]
    pub bank: Option<PathBuf>,

    /// Leave injected faults out.
    #[arg(long)]
    pub without_faults: bool,

    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl Serve {
    /// Returns where QEMU connects, if the command line names it.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.socket_path.clone().map(Place::Path).or(self.fd.map(Place::Descriptor))
    }

    /// Returns the sound file that the command line names, if it does so rightly.
    #[must_use]
    pub fn line_out(&self) -> Option<&Path> {
        self.line_out.as_deref().and_then(|text| text.strip_prefix("wav:")).map(Path::new)
    }
}

/// Parses a number of seconds from 0 to a day.
///
/// # Errors
/// Why the text is no such number, as a sentence.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) => Err("between 0 and 86400 seconds are possible".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_shows_qemus_option_for_the_card() {
        let help = Arguments::command().render_long_help().to_string();
        assert!(help.contains(&card_control::qemu::device_option("card")), "{help}");
    }

    #[test]
    fn a_path_and_a_descriptor_exclude_each_other() {
        assert!(Arguments::try_parse_from(["x", "--socket-path", "a", "--fd", "3"]).is_err());
        let path = Arguments::try_parse_from(["x", "--socket-path", "a"]).unwrap();
        assert_eq!(path.serve.place(), Some(Place::Path("a".into())));
        let fd = Arguments::try_parse_from(["x", "--fd", "3"]).unwrap();
        assert_eq!(fd.serve.place(), Some(Place::Descriptor(3)));
    }

    #[test]
    fn refuses_blocks_of_no_frame_or_beyond_the_bound() {
        for block in ["0", "4097", "x"] {
            assert!(Arguments::try_parse_from(["x", "--fd", "3", "--render-block", block]).is_err());
        }
    }
}
