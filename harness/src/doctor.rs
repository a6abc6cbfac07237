//! Looks at the machine: what is there, what is missing, and the command that fixes it.

use std::path::Path;
use std::process::Command;

use rustix::fs::MemfdFlags;
use serde::Serialize;

use crate::accelerator::{Choice, measured};
use crate::provision::{
    FLUIDSYNTH_VARIABLE, Workspace, capture, fitness, private_fluidsynth, system_fluidsynth, system_qemu,
    toolchain_source,
};

/// Free disk below this, in MiB, is worth a word: QEMU, a standard library and the builds together.
const DISK_MIB: u64 = 4096;

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There.
    Found,
    /// Not there, but `dmus` brings it in by itself when it is needed.
    BroughtIn,
    /// Not there, and only some tests or comparisons need it.
    Optional,
    /// Not there, and nothing works without it.
    Missing,
}

/// What was found of one thing.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The thing.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// Which version, where, or why not.
    pub detail: String,
    /// The command that fixes it.
    pub remedy: Option<String>,
}

fn found(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, state: State::Found, detail: detail.into(), remedy: None }
}

/// Looks at everything.
#[must_use]
pub fn examine(workspace: &Workspace) -> Vec<Finding> {
    vec![
        rust(),
        rust_source(workspace),
        qemu(workspace),
        memfd(),
        disk(workspace),
        accelerator(workspace),
        fluidsynth(workspace),
        tool("mingw-w64", "x86_64-w64-mingw32-gcc", "--version", "compares our layouts with the public headers"),
        tool("binutils", "objdump", "--version", "shows images"),
    ]
}

fn rust() -> Finding {
    match capture(Command::new("rustc").arg("--version")) {
        Some(said) => found("rustc", said.stdout.trim()),
        None => Finding {
            what: "rustc",
            state: State::Missing,
            detail: "not on PATH".into(),
            remedy: Some("install Rust (stable) from https://rustup.rs".into()),
        },
    }
}

fn rust_source(workspace: &Workspace) -> Finding {
    if let Some(path) = toolchain_source() {
        return found("rust-src", path.display().to_string());
    }
    let private = std::fs::read_dir(workspace.cache()).into_iter().flatten().flatten().find(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("rust-src-") && !name.to_string_lossy().ends_with("partial")
    });
    match private {
        Some(entry) => found("rust-src", format!("brought in: {}", entry.path().display())),
        None => Finding {
            what: "rust-src",
            state: State::BroughtIn,
            detail: "the toolchain has none; the first run brings it in".into(),
            remedy: Some("rustup component add rust-src".into()),
        },
    }
}

fn qemu(workspace: &Workspace) -> Finding {
    let mut why_not = "not on PATH".to_owned();
    let private = workspace.cache().join("qemu/qemu-system-x86_64");
    for path in system_qemu().into_iter().chain([private]) {
        if let Some(fitness) = fitness(&path) {
            match fitness.unfit {
                None => return found("QEMU", format!("{} ({})", fitness.version, path.display())),
                Some(reason) => why_not = format!("{} will not do: {reason}", path.display()),
            }
        }
    }
    Finding {
        what: "QEMU",
        state: State::BroughtIn,
        detail: format!("{why_not}; the first run brings one in"),
        remedy: Some("cargo dmus demo".into()),
    }
}

fn memfd() -> Finding {
    match rustix::fs::memfd_create("dmus-doctor", MemfdFlags::CLOEXEC) {
        Ok(_) => found("memfd", "guest memory can be shared"),
        Err(error) => Finding {
            what: "memfd",
            state: State::Missing,
            detail: format!("memfd_create: {error}"),
            remedy: Some("run outside the sandbox that forbids it".into()),
        },
    }
}

fn disk(workspace: &Workspace) -> Finding {
    let path = if workspace.target.exists() { &workspace.target } else { &workspace.root };
    let free = rustix::fs::statvfs(path).map_or(0, |statistics| (statistics.f_bavail * statistics.f_frsize) >> 20);
    let detail = format!("{free} MiB free under {}", path.display());
    if free >= DISK_MIB {
        return found("disk", detail);
    }
    Finding {
        what: "disk",
        state: State::Optional,
        detail,
        remedy: Some("free some space, or set CARGO_TARGET_DIR to a folder on a larger disk".into()),
    }
}

fn accelerator(workspace: &Workspace) -> Finding {
    match measured(workspace) {
        Some((Choice { accelerator, reason }, qemu)) => {
            found("accelerator", format!("{}: {reason} (with {})", accelerator.name(), qemu.display()))
        }
        None if Path::new("/dev/kvm").exists() => {
            found("accelerator", "/dev/kvm exists; the first run measures whether it is any good")
        }
        None => found("accelerator", "tcg: there is no /dev/kvm"),
    }
}

/// What `bench synth` measures beside.
fn fluidsynth(workspace: &Workspace) -> Finding {
    let version = |path: &Path| {
        let said = capture(Command::new(path).arg("--version"))?.stdout;
        said.lines().find_map(|line| Some(line.rsplit_once("version ")?.1.trim().to_owned()))
    };
    let named = std::env::var_os(FLUIDSYNTH_VARIABLE).map(std::path::PathBuf::from);
    let private = private_fluidsynth(workspace);
    let mut places = named.into_iter().chain([private]);
    if let Some((version, path)) = places.find_map(|path| Some((version(&path)?, path))) {
        return found("FluidSynth", format!("{version} ({})", path.display()));
    }
    let system = system_fluidsynth().and_then(|path| Some(format!(", the system's is {}", version(&path)?)));
    Finding {
        what: "FluidSynth",
        state: State::BroughtIn,
        detail: format!("only to measure beside; the newest is brought in{}", system.unwrap_or_default()),
        remedy: Some("cargo dmus bench synth".into()),
    }
}

fn tool(package: &'static str, program: &str, argument: &str, purpose: &str) -> Finding {
    match capture(Command::new(program).arg(argument)) {
        Some(said) => {
            let text = if said.stdout.trim().is_empty() { said.stderr } else { said.stdout };
            found(package, text.lines().find(|line| !line.trim().is_empty()).unwrap_or(program).trim())
        }
        None => Finding {
            what: package,
            state: State::Optional,
            detail: format!("not installed; it {purpose}"),
            remedy: Some(format!("apt-get install {package}")),
        },
    }
}
