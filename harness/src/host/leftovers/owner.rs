//! Names the harness that owns a process or a folder, so that a later start can tell whether it still runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use rustix::process::{getpid, getuid};

/// The variable that names the owner to every process that the harness starts, and to the processes that these start.
pub(crate) const OWNER_VARIABLE: &str = "DMUS_OWNER";

/// A process, distinguished from earlier and later ones with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// The start time of the process, in the kernel's ticks since boot.
    started: u64,
    pub(super) session: i32,
    /// The PID namespace in which the numbers are valid.
    pub(super) namespace: String,
}

impl Identity {
    /// Parses an identity as [`Display`](std::fmt::Display) writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        Some(Self {
            pid: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
            session: parts.next()?.parse().ok()?,
            namespace: parts.next()?.to_owned(),
        })
    }

    /// Whether a process of this number runs that started at the same time.
    pub(super) fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|found| found.started == self.started && !found.ended)
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.pid, self.started, self.session, self.namespace)
    }
}

/// The fields of `/proc/PID/stat` (proc(5)) that identify a process.
pub(super) struct Stat {
    pub(super) session: i32,
    started: u64,
    pub(super) ended: bool,
}

/// Reads `/proc/PID/stat`.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name comes before, in parentheses, and may hold any character.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        ended: matches!(*fields.first()?, "Z" | "X"),
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Returns this process's PID namespace.
pub(super) fn namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns this process's identity as text, for the marks of what it creates.
pub(crate) fn owner() -> &'static str {
    static OWNER: OnceLock<String> = OnceLock::new();
    OWNER.get_or_init(|| {
        let pid = getpid().as_raw_nonzero().get();
        let found = stat(pid).unwrap_or(Stat { session: 0, started: 0, ended: false });
        Identity { pid, started: found.started, session: found.session, namespace: namespace() }.to_string()
    })
}

/// Reads the owner from the environment of a process of this user.
pub(super) fn owner_of_process(pid: i32) -> Option<Identity> {
    let path = format!("/proc/{pid}");
    if fs::metadata(&path).ok()?.uid() != getuid().as_raw() {
        return None;
    }
    let environment = fs::read(format!("{path}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(OWNER_VARIABLE.as_bytes())?.strip_prefix(b"="))?;
    Identity::parse(std::str::from_utf8(value).ok()?)
}

/// Lists the processes that run and name a process as their owner.
#[must_use]
pub(crate) fn processes_of(owner: u32) -> Vec<i32> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| owner_of_process(*pid).is_some_and(|found| u32::try_from(found.pid) == Ok(owner)))
        .filter(|pid| stat(*pid).is_some_and(|found| !found.ended))
        .collect()
}
