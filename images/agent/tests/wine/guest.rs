//! Wine as a guest: a prefix with serial ports, the agent's program, and the library that stands in the place of a driver.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Ports of the prefix: one for each test, so that tests run side by side.
const PORTS: usize = 7;

/// A prefix, which tests that run side by side share. It goes with the last of them.
struct Prefix {
    wine: PathBuf,
    agent: PathBuf,
    folder: tempfile::TempDir,
    ports: Vec<OwnedFd>,
    /// The other ends, which stay open so that the ports do while no agent has them.
    _others: Vec<OwnedFd>,
}

impl Prefix {
    fn new() -> Result<Self, String> {
        let named = |name: &str| {
            let path = std::env::var_os(name).ok_or_else(|| format!("{name} is not set"))?;
            PathBuf::from(&path).canonicalize().map_err(|error| format!("{}: {error}", path.display()))
        };
        let (wine, agent) = (named("DMUS_WINE")?, named("DMUS_AGENT")?);
        let folder = tempfile::Builder::new().prefix("dmus-wine").tempdir().map_err(|error| error.to_string())?;
        let (mut ports, mut others) = (Vec::new(), Vec::new());
        let mut registry = "REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\Software\\Wine\\Ports]\n".to_owned();
        for number in 1..=PORTS {
            let port =
                openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(|error| format!("no terminal: {error}"))?;
            grantpt(&port).and_then(|()| unlockpt(&port)).map_err(|error| error.to_string())?;
            let name = ptsname(&port, Vec::new()).map_err(|error| error.to_string())?.into_string().unwrap();
            let other =
                File::options().read(true).write(true).open(&name).map_err(|error| format!("{name}: {error}"))?;
            let mut attributes = tcgetattr(other.as_fd()).map_err(|error| error.to_string())?;
            attributes.make_raw();
            tcsetattr(other.as_fd(), OptionalActions::Now, &attributes).map_err(|error| error.to_string())?;
            registry += &format!("\"COM{number}\"=\"{name}\"\n");
            ports.push(port);
            others.push(other.into());
        }
        let prefix = Self { wine, agent, folder, ports, _others: others };
        prefix.wine(&["wineboot", "--init"]);
        if let Some(zlib) = std::env::var_os("DMUS_ZLIB") {
            let system = prefix.folder.path().join("prefix/drive_c/windows/system32/zlib1.dll");
            fs::copy(&zlib, &system).map_err(|error| format!("{}: {error}", system.display()))?;
        }
        let file = prefix.folder.path().join("ports.reg");
        fs::write(&file, registry).map_err(|error| error.to_string())?;
        prefix.wine(&["regedit", "/S", &windows_path(&file)]);
        // Ports are read when the server starts.
        prefix.end();
        Ok(prefix)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.wine);
        command.args(words).env("WINEPREFIX", self.folder.path().join("prefix"));
        command
            .env("WINEDEBUG", "-all")
            .env_remove("DISPLAY")
            .env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=");
        command.stdin(Stdio::null());
        command
    }

    fn wine(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Ends the server of this prefix and what it runs.
    fn end(&self) {
        self.wine(&["wineboot", "--kill"]);
        let server = ["wineserver", "../lib/wine/wineserver64", "wineserver64", "wineserver"];
        let beside = |name: &&str| self.wine.parent().map(|folder| folder.join(name)).filter(|path| path.is_file());
        if let Some(server) = server.iter().find_map(beside) {
            let mut command = Command::new(server);
            command.env("WINEPREFIX", self.folder.path().join("prefix")).arg("-w").stdin(Stdio::null());
            let _ = command.status();
        }
    }
}

/// Returns the path that Wine has for a path: its drive Z is the root.
fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display().to_string().replace('/', "\\"))
}

impl Drop for Prefix {
    fn drop(&mut self) {
        self.end();
    }
}

fn prefix() -> Option<Arc<Prefix>> {
    static PREFIX: Mutex<Weak<Prefix>> = Mutex::new(Weak::new());
    let mut shared = PREFIX.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(prefix) = shared.upgrade() {
        return Some(prefix);
    }
    match Prefix::new() {
        Ok(prefix) => {
            let prefix = Arc::new(prefix);
            *shared = Arc::downgrade(&prefix);
            Some(prefix)
        }
        Err(reason) => {
            assert!(std::env::var_os("DMUS_WINE").is_none(), "Wine is named and does not work: {reason}");
            eprintln!("skipped: {reason}: DMUS_WINE and DMUS_AGENT name Wine and the agent's program");
            None
        }
    }
}

pub(crate) struct Guest {
    prefix: Arc<Prefix>,
    port: &'static str,
    folder: tempfile::TempDir,
}

/// An agent that runs in a console. It ends with its owner.
pub(crate) struct Agent(Child);

impl Agent {
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Guest {
    /// Returns a guest with a port of its own; none without Wine.
    pub(crate) fn new(port: &'static str) -> Option<Self> {
        let prefix = prefix()?;
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake");
        let compiler = std::env::var("DMUS_MINGW").unwrap_or_else(|_| "x86_64-w64-mingw32-gcc".into());
        let mut command = Command::new(&compiler);
        command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-format", "-shared", "-static-libgcc", "-o"]);
        command.arg(folder.path().join("layer.dll")).arg(source.join("layer.c")).arg(source.join("layer.def"));
        assert!(
            command.status().unwrap_or_else(|error| panic!("{compiler}: {error}")).success(),
            "the layer is not built"
        );
        Some(Self { prefix, port, folder })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn windows_folder(&self) -> String {
        windows_path(self.folder.path())
    }

    pub(crate) fn windows_layer(&self) -> String {
        format!("{}\\layer.dll", self.windows_folder())
    }

    /// Starts the agent in a console.
    pub(crate) fn serve(&mut self) -> Agent {
        let agent = self.prefix.agent.to_str().unwrap();
        let mut command = self.prefix.command(&[agent, "--port", self.port, "--layer", &self.windows_layer()]);
        command.env("FAKE_LOG", format!("{}\\log.txt", self.windows_folder()));
        Agent(command.spawn().unwrap())
    }

    /// Runs the agent's program until it ends. Returns its exit code.
    pub(crate) fn run(&self, words: &[&str]) -> Option<i32> {
        let mut all = vec![self.prefix.agent.to_str().unwrap()];
        all.extend(words);
        self.prefix.command(&all).status().unwrap().code()
    }

    /// Runs a program of Wine's. Returns what it printed.
    pub(crate) fn wine(&self, words: &[&str]) -> String {
        self.prefix.wine(words)
    }

    /// Returns the host's end of the port.
    pub(crate) fn port(&self) -> File {
        let number: usize = self.port.trim_start_matches("COM").parse().unwrap();
        self.prefix.ports[number - 1].try_clone().unwrap().into()
    }

    /// Returns what the layer was called with.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default()
    }
}
