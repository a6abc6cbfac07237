//! Why an image was not built.

use std::path::PathBuf;

use super::media::MediaError;
use super::phase::Phase;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::machine::MachineError;

/// What stopped a build that had begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The guest did not start from the disc.
    #[error(
        "the guest read no more than its boot sector from the disc in {minutes} minutes, while a key was pressed each second"
    )]
    NoPrompt {
        /// The limit.
        minutes: String,
    },
    /// Nothing moves.
    #[error("nothing has moved on disk, disc, screen or COM1 for {minutes} minutes: it waits for a person, or hangs")]
    Still {
        /// The limit.
        minutes: String,
    },
    /// The phase takes too long.
    #[error("it was not done after {minutes} minutes, though something still moves")]
    TooLong {
        /// The limit.
        minutes: String,
    },
    /// It restarts again and again.
    #[error("the guest has restarted {count} times and has not come to its first logon")]
    Restarts {
        /// How often.
        count: u32,
    },
    /// The guest has turned itself off too early.
    #[error("the guest has turned itself off")]
    Off,
    /// The guest has crashed.
    #[error("the guest has crashed: {how}")]
    Crashed {
        /// How that was found.
        how: String,
    },
    /// Secure Boot is on.
    #[error("Secure Boot is on in the guest, and Windows takes no test signature with it")]
    SecureBoot,
    /// A step of `setup.cmd` failed.
    #[error("the step {step} of setup.cmd failed{code}", code = if code.is_empty() { String::new() } else { format!(" with {code}") })]
    Step {
        /// The step.
        step: String,
        /// The exit code of its command.
        code: String,
    },
    /// The agent did not come.
    #[error("the agent has not said that it is ready in {minutes} minutes")]
    NoAgent {
        /// The limit.
        minutes: String,
    },
    /// The agent does not answer.
    #[error("the agent said that it is ready, and has not answered {request} in {minutes} minutes")]
    Silent {
        /// The request.
        request: &'static str,
        /// The limit.
        minutes: String,
    },
    /// The agent refuses a request.
    #[error("the agent has refused {request}: {reason}")]
    Refused {
        /// The request.
        request: &'static str,
        /// What it says.
        reason: String,
    },
    /// The guest does not turn itself off.
    #[error("the guest was told to turn itself off, and is on after {minutes} minutes")]
    StaysOn {
        /// The limit.
        minutes: String,
    },
    /// The agent is another version.
    #[error("the agent speaks version {theirs} of the protocol, and this harness version {ours}")]
    Version {
        /// The agent's.
        theirs: u16,
        /// The harness's.
        ours: u16,
    },
    /// A disk cannot be written.
    #[error("{} ({device})", if *full { "the disk of the host is full" } else { "the host cannot write a disk of the guest" })]
    Disk {
        /// Whether the host's disk is full.
        full: bool,
        /// The device, as QEMU names it.
        device: String,
    },
    /// QEMU has ended.
    #[error("QEMU has ended: {ended}")]
    Qemu {
        /// How, and the end of its log.
        ended: String,
    },
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// Why an image was not built, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The disc is none, or not known.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A system is not installed unattended here.
    #[error("{system} is identified, but not installed unattended here")]
    NoAnswerFile {
        /// The system.
        system: String,
    },
    /// The edition is not said, or not on the disc.
    #[error("{}; the disc has {known}", match wanted { Some(wanted) => format!("no edition, or more than one, is called {wanted:?}"), None => "the disc has more than one edition".into() })]
    Edition {
        /// The edition that was asked for.
        wanted: Option<String>,
        /// Those of the disc.
        known: String,
    },
    /// A product key is needed.
    #[error("Setup of {system} asks for a product key, and none is named")]
    NoKey {
        /// The system.
        system: String,
    },
    /// A key has another form.
    #[error("{key:?} is no product key: it has not five groups of five letters or digits")]
    KeyForm {
        /// What was named.
        key: String,
    },
    /// A folder is no package.
    #[error("{folder} is no driver package: {reason}", folder = folder.display())]
    NoPackage {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no agent.
    #[error("there is no agent for the image: {reason}")]
    NoAgent {
        /// Why.
        reason: String,
    },
    /// A name is none.
    #[error(
        "{name:?} is no name of an image: it has other characters than letters, digits, '.', '_' and '-', or begins with '.' or '-'"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// An image is there already.
    #[error("there is an image {name} already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// There is a half-made image.
    #[error("there is a half-made image {name}, which stopped in the phase {phase}")]
    HalfMade {
        /// Its name.
        name: String,
        /// Where it stopped.
        phase: &'static str,
    },
    /// There is no such image.
    #[error("there is no {}image {name}", if *half { "half-made " } else { "" })]
    Absent {
        /// Its name.
        name: String,
        /// Whether a half-made one was meant.
        half: bool,
    },
    /// A build goes on with another disc.
    #[error("{name} was begun with another disc, {begun}")]
    OtherDisc {
        /// The image.
        name: String,
        /// The disc, as it was identified.
        begun: String,
    },
    /// Another process builds it.
    #[error("another process builds {name}")]
    Busy {
        /// The image.
        name: String,
    },
    /// A manifest is none.
    #[error("{path} is no manifest of an image: {reason}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An image is not as it was made.
    #[error("{name} is not as it was made: {reason}")]
    Changed {
        /// The image.
        name: String,
        /// The difference.
        reason: String,
    },
    /// The disk has too little room.
    #[error("the image may take {needed_gib} GiB under {path}, and {free_gib} GiB are free", path = path.display())]
    Room {
        /// The folder.
        path: PathBuf,
        /// What it may take.
        needed_gib: u64,
        /// What is free.
        free_gib: u64,
    },
    /// A limit is none.
    #[error("{text:?} is no limit; it is NAME=MINUTES with one of {known}")]
    Limit {
        /// What was named.
        text: String,
        /// The names.
        known: String,
    },
    /// The environment names no folder for images.
    #[error("there is no folder for images: neither XDG_DATA_HOME nor HOME names one")]
    NoHome,
    /// The build stopped.
    #[error(
        "{name}, phase {phase} ({doing}): {stop}{}",
        match screen { Some(screen) => format!("; the screen is {}", screen.display()), None => String::new() },
        phase = phase.name(), doing = phase.doing()
    )]
    Stopped {
        /// The image.
        name: String,
        /// The phase.
        phase: Phase,
        /// Why.
        stop: Stop,
        /// The screen, as it was then.
        screen: Option<PathBuf>,
    },
    /// QEMU did not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Diagnosed for ImageError {
    fn class(&self) -> Class {
        match self {
            Self::Media(error) => error.class(),
            Self::Machine(error) => error.class(),
            Self::File(error) => error.class(),
            Self::NoAnswerFile { .. }
            | Self::Edition { .. }
            | Self::NoKey { .. }
            | Self::KeyForm { .. }
            | Self::NoPackage { .. }
            | Self::OtherDisc { .. } => Class::BadInput,
            Self::NoAgent { .. } => Class::MissingArtefact,
            Self::Name { .. }
            | Self::Exists { .. }
            | Self::HalfMade { .. }
            | Self::Absent { .. }
            | Self::Limit { .. } => Class::Usage,
            Self::Busy { .. } | Self::Manifest { .. } | Self::Changed { .. } | Self::Room { .. } | Self::NoHome => {
                Class::Host
            }
            Self::Stopped { stop, .. } => match stop {
                Stop::NoPrompt { .. } => Class::NotStarted,
                Stop::Still { .. } | Stop::Off | Stop::StaysOn { .. } => Class::InstallerStuck,
                Stop::TooLong { .. } => Class::Timeout,
                Stop::Restarts { .. } => Class::RestartLoop,
                Stop::Crashed { .. } => Class::GuestCrashed,
                Stop::SecureBoot | Stop::Step { .. } => Class::SetupFailed,
                Stop::NoAgent { .. } | Stop::Silent { .. } | Stop::Refused { .. } | Stop::Version { .. } => {
                    Class::AgentSilent
                }
                Stop::Disk { .. } => Class::Host,
                Stop::Qemu { .. } => Class::QemuFailed,
                Stop::Interrupted => Class::Interrupted,
            },
        }
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Media(error) => return error.remedy(),
            Self::Machine(error) => return error.remedy(),
            Self::File(error) => return error.remedy(),
            Self::NoAnswerFile { .. } => {
                "name a disc of Windows 7 to 11 or of Windows Server 2008 R2 or later, for x86 or x64; images/windows/README.md says what is missing".into()
            }
            Self::Edition { .. } => "name one by --edition: its number, name or identifier".into(),
            Self::NoKey { .. } | Self::KeyForm { .. } => "name the key of your licence by --product-key".into(),
            Self::NoPackage { .. } => "make one with `package`, and name its folder by --package".into(),
            Self::NoAgent { .. } => "name the agent's program by --agent".into(),
            Self::Name { .. } => "name it by --name, such as win11".into(),
            Self::Exists { name } => format!("remove it first (`image remove {name}`), or name another by --name"),
            Self::HalfMade { name, .. } => format!("go on with --resume, or remove it first (`image remove {name}`)"),
            Self::Absent { half: true, .. } => "build it without --resume; `image list` shows what there is".into(),
            Self::Absent { .. } => "`image list` shows what there is".into(),
            Self::OtherDisc { .. } => "name the same disc, or build under another name".into(),
            Self::Busy { .. } => "wait until it has ended, or build under another name".into(),
            Self::Manifest { .. } | Self::Changed { .. } => "remove the image and build it again".into(),
            Self::Room { .. } => "free some space, name a smaller --disk, or set XDG_DATA_HOME to a folder on a larger disk".into(),
            Self::Limit { .. } => "see `image build --help`".into(),
            Self::NoHome => "set HOME or XDG_DATA_HOME".into(),
            Self::Stopped { stop, name, .. } => return stop.remedy(name),
        })
    }
}

impl Stop {
    fn remedy(&self, name: &str) -> Option<String> {
        let resume = "then go on with --resume";
        Some(match self {
            Self::NoPrompt { .. } => {
                "look at the screen: if the disc starts with a BIOS only (`image info FILE` says so), name --firmware bios; if it is slow, raise --limit start".into()
            }
            Self::Still { .. } => format!(
                "look at the screen: a question there means that Setup has not taken the answer file, which payload.img has; raise --limit still if it only is slow, {resume}"
            ),
            Self::TooLong { .. } => format!("raise the --limit of this phase, {resume}"),
            Self::Restarts { .. } | Self::Off | Self::Crashed { .. } => format!(
                "look at the screen and at console.log; if another edition or more --memory does not help, build it anew (`image remove {name}` first)"
            ),
            Self::SecureBoot => "use firmware without enforced Secure Boot: unset DMUS_OVMF, or name another folder with it".into(),
            Self::Step { .. } => format!("look at the screen and at C:\\dmus-setup.log in the guest; correct the package or the agent, then build it anew (`image remove {name}` first)"),
            Self::NoAgent { .. } | Self::Silent { .. } => format!("raise --limit agent or answer if the guest is slow, {resume}; else try the agent's program by hand in the guest"),
            Self::Refused { .. } => format!("look at the screen; name the agent of this version by --agent, and build it anew (`image remove {name}` first)"),
            Self::StaysOn { .. } => format!("look at the screen; raise --limit off if it still works, {resume}"),
            Self::Version { .. } => format!("name the agent of this version by --agent, and build it anew (`image remove {name}` first)"),
            Self::Disk { full: true, .. } => format!("free some space, {resume}"),
            Self::Disk { .. } => format!("look at qemu.log and the host's kernel log, {resume}"),
            Self::Qemu { .. } => format!("look at qemu.log, {resume}"),
            Self::Interrupted => "go on with --resume".into(),
        })
    }
}
