//! Names the limit of the host behind a failure, with its value and the command that raises it.
//!
//! A limit shows as an error number of a call of the harness, as a signal that ended a process, or as words in a process's
//! log. Each of the three leads to the same [`LimitError`].

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, getuid};

use crate::host::control_group;
use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::invocation;

/// Open files that a run needs: QEMU holds some 40 (its own, and two eventfds for each of the card's queues), and cargo as
/// many while it builds on two processors.
const OPEN_FILES_MIN: u64 = 64;

/// Address space that a run needs, in bytes: QEMU reserves 1 GiB for translated code and maps the guest's memory beside its
/// own; rustc's share stays below that.
const ADDRESS_SPACE_MIN: u64 = 2 << 30;

/// Processes and threads that a run adds to those that its user has: QEMU, card, harness, and the compiler's threads.
const PROCESSES_MIN: u64 = 64;

/// Largest file that a run makes, in bytes: a guest's memory is a file, of 128 MiB and more; libraries are below that.
const FILE_SIZE_MIN: u64 = 256 << 20;

/// A limit of processes above this is not compared with the number of processes: no user has so many.
const PROCESSES_PLENTY: u64 = 1 << 16;

/// A limit of the host that is too low, or was reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {sentence}")]
pub struct LimitError {
    /// The operation that failed.
    what: String,
    /// The limit and its value.
    sentence: String,
    /// The command that raises it.
    remedy: String,
    /// The limits of processes that may be the cause.
    limits: &'static [Limit],
}

impl LimitError {
    /// Takes the value from the limits of the process itself, in the form of `/proc/PID/limits`: a wrapper may have given it
    /// less than this process has.
    #[must_use]
    pub fn of_process(self, process: &str, table: &str) -> Self {
        let found = self.limits.iter().find_map(|limit| Some((*limit, limit.in_table(table)?)));
        let Some((limit, value)) = found.filter(|(limit, value)| limit.current() != Some(*value)) else { return self };
        Self {
            sentence: format!(
                "the limit of {} ({}) of {process} is {}",
                limit.text(),
                limit.name(),
                limit.value(Some(value))
            ),
            remedy: format!("raise it where {process} is started: {}", limit.raise(limit.enough(Some(value)))),
            ..self
        }
    }

    /// Replaces what failed, where the caller knows more than the limit's finder.
    #[must_use]
    pub fn during(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), ..self }
    }

    /// Returns the sentence with the limit and its value.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.sentence
    }
}

impl Diagnosed for LimitError {
    fn class(&self) -> Class {
        Class::Host
    }

    fn remedy(&self) -> Option<String> {
        Some(self.remedy.clone())
    }
}

/// A limit of a process (`setrlimit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `RLIMIT_NOFILE`.
    OpenFiles,
    /// `RLIMIT_AS`.
    AddressSpace,
    /// `RLIMIT_DATA`.
    Data,
    /// `RLIMIT_NPROC`.
    Processes,
    /// `RLIMIT_FSIZE`.
    FileSize,
    /// `RLIMIT_CPU`.
    ProcessorTime,
}

impl Limit {
    const fn name(self) -> &'static str {
        match self {
            Self::OpenFiles => "RLIMIT_NOFILE",
            Self::AddressSpace => "RLIMIT_AS",
            Self::Data => "RLIMIT_DATA",
            Self::Processes => "RLIMIT_NPROC",
            Self::FileSize => "RLIMIT_FSIZE",
            Self::ProcessorTime => "RLIMIT_CPU",
        }
    }

    /// Returns what it limits, such as `open files`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OpenFiles => "open files",
            Self::AddressSpace => "address space",
            Self::Data => "data memory",
            Self::Processes => "processes and threads of a user",
            Self::FileSize => "file size",
            Self::ProcessorTime => "processor time",
        }
    }

    const fn resource(self) -> Resource {
        match self {
            Self::OpenFiles => Resource::Nofile,
            Self::AddressSpace => Resource::As,
            Self::Data => Resource::Data,
            Self::Processes => Resource::Nproc,
            Self::FileSize => Resource::Fsize,
            Self::ProcessorTime => Resource::Cpu,
        }
    }

    /// Returns its value for this process; `None` for no limit.
    #[must_use]
    pub fn current(self) -> Option<u64> {
        getrlimit(self.resource()).current
    }

    /// Reads its value from a table like `/proc/PID/limits`; `None` for no limit.
    fn in_table(self, table: &str) -> Option<u64> {
        let name = match self {
            Self::OpenFiles => "Max open files",
            Self::AddressSpace => "Max address space",
            Self::Data => "Max data size",
            Self::Processes => "Max processes",
            Self::FileSize => "Max file size",
            Self::ProcessorTime => "Max cpu time",
        };
        table.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    }

    /// Returns a list of this limit alone.
    const fn alone(self) -> &'static [Self] {
        match self {
            Self::OpenFiles => &[Self::OpenFiles],
            Self::AddressSpace => &[Self::AddressSpace],
            Self::Data => &[Self::Data],
            Self::Processes => &[Self::Processes],
            Self::FileSize => &[Self::FileSize],
            Self::ProcessorTime => &[Self::ProcessorTime],
        }
    }

    /// Returns the option of the shell's `ulimit`, and its unit in bytes, counts or seconds.
    const fn shell(self) -> (&'static str, u64) {
        match self {
            Self::OpenFiles => ("-n", 1),
            Self::AddressSpace => ("-v", 1 << 10),
            Self::Data => ("-d", 1 << 10),
            Self::Processes => ("-u", 1),
            Self::FileSize => ("-f", 1 << 10),
            Self::ProcessorTime => ("-t", 1),
        }
    }

    fn value(self, value: Option<u64>) -> String {
        const MIB: u64 = 1 << 20;
        match (self, value) {
            (_, None) => "unlimited".into(),
            (Self::AddressSpace | Self::Data | Self::FileSize, Some(bytes)) if bytes >= MIB => {
                format!("{} MiB", bytes / MIB)
            }
            (Self::AddressSpace | Self::Data | Self::FileSize, Some(bytes)) => format!("{bytes} bytes"),
            (Self::ProcessorTime, Some(seconds)) => format!("{seconds} s"),
            (Self::OpenFiles | Self::Processes, Some(count)) => count.to_string(),
        }
    }

    /// Returns the command that raises it to what a run needs, or removes it.
    fn raise(self, needed: Option<u64>) -> String {
        let (option, unit) = self.shell();
        let wanted = needed.map_or_else(|| "unlimited".to_owned(), |needed| needed.div_ceil(unit).to_string());
        let mut text = format!("ulimit {option} {wanted}");
        let Rlimit { maximum, .. } = getrlimit(self.resource());
        if maximum.is_some_and(|maximum| needed.is_none_or(|needed| maximum < needed)) {
            let long = match self {
                Self::OpenFiles => "nofile",
                Self::AddressSpace => "as",
                Self::Data => "data",
                Self::Processes => "nproc",
                Self::FileSize => "fsize",
                Self::ProcessorTime => "cpu",
            };
            let wanted = needed.map_or_else(|| "unlimited".to_owned(), |needed| needed.to_string());
            text += &format!(
                "; this shell's hard limit forbids that: start from a shell without it, or, as root, \
                 prlimit --pid $$ --{long}={wanted}"
            );
        }
        text
    }

    /// Returns the error of a limit that is lower than what a run needs.
    fn low(self, value: u64, needed: u64, detail: &str) -> LimitError {
        LimitError {
            what: "this host's limits are too low for a run".into(),
            sentence: format!(
                "the limit of {} ({}) is {}, and a run needs {}{detail}",
                self.text(),
                self.name(),
                self.value(Some(value)),
                self.value(Some(needed))
            ),
            remedy: self.raise(Some(needed)),
            limits: self.alone(),
        }
    }

    /// Returns the error of a limit that was reached.
    fn reached(self) -> LimitError {
        let current = self.current();
        let whose = if current.is_none() {
            " here, so the process was started with one of its own, by a wrapper or a service manager"
        } else {
            ""
        };
        LimitError {
            what: "a process reached a limit of this host".into(),
            sentence: format!("the limit of {} ({}) is {}{whose}", self.text(), self.name(), self.value(current)),
            remedy: self.raise(self.enough(current)),
            limits: self.alone(),
        }
    }

    /// Returns a value that is enough: what a run needs, and more than the current one.
    fn enough(self, current: Option<u64>) -> Option<u64> {
        let least = match self {
            Self::OpenFiles => OPEN_FILES_MIN,
            Self::AddressSpace | Self::Data => ADDRESS_SPACE_MIN,
            Self::Processes => PROCESSES_MIN,
            Self::FileSize => FILE_SIZE_MIN,
            Self::ProcessorTime => return None,
        };
        Some(least.max(current.unwrap_or(0).saturating_mul(2)))
    }
}

/// A limit, its value, and whether it is high enough.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The limit.
    pub limit: Limit,
    /// Its value with its unit.
    pub value: String,
    /// The error, if it is too low.
    pub error: Option<LimitError>,
}

/// Compares each limit with what a run needs.
#[must_use]
pub fn all() -> Vec<Checked> {
    [
        (Limit::OpenFiles, OPEN_FILES_MIN),
        (Limit::AddressSpace, ADDRESS_SPACE_MIN),
        (Limit::Data, ADDRESS_SPACE_MIN),
        (Limit::Processes, PROCESSES_MIN),
        (Limit::FileSize, FILE_SIZE_MIN),
    ]
    .map(|(limit, needed)| {
        let current = limit.current();
        let (used, detail) = match (limit, current) {
            (Limit::Processes, Some(value)) => processes_beside(value),
            _ => (0, String::new()),
        };
        let needed = needed + used;
        let error = current.filter(|value| *value < needed).map(|value| limit.low(value, needed, &detail));
        Checked { limit, value: limit.value(current), error }
    })
    .into()
}

/// Checks that the host's limits let a run complete.
///
/// # Errors
/// [`LimitError`] of the first limit that is too low.
pub fn check() -> Result<(), LimitError> {
    all().into_iter().find_map(|checked| checked.error).map_or(Ok(()), Err)
}

/// Returns the threads of this user that count against a limit of processes, and a clause for the error. The kernel exempts
/// root.
fn processes_beside(limit: u64) -> (u64, String) {
    if limit > PROCESSES_PLENTY {
        return (0, String::new());
    }
    if getuid().is_root() {
        // Any value is enough.
        return (0, String::new());
    }
    let own = getuid().as_raw();
    let threads: u64 = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .filter(|status| field(status, "Uid:").is_some_and(|uid| uid == u64::from(own)))
        .filter_map(|status| field(&status, "Threads:"))
        .sum();
    (threads, format!(" besides the {threads} that this user has"))
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Returns the number of an error of a call, also where a library has wrapped it to name the file.
fn number(error: &io::Error) -> Option<Errno> {
    let in_text = || {
        // A wrapped error keeps the standard library's text, but not the number.
        let text = error.to_string();
        let digits = text.rsplit_once("(os error ")?.1.split(')').next()?.parse().ok()?;
        Some(Errno::from_raw_os_error(digits))
    };
    Errno::from_io_error(error).or_else(in_text)
}

/// Returns the limit behind an error of a call, if a limit is the cause.
#[must_use]
pub fn of_error(error: &io::Error) -> Option<LimitError> {
    match number(error)? {
        Errno::MFILE => Some(Limit::OpenFiles.reached()),
        Errno::NFILE => {
            Some(host_wide("open files of the whole host", "/proc/sys/fs/file-max", "sysctl fs.file-max=1000000"))
        }
        Errno::NOMEM => Some(memory()),
        Errno::FBIG => Some(Limit::FileSize.reached()),
        _ => None,
    }
}

/// Returns the limit behind a process or a thread that could not be started, if a limit is the cause.
#[must_use]
pub fn of_start(error: &io::Error) -> Option<LimitError> {
    // In other calls this number only means that there is nothing to read yet.
    if number(error) == Some(Errno::AGAIN) { Some(processes()) } else { of_error(error) }
}

/// Returns the limit behind a signal that ended a process, if a limit is the cause.
#[must_use]
pub fn of_end(ended: Ended) -> Option<LimitError> {
    match ended {
        Ended::Signal(signal_hook::consts::SIGXFSZ) => Some(Limit::FileSize.reached()),
        Ended::Signal(signal_hook::consts::SIGXCPU) => Some(Limit::ProcessorTime.reached()),
        _ => None,
    }
}

/// The words of one limit.
type Words = &'static [&'static str];

/// Creates the error of one limit.
type Find = fn() -> LimitError;

/// The words of programs for a limit that was reached.
const WORDS: [(Words, Find); 5] = [
    (
        &[
            "Too many open files",
            "os error 24",
            "host notifiers: 24",
            "guest notifier: 24",
            "notifiers: -24",
            "notifier: -24",
        ],
        || Limit::OpenFiles.reached(),
    ),
    (&["File too large", "File size limit exceeded", "os error 27", "signal: 25", "SIGXFSZ"], || {
        Limit::FileSize.reached()
    }),
    (
        &[
            "Cannot allocate memory",
            "memory allocation of",
            "out of memory",
            "Out of memory",
            "failed to map segment",
            "allocate dynamic translator buffer",
            "os error 12",
        ],
        memory,
    ),
    (
        &[
            "Resource temporarily unavailable",
            "os error 11",
            "failed to spawn thread",
            "failed to spawn helper thread",
            "Cannot fork",
        ],
        processes,
    ),
    (&["No space left on device", "os error 28"], || disk_full(None)),
];

/// Returns the limit that the output of a failed program names, if it names one.
#[must_use]
pub fn of_text(text: &str) -> Option<LimitError> {
    WORDS.iter().find(|(words, _)| words.iter().any(|word| text.contains(word))).map(|(_, error)| error())
}

/// Returns the limit behind a program's end or in its output, if a limit is the cause.
#[must_use]
pub fn of_program(ended: Option<Ended>, output: &str) -> Option<LimitError> {
    ended.and_then(of_end).or_else(|| of_text(output))
}

/// Returns the memory that the host could still give to processes of this control group, in bytes; `None` where it does not say.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let kibibytes = fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemAvailable:"));
    let of_host = kibibytes.map(|kibibytes| kibibytes << 10);
    of_host.into_iter().chain(control_group::room()).min()
}

/// Returns the error of memory that could not be allocated: the limit of address space where there is one, else the host's
/// memory.
fn memory() -> LimitError {
    for limit in [Limit::AddressSpace, Limit::Data] {
        if limit.current().is_some() {
            return limit.reached();
        }
    }
    let available = available_memory();
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").map(|text| text.trim().to_owned());
    let group = group
        .ok()
        .filter(|text| text != "max")
        .map_or_else(String::new, |bytes| format!(", and the control group's limit (memory.max) is {bytes} bytes"));
    LimitError {
        what: "a process got no memory".into(),
        sentence: format!(
            "the limit of address space (RLIMIT_AS) is unlimited here; the host has {} MiB of memory available{group}",
            available.unwrap_or(0) >> 20
        ),
        remedy: "free some memory (free -m), or remove the limit that a wrapper set: ulimit -v unlimited".into(),
        limits: &[Limit::AddressSpace, Limit::Data],
    }
}

/// Returns the error of a process or thread that could not be created.
fn processes() -> LimitError {
    let limited = Limit::Processes.current().is_some() && !getuid().is_root();
    let group = fs::read_to_string("/sys/fs/cgroup/pids.max").map(|text| text.trim().to_owned());
    match group.ok().filter(|text| text != "max") {
        Some(most) if !limited => LimitError {
            what: "a process got no further thread or process".into(),
            sentence: format!("the control group's limit of processes (pids.max) is {most}"),
            remedy: "raise it, for a container with --pids-limit, for a service with TasksMax=".into(),
            limits: &[],
        },
        _ => Limit::Processes.reached(),
    }
}

fn host_wide(text: &str, file: &str, remedy: &str) -> LimitError {
    let value = fs::read_to_string(file).unwrap_or_default();
    LimitError {
        what: "a process reached a limit of this host".into(),
        sentence: format!("the limit of {text} ({file}) is {}", value.trim()),
        remedy: format!("as root, {remedy}"),
        limits: &[],
    }
}

/// Returns the error of a full disk under a folder, by default under `TMPDIR`.
#[must_use]
pub fn disk_full(path: Option<&Path>) -> LimitError {
    let place = path.map_or_else(std::env::temp_dir, Path::to_path_buf);
    let place = place.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    let free = rustix::fs::statvfs(place).map_or(0, |found| (found.f_bavail * found.f_frsize) >> 20);
    LimitError {
        what: "the disk is full".into(),
        sentence: format!("{free} MiB are free under {}", place.display()),
        remedy: format!(
            "free some space there ({}), or use a larger disk: TMPDIR names the folder of temporary files, CARGO_TARGET_DIR \
             that of builds and runs (without cargo, DMUS_HOME)",
            invocation::command("clean")
        ),
        limits: &[],
    }
}

/// Returns the full disk behind an error of a call on a file, if the error is about one.
#[must_use]
pub(crate) fn of_full_disk(error: &io::Error, path: &Path) -> Option<LimitError> {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    full.then(|| disk_full(Some(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_limit_behind_an_error_number() {
        let text = |errno: Errno| of_error(&errno.into()).map(|error| error.sentence).unwrap_or_default();
        assert!(text(Errno::MFILE).contains("open files (RLIMIT_NOFILE) is "), "{}", text(Errno::MFILE));
        assert!(text(Errno::FBIG).contains("RLIMIT_FSIZE"));
        assert!(text(Errno::NOMEM).contains("RLIMIT_AS"));
        assert!(text(Errno::NFILE).contains("/proc/sys/fs/file-max"));
        assert_eq!(text(Errno::NOENT), "");
        // Wrapped by a library that adds the file's name.
        let folder = crate::host::leftovers::Scratch::new().unwrap();
        let name = "x".repeat(300);
        let wrapped = tempfile::Builder::new().prefix(&name).tempfile_in(folder.path()).unwrap_err();
        assert!(wrapped.raw_os_error().is_none(), "it is not wrapped any more");
        assert_eq!(number(&wrapped), Some(Errno::NAMETOOLONG));
    }

    #[test]
    fn finds_the_limit_in_the_output_of_a_program() {
        let cases = [
            ("qemu-system-x86_64: Error enabling host notifiers: 24", "RLIMIT_NOFILE"),
            ("error: unable to read .cargo-ok file: Too many open files (os error 24)", "RLIMIT_NOFILE"),
            ("rustc: error while loading shared libraries: libLLVM.so: failed to map segment", "RLIMIT_AS"),
            ("cannot set up guest memory 'mem': Cannot allocate memory", "RLIMIT_AS"),
            ("thread panicked: failed to spawn thread: Os { code: 11 }", "limit of processes"),
            ("error: No space left on device (os error 28)", "MiB are free"),
        ];
        for (output, limit) in cases {
            let error = of_text(output).unwrap_or_else(|| panic!("no limit was found in {output}"));
            assert!(error.sentence.contains(limit), "{output}: {error}");
            assert_eq!(error.class(), Class::Host);
            assert!(error.remedy().is_some_and(|remedy| !remedy.is_empty()));
        }
        assert_eq!(of_text("the front-end has disconnected"), None);
    }

    #[test]
    fn distinguishes_signals_of_limits_from_others() {
        let sentence = |signal| of_end(Ended::Signal(signal)).map(|error| error.sentence).unwrap_or_default();
        assert!(sentence(signal_hook::consts::SIGXFSZ).contains("RLIMIT_FSIZE"));
        assert!(sentence(signal_hook::consts::SIGXCPU).contains("RLIMIT_CPU"));
        assert_eq!(sentence(signal_hook::consts::SIGKILL), "");
        assert_eq!(of_end(Ended::Exit(0)), None);
    }

    #[test]
    fn reports_the_limit_of_the_process_before_that_of_the_harness() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max open files            30                   4096                 files\n\
                     Max address space         500000000            unlimited            bytes\n\
                     Max data size             unlimited            unlimited            bytes\n";
        let error = |text: &str| of_text(text).unwrap().of_process("QEMU", table);
        let files = error("Too many open files");
        assert!(files.to_string().contains("(RLIMIT_NOFILE) of QEMU is 30"), "{files}");
        assert!(files.remedy.contains("ulimit -n 64"), "{}", files.remedy);
        let memory = error("Cannot allocate memory");
        assert!(memory.to_string().contains("(RLIMIT_AS) of QEMU is 476 MiB"), "{memory}");
        let disk = error("No space left on device");
        assert!(!disk.to_string().contains("QEMU"), "{disk}");
    }

    #[test]
    fn names_what_a_run_needs_and_the_command_that_raises_the_limit() {
        let error = Limit::OpenFiles.low(30, 64, "");
        let text = error.to_string();
        assert!(text.contains("open files (RLIMIT_NOFILE) is 30") && text.contains("needs 64"), "{text}");
        assert!(error.remedy.starts_with("ulimit -n 64"), "{}", error.remedy);
        let error = Limit::AddressSpace.low(300 << 20, 2 << 30, "");
        assert!(error.to_string().contains("is 300 MiB, and a run needs 2048 MiB"), "{error}");
        assert!(error.remedy.starts_with("ulimit -v 2097152"), "{}", error.remedy);
    }
}
