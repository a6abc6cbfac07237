//! The files of a session: facts as JSON, commands for lldb and gdb that read them, and configurations for VS Code.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::break_at::BreakAt;
use super::break_on::BreakOn;
use crate::host::file_error::FileError;
use crate::machine::stub::StubSocket;
use crate::provision::INSTALL_LLDB;

/// What lldb runs.
const LLDB_PYTHON: &str = include_str!("dmus_lldb.py");

/// What gdb runs.
const GDB_PYTHON: &str = include_str!("dmus_gdb.py");

/// What the debuggers are to know.
pub(super) struct Facts<'a> {
    pub(super) nt_host: PathBuf,
    pub(super) driver: PathBuf,
    /// The address that the driver is linked for.
    pub(super) image_base: u64,
    /// The offset of its entry point.
    pub(super) entry: u32,
    pub(super) socket: &'a StubSocket,
    /// Paths of the debug information, and which folders they are here.
    pub(super) source_map: Vec<(String, PathBuf)>,
    pub(super) break_at: &'a [BreakAt],
    pub(super) break_on: Option<BreakOn>,
    /// Whether the driver's debug information is a PDB.
    pub(super) has_pdb: bool,
    /// Where the guest has mapped the driver, if it has before a debugger comes.
    pub(super) mapped: Option<u64>,
}

/// The files that were written.
pub(super) struct Written {
    lldb: PathBuf,
    gdb: PathBuf,
    launch: PathBuf,
    has_pdb: bool,
}

impl Written {
    /// Returns the commands that attach a debugger, a line each, after a line break.
    pub(super) fn commands(&self, lldb: Option<&Path>) -> String {
        let missing = if lldb.is_some() { String::new() } else { format!("   (not here: {INSTALL_LLDB})") };
        let lldb = lldb.map_or_else(|| "lldb".into(), quoted);
        let gdb = if self.has_pdb { "   (gdb reads no PDB: addresses only)" } else { "" };
        format!(
            "\n  {lldb} -s {}{missing}\n  gdb -x {}{gdb}\n  VS Code: the configurations of {}",
            quoted(&self.lldb),
            quoted(&self.gdb),
            self.launch.display()
        )
    }
}

/// Returns a path as a word of a shell, of lldb's and of gdb's command line.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or_else(|_| text.clone(), std::borrow::Cow::into_owned)
}

/// Writes the files of a session into a folder, which is created.
///
/// # Errors
/// [`FileError`] where one cannot be written.
pub(super) fn write(folder: &Path, facts: &Facts<'_>) -> Result<Written, FileError> {
    let editor = folder.join(".vscode");
    fs::create_dir_all(&editor).map_err(FileError::own("create", &editor))?;
    let put = |path: PathBuf, text: &str| fs::write(&path, text).map_err(FileError::own("write", &path)).map(|()| path);
    put(folder.join("session.json"), &pretty(&session(facts)))?;
    let lldb_python = put(folder.join("dmus_lldb.py"), LLDB_PYTHON)?;
    let gdb_python = put(folder.join("dmus_gdb.py"), GDB_PYTHON)?;
    // A guest that runs is stopped where it is when a debugger connects, which is what the user wants to see.
    let (lldb_goes_on, gdb_goes_on) =
        if facts.mapped.is_none() { ("process continue\n", "continue\n") } else { ("", "") };
    // Both take a path in double quotes.
    let lldb = format!(
        "# Connects lldb (16 or newer) to the guest, and stops where session.json says: lldb -s session.lldb\n\
         command script import \"{}\"\ndmus-connect\n{lldb_goes_on}",
        lldb_python.display()
    );
    let gdb = format!(
        "# Connects gdb to the guest, and stops where session.json says: gdb -x session.gdb\n\
         source {}\ndmus-connect\n{gdb_goes_on}",
        gdb_python.display()
    );
    let launch = launch(facts, &lldb_python, &gdb_python);
    Ok(Written {
        lldb: put(folder.join("session.lldb"), &lldb)?,
        gdb: put(folder.join("session.gdb"), &gdb)?,
        launch: put(editor.join("launch.json"), &pretty(&launch))?,
        has_pdb: facts.has_pdb,
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn session(facts: &Facts<'_>) -> Value {
    let rule = facts.break_on.map(|rule| match rule {
        BreakOn::Rule(number) => json!(number),
        BreakOn::Any => json!("any"),
    });
    let places: Vec<Value> =
        facts.break_at.iter().map(|place| json!({ "file": place.file, "line": place.line })).collect();
    json!({
        "nt_host": facts.nt_host,
        "driver": facts.driver,
        "image_base": facts.image_base,
        "entry": facts.entry,
        "lldb": facts.socket.for_lldb(),
        "gdb": facts.socket.for_gdb(),
        "source_map": facts.source_map,
        "break_at": places,
        "break_on": rule,
        "pdb": facts.has_pdb,
        "mapped": facts.mapped,
    })
}

/// Returns configurations for the debuggers of VS Code, each of which ends its session by a detach.
fn launch(facts: &Facts<'_>, lldb: &Path, gdb: &Path) -> Value {
    let import = format!("command script import \"{}\"", lldb.display());
    let folders =
        facts.source_map.iter().map(|(from, to)| (from.clone(), json!(to))).collect::<serde_json::Map<_, _>>();
    json!({
        "version": "0.2.0",
        "configurations": [
            {
                "name": "dmus: guest and driver (LLDB DAP)",
                "type": "lldb-dap",
                "request": "attach",
                "program": facts.nt_host,
                "initCommands": [import],
                "attachCommands": ["dmus-connect"],
                "sourceMap": facts.source_map,
            },
            {
                "name": "dmus: guest and driver (CodeLLDB)",
                "type": "lldb",
                "request": "attach",
                "initCommands": [import],
                "targetCreateCommands": [format!("target create \"{}\"", facts.nt_host.display())],
                "processCreateCommands": ["dmus-connect"],
                "sourceMap": folders,
            },
            {
                "name": "dmus: guest and driver with DWARF (cppdbg, gdb)",
                "type": "cppdbg",
                "request": "launch",
                "program": facts.nt_host,
                "cwd": "${workspaceFolder}",
                "MIMode": "gdb",
                "miDebuggerServerAddress": facts.socket.for_gdb(),
                "stopAtConnect": true,
                "setupCommands": [{ "text": format!("source {}", gdb.display()) }, { "text": "dmus-prepare" }],
                "sourceFileMap": folders,
            },
        ],
    })
}
