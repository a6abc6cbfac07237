//! Makes discs, the user's folders and calls of the program.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dmus::host::leftovers::Scratch;
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use serde_json::Value;

/// Bytes of the boot image: more than a guest must have read to count as started.
const BOOT_IMAGE: u64 = 16 << 20;

/// Returns the path that a variable names; `None`, with a note, where it names none.
pub(crate) fn named(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: {variable} names nothing; `cargo dmus test` sets it");
    }
    found
}

/// What a build needs besides a disc: a package, an agent, and a folder for images.
pub(crate) struct Home {
    pub(crate) scratch: Scratch,
}

impl Home {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let package = scratch.path().join("package");
        fs::create_dir(&package).unwrap();
        for name in ["my.inf", "my.sys", "my.cat", "test-root.cer", "test-signer.cer"] {
            fs::write(package.join(name), name).unwrap();
        }
        fs::write(scratch.path().join("agent.exe"), "MZ").unwrap();
        Self { scratch }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs `image` with arguments; images are in this folder.
    pub(crate) fn image(&self, arguments: &[&str]) -> Output {
        self.dmus("image", arguments)
    }

    /// Runs a verb with arguments.
    pub(crate) fn dmus(&self, verb: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dmus"));
        command.arg(verb).args(arguments).env("XDG_DATA_HOME", self.path("data")).current_dir(self.scratch.path());
        command.output().unwrap()
    }

    /// Builds an image of a disc.
    pub(crate) fn build(&self, more: &[&str]) -> Output {
        let all = [
            "build",
            "--iso",
            "disc.iso",
            "--name",
            "one",
            "--package",
            "package",
            "--agent",
            "agent.exe",
            "--disk",
            "1",
        ];
        self.image(&[&all[..], &["--memory", "512", "--accel", "tcg"], more].concat())
    }

    /// Returns the folder of all images.
    pub(crate) fn images(&self) -> PathBuf {
        self.path("data/dmus/images")
    }

    /// Returns the folder of the image, half-made or whole.
    pub(crate) fn folder(&self, half: bool) -> PathBuf {
        self.images().join(if half { "one.half" } else { "one" })
    }
}

/// Returns what a program wrote, for messages.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Returns the JSON object that a program wrote.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

/// An image of a disc, for `install.wim`: name, edition, build, architecture.
pub(crate) type Edition<'a> = (&'a str, &'a str, u32, u32);

/// Returns an `install.wim` that holds descriptions and nothing else.
pub(crate) fn wim(editions: &[Edition<'_>]) -> Vec<u8> {
    let images: String = editions
        .iter()
        .zip(1..)
        .map(|((name, edition, build, architecture), index)| {
            let kind = if edition.starts_with("Server") { "Server" } else { "Client" };
            format!(
                "<IMAGE INDEX=\"{index}\"><NAME>{name}</NAME><WINDOWS><ARCH>{architecture}</ARCH><EDITIONID>{edition}</EDITIONID>\
                 <INSTALLATIONTYPE>{kind}</INSTALLATIONTYPE><LANGUAGES><LANGUAGE>en-US</LANGUAGE><DEFAULT>en-US</DEFAULT></LANGUAGES>\
                 <VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>{build}</BUILD></VERSION></WINDOWS></IMAGE>"
            )
        })
        .collect();
    let text = format!("\u{feff}<WIM><TOTALBYTES>1</TOTALBYTES>{images}</WIM>");
    let xml: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut file = vec![0; 208];
    file[..8].copy_from_slice(b"MSWIM\0\0\0");
    file[72..80].copy_from_slice(&(xml.len() as u64).to_le_bytes());
    file[80..88].copy_from_slice(&208_u64.to_le_bytes());
    file.extend(xml);
    file
}

/// Writes a disc of files by genisoimage, with UDF and, where there is one, a boot image for UEFI.
pub(crate) fn write_disc(writer: &Path, disc: &Path, volume: &str, files: &[(&str, &[u8])], boot: Option<&Path>) {
    let folder = Scratch::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut arguments: Vec<OsString> = ["-quiet", "-udf", "-V", volume].map(OsString::from).into();
    if let Some(boot) = boot {
        fs::copy(boot, folder.path().join("efi.img")).unwrap();
        arguments.extend(["-e", "efi.img", "-no-emul-boot"].map(OsString::from));
    }
    arguments.extend(["-o".into(), disc.into(), folder.path().into()]);
    let output = Command::new(writer).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// Returns the file with a behaviour's word, which has one length for all of them.
pub(crate) fn behaviour_file(word: &str) -> String {
    format!("{word:<31}\n")
}

/// Writes the disc of a stand-in that ends in the NT host, with the driver's package as what is installed.
pub(crate) fn kernel_disc(home: &Home, behaviour: &str) -> Option<()> {
    let (kernel, driver) = (named("DMUS_NT_HOST")?, named("DMUS_DRIVER")?);
    let package = home.path("package");
    for stale in ["my.inf", "my.sys", "my.cat"] {
        fs::remove_file(package.join(stale)).unwrap();
    }
    let inf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-driver/inf/dmuscard.inf");
    fs::copy(inf, package.join("dmuscard.inf")).unwrap();
    fs::copy(driver, package.join("dmuscard.sys")).unwrap();
    // Debug information is behind what is loaded, and no part of a disc.
    let mut kernel = fs::read(kernel).unwrap();
    kernel.truncate(loaded_bytes(&kernel));
    write_stand_in(home, behaviour, Some(&kernel))
}

/// Returns how many bytes of an ELF file are loaded: to the end of its last segment.
fn loaded_bytes(file: &[u8]) -> usize {
    let number = |at: usize, length: usize| {
        file[at..at + length].iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let (table, count) = (number(32, 8) as usize, number(56, 2) as usize);
    let ends = (0..count).map(|index| table + index * 56).map(|at| number(at + 8, 8) + number(at + 32, 8));
    ends.max().unwrap() as usize
}

/// Writes the disc of the stand-in, which behaves as a word says, as the disc of an edition.
pub(crate) fn stand_in_disc(home: &Home, behaviour: &str) -> Option<()> {
    write_stand_in(home, behaviour, None)
}

fn write_stand_in(home: &Home, behaviour: &str, kernel: Option<&[u8]>) -> Option<()> {
    let (stand_in, writer) = (named("DMUS_STAND_IN")?, named("DMUS_GENISOIMAGE")?);
    let boot = home.path("boot.img");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&boot).unwrap();
    file.set_len(BOOT_IMAGE).unwrap();
    fatfs::format_volume(&mut file, FormatVolumeOptions::new()).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let disk = FileSystem::new(file, FsOptions::new()).unwrap();
    let folder = disk.root_dir().create_dir("EFI").unwrap().create_dir("BOOT").unwrap();
    folder.create_file("BOOTX64.EFI").unwrap().write_all(&fs::read(stand_in).unwrap()).unwrap();
    disk.root_dir().create_file("BEHAVE.TXT").unwrap().write_all(behaviour_file(behaviour).as_bytes()).unwrap();
    if let Some(kernel) = kernel {
        disk.root_dir().create_file("NTHOST.ELF").unwrap().write_all(kernel).unwrap();
    }
    drop(folder);
    disk.unmount().unwrap();
    let wim = wim(&[("Stand-in for Windows 11 Pro", "Professional", 26100, 9)]);
    write_disc(&writer, &home.path("disc.iso"), "STAND_IN", &[("sources/install.wim", &wim)], Some(&boot));
    Some(())
}
