//! `dmus dist` and `dmus completions`: the download, and what the command line tells shells and manuals of itself.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use dmus::dist::{Dist, DistError, Document, Made, MadeFile, SMALLEST, TEAM_FOLDER, Team, play_in_bare_root};
use dmus::event::{Event, Observer};
use dmus::host::file_error::FileError;
use dmus::provision::{ProvisionError, Workspace};
use dmus::report::{Terminal, out, out_json};
use serde_json::json;

use super::args::{CompletionsArguments, DistArguments};
use super::error::Outcome;
use super::setup::{mebibytes, workspace};
use super::verbs::Arguments;

/// The program's name where no cargo starts it.
const NAME: &str = "dmus";

/// The level of zstd of a download that is only tried.
const QUICK: i32 = 1;

/// Makes the download and prints where it is; with `--check`, tries it in a bare root.
///
/// # Errors
/// [`Error::Dist`](super::error::Error::Dist) when a part of it is missing, or it does not work.
pub(super) fn dist(arguments: &DistArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = workspace(&terminal)?;
    if workspace.bundle.is_some() {
        return Err(DistError::from(ProvisionError::NotBundled { what: "what a download is made of".into() }).into());
    }
    let documents = documents().map_err(FileError::own("write", "the manual pages")).map_err(DistError::from)?;
    let output = arguments.output.clone().unwrap_or_else(|| workspace.cache().join("dist"));
    let dist = Dist {
        workspace: &workspace,
        output: &output,
        documents: &documents,
        deb: arguments.deb,
        level: SMALLEST,
        observer: &terminal,
    };
    // What it is tried with is missing before anything is made.
    let team = arguments.check.then(|| Team::build(&workspace)).transpose()?;
    let made = dist.make()?;
    let played = match &team {
        Some(team) => {
            terminal.event(&Event::Note { text: "trying it in a root with nothing but the C library".into() });
            Some(play_in_bare_root(&made, team, &workspace.cache().join(TEAM_FOLDER))?.commands)
        }
        None => None,
    };
    drop(terminal);
    if arguments.json {
        let mut object = serde_json::to_value(&made).unwrap_or_default();
        object["played"] = json!(played);
        out_json(&object);
        return Ok(None);
    }
    let Made { tarball, small_tarball, program, deb, unpacked_bytes, glibc, left_out } = &made;
    let files = [("tarball", Some(tarball)), ("with zstd", Some(small_tarball)), ("one program", Some(program))];
    for (what, file) in files.into_iter().chain([("package", deb.as_ref())]) {
        let Some(MadeFile { path, bytes, sha256 }) = file else { continue };
        out(&format!("{what:<12} {}", path.display()));
        out(&format!("             {}, SHA-256 {sha256}", mebibytes(*bytes)));
    }
    out(&format!("unpacked     {}", mebibytes(*unpacked_bytes)));
    out(&format!("needs        x86-64 Linux with glibc {glibc} or later"));
    out(&format!("left out     {} scenarios that need a checkout: {}", left_out.len(), left_out.join(", ")));
    for command in played.iter().flatten() {
        out(&format!("tried        {command}, in a root with nothing but the C library"));
    }
    Ok(None)
}

/// Makes the tarball and tries it in a bare root, for the tests of the project; returns the commands that succeeded there.
///
/// # Errors
/// [`DistError`] when a part of it is missing, or it does not work.
pub(super) fn try_download(workspace: &Workspace, observer: &dyn Observer) -> Result<Vec<String>, DistError> {
    let documents = documents().map_err(FileError::own("write", "the manual pages"))?;
    // Not among those that were made to be kept: they are larger.
    let output = workspace.cache().join("dist-tried");
    let team = Team::build(workspace)?;
    let made = Dist { workspace, output: &output, documents: &documents, deb: false, level: QUICK, observer }.make()?;
    Ok(play_in_bare_root(&made, &team, &workspace.cache().join(TEAM_FOLDER))?.commands)
}

/// Prints the completions of a shell.
///
/// # Errors
/// None: output that is lost is noticed at the end.
pub(super) fn completions(arguments: &CompletionsArguments) -> Outcome {
    out(String::from_utf8_lossy(&completions_of(arguments.shell)).trim_end());
    Ok(None)
}

/// Makes the manual page of each verb, and the completions of each shell that distributions have a folder for.
fn documents() -> std::io::Result<Vec<Document>> {
    let mut documents = Vec::new();
    let mut root = command();
    root.build();
    manual(&root, &mut documents)?;
    for (shell, path) in [
        (Shell::Bash, "share/bash-completion/completions/dmus"),
        (Shell::Zsh, "share/zsh/vendor-completions/_dmus"),
        (Shell::Fish, "share/fish/vendor_completions.d/dmus.fish"),
    ] {
        documents.push(Document { path: path.into(), content: completions_of(shell) });
    }
    Ok(documents)
}

/// Makes the manual page of a command and those of its subcommands: `dmus-bank-info.1`.
fn manual(command: &Command, documents: &mut Vec<Document>) -> std::io::Result<()> {
    let mut content = Vec::new();
    let page = clap_mangen::Man::new(command.clone());
    page.render(&mut content)?;
    documents.push(Document { path: Path::new("share/man/man1").join(page.get_filename()), content });
    for subcommand in command.get_subcommands().filter(|found| found.get_name() != "help" && !found.is_hide_set()) {
        manual(subcommand, documents)?;
    }
    Ok(())
}

fn completions_of(shell: Shell) -> Vec<u8> {
    let mut content = Vec::new();
    clap_complete::generate(shell, &mut command(), NAME, &mut content);
    content
}

fn command() -> Command {
    Arguments::command().bin_name(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_a_manual_page_and_is_completed() {
        let documents = documents().unwrap();
        let content = |path: &str| {
            let found = documents.iter().find(|document| document.path.ends_with(path)).unwrap();
            String::from_utf8_lossy(&found.content).into_owned()
        };
        assert!(content("dmus-run.1").contains("\\-\\-transport"));
        assert!(content("dmus-bank-convert.1").contains("DLS level 2"));
        for shell in ["completions/dmus", "_dmus", "dmus.fish"] {
            assert!(content(shell).contains("vfio-user"), "{shell}");
        }
    }
}
