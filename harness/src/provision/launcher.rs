//! Starts a program that was unpacked from packages with its own loader and libraries: a script beside the tree, which may be
//! moved with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::ProvisionError;
use crate::host::file_error::FileError;

/// The parts of the script. They are shell words, in which `$root` is the tree and `$libraries` the folder of its libraries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Launcher {
    /// Its name for people.
    pub(super) what: &'static str,
    /// The program in `usr/bin`, and the script's own name.
    pub(super) program: &'static str,
    /// The search path of libraries.
    pub(super) search: &'static str,
    /// Commands before the program starts, a line each.
    pub(super) settings: &'static str,
    /// Arguments before the caller's.
    pub(super) arguments: &'static str,
    /// The remedy when the packages hold no loader.
    pub(super) remedy: &'static str,
}

impl Launcher {
    /// Writes the script into a folder whose `root` is the tree.
    ///
    /// # Errors
    /// [`ProvisionError::NotPackaged`] when the tree has no dynamic loader, [`ProvisionError::File`] when the script cannot be
    /// written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), ProvisionError> {
        let root = folder.join("root");
        let loader = find_loader(&root).ok_or_else(|| ProvisionError::NotPackaged {
            what: self.what.into(),
            reason: "the packages hold no dynamic loader".into(),
            remedy: self.remedy.into(),
        })?;
        let libraries = loader.parent().expect("found in a folder").to_path_buf();
        let shown = |path: &Path| path.strip_prefix(&root).expect("inside the root").display().to_string();
        let Self { what, program, search, settings, arguments, .. } = self;
        let script = format!(
            r#"#!/bin/sh
# Runs the {what} that `cargo dmus` unpacked, with its own loader and libraries.
root=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)/root
libraries="$root/{libraries}"
{settings}exec "$root/{loader}" --library-path "{search}" "$root/usr/bin/{program}" {arguments}"$@"
"#,
            libraries = shown(&libraries),
            loader = shown(&loader),
        );
        let path = folder.join(program);
        fs::write(&path, script).map_err(FileError::own("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(FileError::own("write", &path))?;
        Ok(())
    }
}

/// Finds the dynamic loader in an unpacked tree, in the folder that also holds the libraries.
pub(super) fn find_loader(root: &Path) -> Option<PathBuf> {
    for lib in ["usr/lib", "lib"] {
        for folder in fs::read_dir(root.join(lib)).into_iter().flatten().flatten() {
            for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if name.to_string_lossy().starts_with("ld-linux-") {
                    return Some(entry.path());
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::host::leftovers::Scratch;
    use crate::provision::command::capture;

    const LAUNCHER: Launcher = Launcher {
        what: "Player",
        program: "player",
        search: "$libraries:$libraries/more",
        settings: "export PLAYER_DATA=\"$root/data\"\n",
        arguments: "-d \"$root/data\" ",
        remedy: "install it",
    };

    #[test]
    fn starts_the_program_after_the_tree_was_moved() {
        let folder = Scratch::new().unwrap();
        let tree = folder.path().join("a");
        let libraries = tree.join("root/usr/lib/some-arch");
        fs::create_dir_all(&libraries).unwrap();
        // A script in the loader's place that prints its arguments and the variable.
        let loader = libraries.join("ld-linux-some.so.2");
        fs::write(&loader, "#!/bin/sh\necho \"$PLAYER_DATA|$*\"\n").unwrap();
        fs::set_permissions(&loader, fs::Permissions::from_mode(0o755)).unwrap();
        LAUNCHER.write(&tree).unwrap();
        let moved = folder.path().join("b");
        fs::rename(&tree, &moved).unwrap();
        let captured = capture(Command::new(moved.join("player")).arg("song")).unwrap();
        let root = moved.join("root").display().to_string();
        let libraries = format!("{root}/usr/lib/some-arch");
        let expected = format!(
            "{root}/data|--library-path {libraries}:{libraries}/more {root}/usr/bin/player -d {root}/data song"
        );
        assert_eq!(captured.stdout.trim(), expected);
    }

    #[test]
    fn refuses_a_tree_without_a_loader() {
        let folder = Scratch::new().unwrap();
        let error = LAUNCHER.write(folder.path()).unwrap_err();
        assert!(matches!(error, ProvisionError::NotPackaged { remedy, .. } if remedy == "install it"));
        assert!(!folder.path().join("player").exists());
    }
}
