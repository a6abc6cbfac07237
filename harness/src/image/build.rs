//! The build of an image: a machine is started from the disc, watched through its phases, and its disk kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_protocol::{Event as GuestEvent, Level, Reply, Request, ToGuest, ToHost, VERSION};

use super::answer::Choice;
use super::error::{ImageError, Stop};
use super::limits::{ANSWER, CRASH, Limits, OFF, STILL};
use super::media::{Architecture, Family, Media};
use super::payload::{self, Package, PayloadFile};
use super::phase::Phase;
use super::said::Said;
use super::store::{Image, Manifest, Store};
use super::watch::{Sign, Watch};
use crate::event::{Event, Observer};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::machine::Accelerator;
use crate::machine::installer::{Happened, Installer, InstallerFirmware, InstallerOptions, create_disk};
use crate::machine::screen;
use crate::provision::OvmfFiles;

/// The interval at which the guest is looked at.
const POLL: Duration = Duration::from_millis(50);

/// The interval at which the prompt's key is pressed: the prompt of a disc stands for five seconds.
const PRESS: Duration = Duration::from_secs(1);

/// Bytes that a guest reads from the disc when it has started from it: its boot program has less, its boot image some hundred times that.
const STARTED_BYTES: u64 = 8 << 20;

/// Most restarts before the first logon: set-up needs two or three, and updates on a disc some more.
const RESTARTS_MAX: u32 = 8;

/// Most GiB that are asked for on the host: a Windows with its page file takes some twenty.
const ROOM_GIB: u64 = 24;

/// Files in the folder of an image.
const PAYLOAD: &str = "payload.img";
const VARIABLES: &str = "variables.fd";
const LOWEST: &str = "disk.0.qcow2";

/// What a build is to do.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The disc.
    pub disc: PathBuf,
    /// The edition: number, name or identifier.
    pub edition: Option<String>,
    /// The product key.
    pub key: Option<String>,
    /// The image's name.
    pub name: String,
    /// The folder of the driver's package.
    pub package: PathBuf,
    /// The agent's program, where one is named; else [`Plan::set_agent`] takes it.
    pub agent: Option<PathBuf>,
    /// Whether the machine has UEFI; without, what disc and Windows allow.
    pub uefi: Option<bool>,
    /// Memory of the machine in MiB; without, what the Windows asks for.
    pub memory_mib: Option<u32>,
    /// Size of the disk in GiB.
    pub disk_gib: u64,
    /// How long each phase may take.
    pub limits: Limits,
    /// Whether a half-made image is gone on with.
    pub resume: bool,
}

/// A build whose input has been checked.
#[derive(Clone, Debug)]
pub struct Plan {
    options: BuildOptions,
    /// The disc.
    pub media: Media,
    /// What is installed from it.
    pub choice: Choice,
    /// Whether the machine has UEFI.
    pub uefi: bool,
    package: Package,
    agent: Option<PayloadFile>,
}

impl Plan {
    /// Identifies the disc, chooses the edition, and reads package and agent.
    ///
    /// # Errors
    /// [`ImageError`] for the first of them that cannot be used.
    pub fn new(options: BuildOptions) -> Result<Self, ImageError> {
        let media = Media::identify(&options.disc)?;
        Self::of(options, media)
    }

    /// Does the same for a disc that has been identified.
    ///
    /// # Errors
    /// [`ImageError`] for the first of edition, key, package and agent that cannot be used.
    pub fn of(options: BuildOptions, media: Media) -> Result<Self, ImageError> {
        let choice = Choice::new(&media, options.edition.as_deref(), options.key.as_deref())?;
        let package = Package::read(&options.package)?;
        let agent = options.agent.as_deref().map(payload::agent).transpose()?;
        // Windows 7 starts by UEFI only with more help; 32-bit Windows needs firmware of 32 bit.
        let able =
            choice.family >= Family::Eight && choice.image.architecture == Architecture::Amd64 && media.boots.uefi;
        let uefi = options.uefi.unwrap_or(able);
        Ok(Self { options, media, choice, uefi, package, agent })
    }

    /// Returns whether the agent's program is still to be named.
    #[must_use]
    pub const fn lacks_agent(&self) -> bool {
        self.agent.is_none()
    }

    /// Takes the agent's program.
    ///
    /// # Errors
    /// [`ImageError::NoAgent`] and [`ImageError::File`] for a file that is none.
    pub fn set_agent(&mut self, program: &Path) -> Result<(), ImageError> {
        self.agent = Some(payload::agent(program)?);
        Ok(())
    }

    fn memory_mib(&self) -> u32 {
        // Windows 11 asks for 4 GiB, 10 for 2 (Microsoft's pages of requirements); less makes set-up slow.
        self.options.memory_mib.unwrap_or(if self.choice.family >= Family::Ten { 4096 } else { 2048 })
    }

    /// Returns the files of the payload.
    fn files(&self, firmware: &InstallerFirmware) -> Vec<PayloadFile> {
        let script = self.choice.script(&self.package.inf, self.package.certificates);
        let mut files = vec![
            PayloadFile::new("Autounattend.xml", self.choice.answer_file(firmware)),
            PayloadFile::new("setup.cmd", script),
        ];
        files.extend(self.agent.clone());
        files.extend(self.package.files.iter().cloned());
        files
    }
}

/// A build.
pub struct Build<'a> {
    plan: Plan,
    store: &'a Store,
    observer: &'a dyn Observer,
    folder: PathBuf,
    manifest: Manifest,
    machine: InstallerOptions,
    /// The file of the disk that the guest writes now.
    active: String,
    phase: Phase,
    /// When the phase began, or the agent was asked.
    since: Instant,
    /// The request that the agent has not answered.
    asked: Option<&'static str>,
    /// Whether the script has said that all steps are done.
    done: bool,
    pressed: Option<Instant>,
    _lock: File,
}

impl<'a> Build<'a> {
    /// Makes the folder of the image, or finds the half-made one.
    ///
    /// # Errors
    /// [`ImageError::Exists`], [`ImageError::HalfMade`], [`ImageError::Absent`] and [`ImageError::OtherDisc`] when the store has not what
    /// the options say, [`ImageError::NoAgent`] for a plan without one, [`ImageError::Room`] on a disk with too little room,
    /// [`ImageError::Busy`] beside another build of it.
    pub fn new(
        plan: Plan,
        store: &'a Store,
        (qemu, accelerator): (&Path, Accelerator),
        ovmf: Option<&OvmfFiles>,
        observer: &'a dyn Observer,
    ) -> Result<Self, ImageError> {
        if plan.lacks_agent() {
            return Err(ImageError::NoAgent { reason: "none is named".into() });
        }
        let name = plan.options.name.clone();
        if store.open(&name, false)?.is_some() {
            return Err(ImageError::Exists { name });
        }
        let (folder, lock) = store.claim(&name)?;
        let begun = store.open(&name, true)?;
        let manifest = match begun {
            Some(begun) if !plan.options.resume => {
                return Err(ImageError::HalfMade { name, phase: begun.manifest.phase.name() });
            }
            None if plan.options.resume => {
                // What the claim has made belongs to no build.
                drop(lock);
                store.remove(&name)?;
                return Err(ImageError::Absent { name, half: true });
            }
            Some(begun)
                if begun.manifest.fingerprint != plan.media.fingerprint
                    || begun.manifest.edition != plan.choice.image =>
            {
                return Err(ImageError::OtherDisc {
                    name,
                    begun: format!("{}, {}", begun.manifest.disc, begun.manifest.edition.name),
                });
            }
            Some(begun) => begun.manifest,
            None => Manifest {
                version: Manifest::version(),
                disc: plan.media.to_string(),
                fingerprint: plan.media.fingerprint.clone(),
                edition: plan.choice.image.clone(),
                firmware: if plan.uefi { "uefi" } else { "bios" }.into(),
                memory_mib: plan.memory_mib(),
                disk_gib: plan.options.disk_gib,
                phase: Phase::Start,
                layers: Vec::new(),
                variables: None,
                restarts: 0,
                guest: None,
                qemu: String::new(),
                at: now(),
                bytes: None,
            },
        };
        if manifest.layers.is_empty() {
            let made = need_room(&folder, manifest.disk_gib.min(ROOM_GIB));
            if let Err(error) = made {
                drop(lock);
                store.remove(&name)?;
                return Err(error);
            }
        }
        let firmware = match ovmf {
            Some(files) if manifest.firmware == "uefi" => {
                InstallerFirmware::Uefi { code: files.code.clone(), variables: folder.join(VARIABLES) }
            }
            _ => InstallerFirmware::Bios,
        };
        if let (InstallerFirmware::Uefi { variables, .. }, Some(files)) = (&firmware, ovmf) {
            let from = manifest.variables.as_ref().map_or_else(|| files.variables.clone(), |name| folder.join(name));
            copy(&from, variables)?;
        }
        let payload = folder.join(PAYLOAD);
        payload::write(&payload, &plan.files(&firmware))?;
        let target = folder.join(manifest.layers.last().map_or(LOWEST, String::as_str));
        let machine = InstallerOptions {
            qemu: qemu.into(),
            accelerator,
            firmware,
            memory_mib: manifest.memory_mib,
            target,
            disc: Some(plan.options.disc.clone()),
            payload,
            log: folder.join("qemu.log"),
        };
        let (phase, active) = (manifest.phase, format!("disk.{}.qcow2", manifest.layers.len()));
        Ok(Self {
            plan,
            store,
            observer,
            folder,
            manifest,
            machine,
            active,
            phase,
            since: Instant::now(),
            asked: None,
            done: false,
            pressed: None,
            _lock: lock,
        })
    }

    /// Builds the image.
    ///
    /// # Errors
    /// [`ImageError::Stopped`] with the screen where the guest does not come to its end, [`ImageError::Machine`] when QEMU does not start,
    /// [`ImageError::File`] when the host cannot write. The half-made image is kept.
    pub fn run(mut self) -> Result<Image, ImageError> {
        Store::note(&self.folder, &self.manifest)?;
        let fresh = self.manifest.layers.is_empty();
        if fresh {
            let bytes = self.manifest.disk_gib << 30;
            create_disk(&self.machine.qemu, &self.machine.target, bytes, &self.machine.log)?;
        }
        let machine = Installer::start(&self.machine)?;
        self.manifest.qemu = machine.version().to_owned();
        let mut watch = Watch::new(machine, &self.folder)?;
        let begun = if fresh { Ok(()) } else { self.begin_layer(&mut watch) };
        let outcome = begun.and_then(|()| {
            self.enter(self.phase);
            watch.machine.go(false).map_err(|error| monitor(&error))?;
            self.watch_to_the_end(&mut watch)
        });
        match outcome {
            Ok(()) => {
                watch.machine.quit();
                self.finish()
            }
            Err(stop) => {
                let screen = watch.screen();
                let stop = crashed(stop, screen.as_deref());
                Err(ImageError::Stopped { name: self.plan.options.name.clone(), phase: self.phase, stop, screen })
            }
        }
    }

    fn watch_to_the_end(&mut self, watch: &mut Watch) -> Result<(), Stop> {
        loop {
            if interrupt::requested() {
                return Err(Stop::Interrupted);
            }
            for sign in watch.signs()? {
                match sign {
                    Sign::Said(said) => self.said(said)?,
                    Sign::Message(message) => self.message(message, watch)?,
                    Sign::Foreign(bytes) => {
                        self.say(&format!("{bytes} bytes of the agent's are no message of this protocol's version"));
                    }
                    Sign::Happened(Happened::Restart) => self.restart(watch)?,
                    Sign::Happened(Happened::Off) if matches!(self.asked, Some(SHUTDOWN | TURN_OFF)) => {
                        self.enter(Phase::Seal);
                        return if self.manifest.layers.is_empty() {
                            Ok(())
                        } else {
                            watch.machine.merge().map_err(|error| monitor(&error))
                        };
                    }
                    Sign::Happened(Happened::Off) => return Err(Stop::Off),
                    Sign::Happened(Happened::Panicked) => {
                        return Err(Stop::Crashed { how: "QEMU was told so by the guest".into() });
                    }
                    Sign::Happened(Happened::DiskError { full, device }) => return Err(Stop::Disk { full, device }),
                }
            }
            if self.phase == Phase::Start {
                if watch.disc_read() >= STARTED_BYTES {
                    self.enter(Phase::Copy);
                } else if self.pressed.is_none_or(|pressed| pressed.elapsed() >= PRESS) {
                    watch.machine.press("ret").map_err(|error| monitor(&error))?;
                    self.pressed = Some(Instant::now());
                }
            }
            self.limit(watch)?;
            std::thread::sleep(POLL);
        }
    }

    fn said(&mut self, said: Said) -> Result<(), Stop> {
        match said {
            Said::Begin => self.enter(Phase::SetUp),
            Said::Step(step) => self.say(&format!("set-up: {step}")),
            Said::Done => self.done = true,
            Said::Failed { step, .. } if step == "secure-boot" => return Err(Stop::SecureBoot),
            Said::Failed { step, code } => return Err(Stop::Step { step, code }),
        }
        Ok(())
    }

    fn message(&mut self, message: ToHost, watch: &mut Watch) -> Result<(), Stop> {
        match message {
            ToHost::Event(GuestEvent::Ready) if self.phase == Phase::Agent => {
                // An agent that was started anew has not heard what the one before was asked.
                match self.asked {
                    Some(TURN_OFF) => {}
                    Some(SHUTDOWN) => self.ask_shutdown(watch)?,
                    _ => self.ask_hello(watch)?,
                }
            }
            ToHost::Event(GuestEvent::Log { level: Level::Error, text, .. }) => self.say(&format!("the agent: {text}")),
            ToHost::Event(GuestEvent::BugCheck(check)) => {
                return Err(Stop::Crashed { how: format!("{} ({:#010x})", check.name, check.code) });
            }
            ToHost::Answer { result: Ok(Reply::Hello { version, guest, .. }), .. } if self.asked == Some(HELLO) => {
                if version != VERSION {
                    return Err(Stop::Version { theirs: version, ours: VERSION });
                }
                self.say(&format!("the agent answers: {guest}"));
                self.manifest.guest = Some(guest);
                self.ask_shutdown(watch)?;
            }
            ToHost::Answer { result: Ok(Reply::ProgramEnded { code: 0, .. }), .. } if self.asked == Some(SHUTDOWN) => {
                (self.asked, self.since) = (Some(TURN_OFF), Instant::now());
            }
            ToHost::Answer { result: Ok(Reply::ProgramEnded { code, output, .. }), .. }
                if self.asked == Some(SHUTDOWN) =>
            {
                let said = String::from_utf8_lossy(&output);
                return Err(Stop::Refused {
                    request: SHUTDOWN,
                    reason: format!("{SHUTDOWN_LINE} ended with {code}: {}", said.trim()),
                });
            }
            ToHost::Answer { result: Err(failure), .. } => {
                let request = self.asked.unwrap_or(HELLO);
                return Err(Stop::Refused { request, reason: failure.message });
            }
            // Progress and answers to what the agent before was asked.
            ToHost::Event(_) | ToHost::Answer { .. } => {}
        }
        Ok(())
    }

    fn ask(&mut self, watch: &mut Watch, id: u32, name: &'static str, request: Request) -> Result<(), Stop> {
        // Requests are few and short; what an agent does not take is what the limit for answers is for.
        if watch.send(&ToGuest { id, request }).is_err() {
            return Ok(());
        }
        // An agent that is started again and again has no more time for its answer.
        if self.asked != Some(name) {
            (self.asked, self.since) = (Some(name), Instant::now());
        }
        Ok(())
    }

    fn ask_hello(&mut self, watch: &mut Watch) -> Result<(), Stop> {
        self.ask(watch, 1, HELLO, Request::Hello { version: VERSION })
    }

    fn ask_shutdown(&mut self, watch: &mut Watch) -> Result<(), Stop> {
        let request = Request::RunProgram { line: SHUTDOWN_LINE.into(), limit_ms: SHUTDOWN_LIMIT_MS };
        self.ask(watch, 2, SHUTDOWN, request)
    }

    /// Keeps the disk as it is at a restart, and lets the guest go on.
    fn restart(&mut self, watch: &mut Watch) -> Result<(), Stop> {
        self.manifest.restarts += 1;
        if self.manifest.restarts > RESTARTS_MAX {
            return Err(Stop::Restarts { count: self.manifest.restarts });
        }
        let next = match self.phase {
            Phase::Copy => Phase::Configure,
            Phase::SetUp if self.done => Phase::Agent,
            same => same,
        };
        self.say(&format!("restart {} of the guest", self.manifest.restarts));
        if next > Phase::Copy {
            self.manifest.layers.push(self.active.clone());
            self.active = format!("disk.{}.qcow2", self.manifest.layers.len());
            self.begin_layer(watch)?;
            if let InstallerFirmware::Uefi { variables, .. } = &self.machine.firmware {
                let name = format!("variables.{}.fd", self.manifest.layers.len());
                copy(variables, &self.folder.join(&name)).map_err(|error| host(&error))?;
                self.manifest.variables = Some(name);
            }
            self.manifest.phase = next;
            Store::note(&self.folder, &self.manifest).map_err(|error| host(&error))?;
        }
        self.asked = None;
        if next != self.phase {
            self.enter(next);
        }
        watch.restarted();
        watch.machine.go(true).map_err(|error| monitor(&error))
    }

    /// Begins the active file of the disk on top of the last restart's.
    fn begin_layer(&self, watch: &mut Watch) -> Result<(), Stop> {
        let path = self.folder.join(&self.active);
        // What an interrupted start has left there.
        let _ = fs::remove_file(&path);
        watch.machine.layer(&path).map_err(|error| monitor(&error))
    }

    fn limit(&self, watch: &Watch) -> Result<(), Stop> {
        let minutes = |name: &str| format!("{:.1}", self.plan.options.limits.of(name).as_secs_f64() / 60.0);
        let over = |name: &str| self.since.elapsed() > self.plan.options.limits.of(name);
        if self.phase > Phase::Start
            && let Some(systems) = watch.crashed(self.plan.options.limits.of(CRASH.0))
        {
            return Err(bug_check(systems));
        }
        if self.asked == Some(TURN_OFF) {
            return if over(OFF.0) { Err(Stop::StaysOn { minutes: minutes(OFF.0) }) } else { Ok(()) };
        }
        if let Some(request) = self.asked {
            return if over(ANSWER.0) { Err(Stop::Silent { request, minutes: minutes(ANSWER.0) }) } else { Ok(()) };
        }
        let name = self.phase.name();
        if over(name) {
            let minutes = minutes(name);
            return Err(match self.phase {
                Phase::Start => Stop::NoPrompt { minutes },
                Phase::Agent => Stop::NoAgent { minutes },
                _ => Stop::TooLong { minutes },
            });
        }
        let waits = matches!(self.phase, Phase::Copy | Phase::Configure | Phase::SetUp);
        if waits && watch.still() > self.plan.options.limits.of(STILL.0) {
            return Err(Stop::Still { minutes: minutes(STILL.0) });
        }
        Ok(())
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        self.say(&format!("{}: {}", phase.name(), phase.doing()));
    }

    fn say(&self, text: &str) {
        self.observer.event(&Event::Note { text: text.into() });
    }

    /// Removes what only the build needs, and puts the image in its place.
    fn finish(mut self) -> Result<Image, ImageError> {
        let keep = [LOWEST, VARIABLES, "console.log", "qemu.log", "screen.png", "manifest.json"];
        self.manifest.layers = vec![LOWEST.into()];
        self.manifest.variables = self.plan.uefi.then(|| VARIABLES.into());
        self.manifest.phase = Phase::Seal;
        self.manifest.at = now();
        let entries = fs::read_dir(&self.folder).map_err(FileError::own("read", &self.folder))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !keep.contains(&name.as_str()) {
                fs::remove_file(&path).map_err(FileError::own("remove", &path))?;
            }
        }
        self.store.seal(&self.plan.options.name, &self.manifest)
    }
}

/// The requests that the agent is asked.
const HELLO: &str = "Hello";
const SHUTDOWN: &str = "RunProgram shutdown.exe";

/// What is waited for behind the last request.
const TURN_OFF: &str = "turn off";

/// The program that turns the guest off: a request to shut down ends the agent only.
const SHUTDOWN_LINE: &str = "%SystemRoot%\\System32\\shutdown.exe /s /t 0 /f";

/// Longest time that it may take to say that it has begun, in milliseconds.
const SHUTDOWN_LIMIT_MS: u32 = 60_000;

/// Makes a crash of what stands still with the screen of one.
fn crashed(stop: Stop, picture: Option<&Path>) -> Stop {
    let stands = matches!(stop, Stop::Still { .. } | Stop::NoAgent { .. } | Stop::Silent { .. } | Stop::TooLong { .. });
    match picture.filter(|_| stands).and_then(screen::bug_check) {
        Some(systems) => bug_check(systems),
        None => stop,
    }
}

fn bug_check(systems: &str) -> Stop {
    Stop::Crashed { how: format!("it stands still, and its screen has the one colour of a bug check of {systems}") }
}

fn monitor(error: &std::io::Error) -> Stop {
    if interrupt::requested() {
        return Stop::Interrupted;
    }
    Stop::Qemu { ended: format!("its monitor said: {error}") }
}

fn host(error: &ImageError) -> Stop {
    let full = matches!(error, ImageError::File(error) if error.limit().is_some());
    Stop::Disk { full, device: error.to_string() }
}

fn copy(from: &Path, to: &Path) -> Result<(), ImageError> {
    let bytes = fs::read(from).map_err(FileError::own("read", from))?;
    Ok(fs::write(to, bytes).map_err(FileError::own("write", to))?)
}

fn need_room(folder: &Path, needed_gib: u64) -> Result<(), ImageError> {
    let Ok(statistics) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free_gib = (statistics.f_bavail * statistics.f_frsize) >> 30;
    if free_gib < needed_gib {
        return Err(ImageError::Room { path: folder.into(), needed_gib, free_gib });
    }
    Ok(())
}

fn now() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string()
}
