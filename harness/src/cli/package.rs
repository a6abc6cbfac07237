//! `dmus package` and `dmus cat`: driver packages, their catalogues and signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use dmus::host::failure::Class;
use dmus::host::file_error::FileError;
use dmus::host::lossy;
use dmus::package::{self, KeyFiles, PackError, Signers, signer_name, test_folder};
use dmus::provision::{Artefact, Overrides, ProvisionError, Provisioner};
use dmus::report::{Terminal, out, out_json};
use driver_package::{
    Architecture, Catalog, FileState, FileVerdict, FolderVerdict, SignatureVerdict, SignedCatalog, Version,
    WindowsVerdict,
};
use serde_json::{Value, json};

use super::error::Outcome;
use super::setup::workspace;

/// Options of `package`.
#[derive(Debug, Args)]
pub(crate) struct PackageArguments {
    /// The folder that gets a folder for each architecture; without, target/dmus/package
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    #[command(flatten)]
    catalog: CatalogArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with a catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum CatVerb {
    /// Make the catalogue of a driver's folder: an INF, and the files that it copies
    Build(BuildArguments),
    /// Compare a folder with its catalogue, check the signatures, and say what Windows 7 to 11 would say; exit code 1 when one
    /// that the catalogue names would refuse
    Verify(VerifyArguments),
    /// Print what a catalogue holds
    Show(VerifyArguments),
}

/// Options of `cat build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The folder
    folder: PathBuf,
    /// The name of its INF, where it has several
    #[arg(long, value_name = "NAME")]
    inf: Option<String>,
    /// The architecture that the folder is for, where its INF has models for several
    #[arg(long)]
    arch: Option<Arch>,
    #[command(flatten)]
    catalog: CatalogArguments,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `cat verify` and `cat show`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The driver's folder, or a catalogue in it
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a catalogue is made.
#[derive(Debug, Args)]
struct CatalogArguments {
    /// 1: SHA-1, Windows 7 and later; 2: SHA-256, Windows 8 and later. Without, the one that all systems of the INF read
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u8).range(1..=2))]
    catalog_version: Option<u8>,
    /// Sign with this certificate (PEM or DER; a chain begins with the signer's). Without, with a test certificate of yours,
    /// which is made the first time
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's RSA key (PEM or DER, PKCS #8 or PKCS #1)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Sign nothing: another tool does
    #[arg(long, conflicts_with_all = ["cert", "key"])]
    unsigned: bool,
}

/// An architecture, as options have it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arch {
    X86,
    X64,
    Arm64,
}

impl Arch {
    const fn architecture(self) -> Architecture {
        match self {
            Self::X86 => Architecture::X86,
            Self::X64 => Architecture::X64,
            Self::Arm64 => Architecture::Arm64,
        }
    }
}

impl CatalogArguments {
    fn version(&self) -> Option<Version> {
        self.catalog_version.map(|version| if version == 1 { Version::V1 } else { Version::V2 })
    }

    fn signers(&self) -> Result<Signers, PackError> {
        match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => {
                Signers::key(&KeyFiles { certificate: certificate.clone(), key: key.clone() })
            }
            _ if self.unsigned => Ok(Signers::Nobody),
            _ => Signers::test(&test_folder()?),
        }
    }
}

/// Makes the packages of the project's driver.
///
/// # Errors
/// [`Error::Provision`](super::error::Error::Provision) when the driver does not build, [`Error::Pack`](super::error::Error::Pack) when it
/// cannot be signed or written.
pub(super) fn package(arguments: &PackageArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = workspace(&terminal)?;
    if workspace.bundle.is_some() {
        return Err(ProvisionError::NotBundled { what: "the sources of a package".into() }.into());
    }
    let signers = arguments.catalog.signers()?;
    let provisioner = Provisioner::new(&workspace, Overrides::default(), &terminal)?;
    let output = arguments.output.clone().unwrap_or_else(|| workspace.cache().join("package"));
    let inf = workspace.root.join("guest-driver/inf/dmuscard.inf");
    let mut made = Vec::new();
    for (artefact, architecture) in [(Artefact::Driver, Architecture::X64), (Artefact::DriverX86, Architecture::X86)] {
        let image = provisioner.resolve(artefact)?;
        made.push(package::make((&image, &inf), architecture, &output, arguments.catalog.version(), &signers)?);
    }
    drop(terminal);
    if arguments.json {
        let packages: Vec<Value> = made
            .iter()
            .map(|made| json!({ "architecture": made.architecture.name(), "folder": lossy::text(&made.folder), "verdict": verdict_json(&made.verdict) }))
            .collect();
        out_json(&json!({ "packages": packages }));
        return Ok(class_of(arguments, &made));
    }
    for made in &made {
        out(&format!("{:<11} {}", made.architecture.name(), made.folder.display()));
        print_verdict(&made.verdict, true);
        out("");
    }
    out(&signed_by(&signers));
    Ok(class_of(arguments, &made))
}

/// A package that no Windows would take is a failure, unless another tool is to sign it.
fn class_of(arguments: &PackageArguments, made: &[package::Made]) -> Option<Class> {
    let refused = made.iter().any(|made| !made.verdict.holds());
    (!arguments.catalog.unsigned && refused).then_some(Class::TestFailed)
}

/// Makes, checks or prints a catalogue.
///
/// # Errors
/// [`Error::Pack`](super::error::Error::Pack) when it cannot be made or read.
pub(super) fn cat(verb: &CatVerb) -> Outcome {
    match verb {
        CatVerb::Build(arguments) => build(arguments),
        CatVerb::Verify(arguments) => verify(arguments),
        CatVerb::Show(arguments) => show(arguments),
    }
}

fn build(arguments: &BuildArguments) -> Outcome {
    let signers = arguments.catalog.signers()?;
    let architecture = arguments.arch.map(Arch::architecture);
    let inf = arguments.inf.as_deref();
    let path = package::build(&arguments.folder, inf, architecture, arguments.catalog.version(), &signers)?;
    let verdict = verdict_of(&arguments.folder, &path)?;
    if arguments.json {
        out_json(&verdict_json(&verdict));
    } else {
        print_verdict(&verdict, true);
        out(&signed_by(&signers));
    }
    // One that another tool is to sign is refused as it is.
    Ok((!arguments.catalog.unsigned && !verdict.holds()).then_some(Class::TestFailed))
}

fn verify(arguments: &VerifyArguments) -> Outcome {
    let catalog = package::catalog_of(&arguments.path)?;
    let folder = if arguments.path.is_dir() {
        arguments.path.clone()
    } else {
        catalog.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf()
    };
    let verdict = verdict_of(&folder, &catalog)?;
    if arguments.json {
        out_json(&verdict_json(&verdict));
    } else {
        print_verdict(&verdict, false);
    }
    Ok((!verdict.holds()).then_some(Class::TestFailed))
}

fn show(arguments: &VerifyArguments) -> Outcome {
    let path = package::catalog_of(&arguments.path)?;
    let bytes = fs::read(&path).map_err(FileError::input(&path))?;
    let signed =
        SignedCatalog::read(&path.display().to_string(), &bytes, SystemTime::now()).map_err(PackError::from)?;
    if arguments.json {
        let mut object = catalog_json(&path, &signed);
        object["members"] = members_json(&signed.catalog);
        out_json(&object);
        return Ok(None);
    }
    print_catalog(&path, &signed);
    for attribute in &signed.catalog.attributes {
        out(&format!("{:<11} {}", attribute.name, attribute.value));
    }
    out("members");
    for member in &signed.catalog.members {
        let file = member.file().unwrap_or("(no name)");
        out(&format!("  {:<64}  {file}  {}", member.tag_text(), member.systems().unwrap_or_default()));
    }
    Ok(None)
}

fn verdict_of(folder: &Path, catalog: &Path) -> Result<FolderVerdict, PackError> {
    if !catalog.exists() {
        return Err(PackError::Catalogs { folder: folder.into(), count: 0 });
    }
    Ok(FolderVerdict::of(folder, catalog, SystemTime::now())?)
}

fn signed_by(signers: &Signers) -> String {
    match signers {
        Signers::Nobody => "nothing is signed".into(),
        Signers::Key(signer) => format!("signed by   {}", signer_name(signer)),
        Signers::Test(signer, _) => {
            let folder = test_folder().map(|folder| folder.display().to_string()).unwrap_or_default();
            format!("signed by   {}, a test certificate in {folder}", signer_name(signer))
        }
    }
}

fn print_catalog(path: &Path, signed: &SignedCatalog) {
    let catalog = &signed.catalog;
    let version = if catalog.version == Version::V1 { 1 } else { 2 };
    out(&format!("catalogue   {}", path.display()));
    out(&format!("version     {version}, of {}", catalog.made_text()));
    if signed.signatures.is_empty() {
        out("signed by   no signer");
    }
    for signature in &signed.signatures {
        let stamp = if signature.has_time_stamp { "with" } else { "without" };
        out(&format!("signed by   {} ({}, {stamp} time stamp)", signature.chain.join(" <- "), signature.hash));
    }
    for fault in signed.faults.iter().chain(signed.signatures.iter().flat_map(|signature| &signature.faults)) {
        out(&format!("  WRONG     {fault}"));
    }
}

fn print_verdict(verdict: &FolderVerdict, short: bool) {
    print_catalog(&verdict.path, &verdict.catalog);
    for file in &verdict.files {
        let state = match file.state {
            FileState::Listed => "ok",
            FileState::Altered => "ALTERED",
            FileState::Unlisted => "UNLISTED",
            FileState::Missing => "MISSING",
        };
        let signature = match &file.signature {
            Some(signature) if signature.faults.is_empty() => ", signed",
            Some(_) => ", signed wrongly",
            None => "",
        };
        out(&format!("  {state:<9} {}{signature}", file.name));
    }
    for windows in &verdict.windows {
        if windows.refusals.is_empty() && !windows.unknown.is_empty() {
            out(&format!("{:<18} cannot be told: {}", windows.name, windows.unknown.join("; ")));
        } else if windows.refusals.is_empty() {
            let conditions = if short { String::new() } else { format!(", with {}", windows.conditions.join("; ")) };
            out(&format!("{:<18} would take it{conditions}", windows.name));
        } else if windows.is_meant || !short {
            out(&format!("{:<18} would refuse it: {}", windows.name, windows.refusals.join("; ")));
        }
    }
}

fn catalog_json(path: &Path, signed: &SignedCatalog) -> Value {
    let catalog = &signed.catalog;
    let attributes: Vec<Value> =
        catalog.attributes.iter().map(|it| json!({ "name": it.name, "value": it.value })).collect();
    json!({
        "catalog": lossy::text(path),
        "version": if catalog.version == Version::V1 { 1 } else { 2 },
        "made": catalog.made_text(),
        "attributes": attributes,
        "signatures": signed.signatures.iter().map(signature_json).collect::<Vec<_>>(),
        "faults": signed.faults,
    })
}

fn members_json(catalog: &Catalog) -> Value {
    let member = |member: &driver_package::Member| json!({ "file": member.file(), "hash": member.tag_text(), "systems": member.systems() });
    catalog.members.iter().map(member).collect()
}

fn signature_json(signature: &SignatureVerdict) -> Value {
    json!({
        "chain": signature.chain, "hash": signature.hash, "certificate_sha256": signature.fingerprint,
        "has_time_stamp": signature.has_time_stamp, "faults": signature.faults, "unknown": signature.unknown,
    })
}

fn verdict_json(verdict: &FolderVerdict) -> Value {
    let file = |file: &FileVerdict| {
        let state = match file.state {
            FileState::Listed => "listed",
            FileState::Altered => "altered",
            FileState::Unlisted => "unlisted",
            FileState::Missing => "missing",
        };
        json!({ "name": file.name, "state": state, "signature": file.signature.as_ref().map(signature_json) })
    };
    let windows = |windows: &WindowsVerdict| {
        json!({
            "name": windows.name, "meant": windows.is_meant, "refusals": windows.refusals, "unknown": windows.unknown,
            "conditions": windows.conditions,
        })
    };
    let mut object = catalog_json(&verdict.path, &verdict.catalog);
    object["files"] = verdict.files.iter().map(file).collect();
    object["windows"] = verdict.windows.iter().map(windows).collect();
    object["holds"] = json!(verdict.holds());
    object
}
