//! A private apt: the machine's mirror and keys, but lists, cache and state of its own, so that packages of other releases can
//! be fetched without a change of the system and without root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::command::{capture, run_logged};
use super::error::ProvisionError;
use super::provisioner::Provisioner;
use super::sources::{Source, machine_sources, system};
use crate::host::file_error::FileError;

/// The suites of Debian from which packages are taken; other systems have their own.
#[derive(Clone, Copy)]
pub(super) struct Suites {
    /// The names of the suites; none for those of the machine's release.
    names: &'static [&'static str],
    /// The suite that is preferred where several have a package.
    preferred: Option<&'static str>,
    /// The folder of their lists: apt removes the lists of other suites.
    folder: &'static str,
}

impl Suites {
    /// The newest stable release and its backports.
    pub(super) const STABLE: Self =
        Self { names: &["trixie", "trixie-backports"], preferred: Some("trixie-backports"), folder: "apt" };

    /// The newest packages, for programs that are only compared with.
    pub(super) const UNSTABLE: Self = Self { names: &["sid"], preferred: Some("sid"), folder: "apt-sid" };

    /// The machine's own release, for programs that start themselves again and thus need the machine's loader.
    pub(super) const OWN: Self = Self { names: &[], preferred: None, folder: "apt-own" };
}

/// Longest time for the lists or for a closure of some forty megabytes, over a slow line.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(900);

/// An apt with folders of its own.
pub(super) struct PrivateApt {
    folder: PathBuf,
    configuration: PathBuf,
    logs: PathBuf,
    mirror: String,
    suite: Option<&'static str>,
}

impl PrivateApt {
    /// Creates its folders and fetches the lists.
    ///
    /// # Errors
    /// [`ProvisionError`] without apt, without an archive in the configuration, without network, or with a full disk.
    pub(super) fn new(provisioner: &Provisioner<'_>, what: &str, wanted: Suites) -> Result<Self, ProvisionError> {
        for program in ["apt-get", "dpkg-deb"] {
            if capture(Command::new(program).arg("--version")).is_none() {
                return Err(ProvisionError::NoProgram {
                    program: program.into(),
                    purpose: format!("provisioning {what}"),
                    remedy: format!("on systems other than Debian and Ubuntu, install {what} by hand"),
                });
            }
        }
        let (id, codename) = system();
        let archives = archives_of(machine_sources(), &codename);
        let Some(archive) = archives.first() else {
            return Err(ProvisionError::NotPackaged {
                what: what.into(),
                reason: format!("apt's configuration names no archive for the release {codename:?} of {id:?}"),
                remedy: format!(
                    "add the archive of your release to /etc/apt/sources.list.d, or install {what} by hand"
                ),
            });
        };
        // Debian's mirrors hold all of its releases. Other systems have packages of their own release only.
        let (suites, suite): (Vec<String>, _) = if id == "debian" && !wanted.names.is_empty() {
            (wanted.names.iter().map(|name| (*name).to_owned()).collect(), wanted.preferred)
        } else {
            let own = archives.iter().filter(|other| other.uri == archive.uri);
            (own.flat_map(|archive| archive.suites.clone()).collect(), None)
        };
        let folder = provisioner.workspace.cache().join(wanted.folder);
        for part in ["lists/partial", "cache/archives/partial", "parts", "preferences"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(FileError::own("create", &path))?;
        }
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(FileError::own("write", &path)).map(|()| path)
        };
        write("status", "")?;
        write("parts/archive.sources", &stanza(archive, &suites))?;
        write("sources.list", "")?;
        let configuration = write("apt.conf", &configuration(&folder))?;
        let apt =
            Self { folder, configuration, logs: provisioner.workspace.logs(), mirror: archive.uri.clone(), suite };
        apt.run(&format!("fetching the package lists for {what}"), &["update"])?;
        Ok(apt)
    }

    /// Fetches a package with its dependencies, and unpacks them into a folder.
    ///
    /// # Errors
    /// [`ProvisionError`] when the package is unknown, the network fails, or the disk is full.
    pub(super) fn unpack_closure(&self, package: &str, into: &Path) -> Result<(), ProvisionError> {
        let archives = self.folder.join("cache/archives");
        clear_packages(&archives);
        let mut arguments = vec!["install", "--yes", "--download-only", "--no-install-recommends"];
        if let Some(suite) = self.suite {
            arguments.extend(["--target-release", suite]);
        }
        arguments.push(package);
        self.run(&format!("fetching {package} and its dependencies"), &arguments)?;
        self.unpack_all(&archives, into)
    }

    /// Returns the versions of a package that the archive holds, newest first.
    pub(super) fn versions(&self, package: &str) -> Vec<String> {
        let mut command = Command::new("apt-cache");
        command.arg("-c").arg(&self.configuration).args(["madison", package]);
        let text = capture(&mut command).map(|captured| captured.stdout).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned())).collect()
    }

    /// Fetches one version of a package without its dependencies, and unpacks it into a folder.
    ///
    /// # Errors
    /// [`ProvisionError`] when the network fails or the disk is full.
    pub(super) fn unpack_one(&self, package: &str, version: &str, into: &Path) -> Result<(), ProvisionError> {
        let folder = self.folder.join("one");
        fs::create_dir_all(&folder).map_err(FileError::own("create", &folder))?;
        clear_packages(&folder);
        let mut command = self.command();
        command.current_dir(&folder).args(["download", &format!("{package}={version}")]);
        self.run_command(&format!("fetching {package} {version}"), command)?;
        self.unpack_all(&folder, into)
    }

    /// Returns the suite and the mirror, for people.
    pub(super) fn origin(&self) -> String {
        format!("{} on {}", self.suite.unwrap_or("this release"), self.mirror)
    }

    fn unpack_all(&self, folder: &Path, into: &Path) -> Result<(), ProvisionError> {
        fs::create_dir_all(into).map_err(FileError::own("create", into))?;
        let entries = fs::read_dir(folder).map_err(FileError::own("read", folder))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "deb") {
                let mut command = Command::new("dpkg-deb");
                command.arg("--extract").arg(&path).arg(into);
                self.run_command(&format!("unpacking {}", path.display()), command)?;
            }
        }
        clear_packages(folder);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        // Its messages are compared with phrases below.
        command.env("LC_ALL", "C").arg("-c").arg(&self.configuration);
        command
    }

    fn run(&self, what: &str, arguments: &[&str]) -> Result<(), ProvisionError> {
        let mut command = self.command();
        command.args(arguments);
        self.run_command(what, command)
    }

    fn run_command(&self, what: &str, command: Command) -> Result<(), ProvisionError> {
        let log = self.logs.join("apt.log");
        run_logged(what, command, &log, None, DOWNLOAD_LIMIT).map_err(|error| match error {
            ProvisionError::Failed { what, tail, .. } if contains(&tail, &NO_NETWORK) => {
                ProvisionError::NoNetwork { what, from: self.mirror.clone(), tail }
            }
            ProvisionError::Failed { what, tail, .. } if contains(&tail, &NO_SPACE) => {
                let free_mib = rustix::fs::statvfs(&self.folder).map_or(0, |s| (s.f_bavail * s.f_frsize) >> 20);
                ProvisionError::DiskFull { what, path: self.folder.clone(), needed_mib: free_mib + 1, free_mib }
            }
            other => other,
        })
    }
}

/// The phrases by which apt reports that the network fails.
const NO_NETWORK: [&str; 5] =
    ["Temporary failure", "Could not resolve", "Could not connect", "Connection timed out", "Network is unreachable"];

/// The phrases by which apt and dpkg report that the disk is full.
const NO_SPACE: [&str; 2] = ["No space left on device", "enough free space"];

fn contains(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| text.contains(phrase))
}

/// Returns the archives that hold the machine's own release. Security archives hold no other release, so they are left out.
fn archives_of(sources: Vec<Source>, codename: &str) -> Vec<Source> {
    let carries = |source: &Source| {
        source.suites.iter().any(|suite| suite == codename || suite == "sid" || suite == "stable")
            && source.components.iter().any(|component| component == "main")
    };
    sources.into_iter().filter(carries).collect()
}

fn stanza(archive: &Source, suites: &[String]) -> String {
    let mut text = format!("Types: deb\nURIs: {}\nSuites: {}\n", archive.uri, suites.join(" "));
    let components: Vec<&str> = archive
        .components
        .iter()
        .map(String::as_str)
        .filter(|component| ["main", "universe"].contains(component))
        .collect();
    text += &format!("Components: {}\n", components.join(" "));
    if let Some(key) = &archive.signed_by {
        text += &format!("Signed-By: {key}\n");
    }
    if archive.trusted {
        text += "Trusted: yes\n";
    }
    text
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"# Read after the machine's own configuration, whose proxies and credentials stay in force.
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "{folder}/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "{folder}/preferences";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::State::extended_states "{folder}/extended_states";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "archives";
Dir::Log "{folder}";
Debug::NoLocking "true";
# The download user of the system cannot look into a private folder; signatures are checked either way.
APT::Sandbox::User "root";
# A list that could not be fetched is an error, not a warning.
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
# The machine's hooks are for the machine's own state.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
"#
    )
}

fn clear_packages(folder: &Path) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "deb") {
            // A package that stays is unpacked once more.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uri: &str, suite: &str) -> Source {
        Source {
            uri: uri.into(),
            suites: vec![suite.into()],
            components: vec!["main".into(), "non-free".into()],
            signed_by: Some("/k.gpg".into()),
            trusted: false,
        }
    }

    #[test]
    fn uses_only_the_archive_of_the_machines_release() {
        let sources = vec![
            source("http://tools.example", "tools"),
            source("http://m.example", "bookworm"),
            source("http://s.example", "bookworm-security"),
        ];
        let archives = archives_of(sources, "bookworm");
        assert_eq!(archives.len(), 1);
        assert_eq!(archives[0].uri, "http://m.example");
    }

    #[test]
    fn keeps_the_machines_key_and_free_components_in_the_private_list() {
        let text = stanza(&source("http://m.example", "bookworm"), &["trixie".into(), "trixie-backports".into()]);
        assert_eq!(
            text,
            "Types: deb\nURIs: http://m.example\nSuites: trixie trixie-backports\nComponents: main\nSigned-By: /k.gpg\n"
        );
    }
}
