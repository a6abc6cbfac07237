//! `dmus image`: images with a Windows of the user's.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use dmus::host::lossy;
use dmus::image::media::{Architecture, Media, MediaKind};
use dmus::image::{Build, BuildOptions, Image, ImageError, Limits, Plan, Store};
use dmus::machine::Accelerator;
use dmus::provision::{Artefact, Overrides, OvmfFiles, Provisioner};
use dmus::report::{Terminal, error_line, out, out_json, table};
use dmus::testbed::measured;
use serde_json::{Value, json};

use super::args::AcceleratorChoice;
use super::error::Outcome;
use super::setup::workspace;

/// What to do with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// Install a Windows from its disc into an image: identify the disc, answer Setup's questions, install certificates, driver and agent
    Build(BuildArguments),
    /// List the images, half-made ones too
    List(ListArguments),
    /// Say what an installation disc is, or what an image holds
    Info(InfoArguments),
    /// Compare an image with what it was when it was made
    Check(NameArguments),
    /// Remove an image, half-made or finished
    Remove(NameArguments),
}

/// Options of `image build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The installation disc, as its publisher has it
    #[arg(long, value_name = "FILE")]
    iso: PathBuf,
    /// The edition: its number on the disc, its name or its identifier. Without, the only one
    #[arg(long)]
    edition: Option<String>,
    /// The product key of your licence, where Setup asks for one
    #[arg(long, value_name = "KEY")]
    product_key: Option<String>,
    /// The image's name
    #[arg(long)]
    name: String,
    /// The folder of the driver's package; without, what `package` has made under target/dmus/package
    #[arg(long, value_name = "FOLDER")]
    package: Option<PathBuf>,
    /// The agent's program, dmus-agent.exe; without, the checkout's is built
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// The firmware; without, UEFI where disc and Windows start by it
    #[arg(long)]
    firmware: Option<FirmwareChoice>,
    /// Memory of the machine, in MiB; without, what the Windows asks for
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..=65536))]
    memory: Option<u32>,
    /// Size of the disk as the guest sees it, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=2048))]
    disk: u64,
    /// How long a phase may take, in minutes: start, copy, configure, set-up, agent; still, without anything that moves; crash, with a screen like a bug check's and nothing else; answer; off
    #[arg(long = "limit", value_name = "NAME=MINUTES")]
    limits: Vec<String>,
    /// Go on with a half-made image, from the last restart of its guest
    #[arg(long)]
    resume: bool,
    /// The accelerator; auto takes the one that a run has measured to be faster, and TCG without a run. Under TCG a Windows takes hours
    #[arg(long, value_enum, default_value = "auto")]
    accel: AcceleratorChoice,
    /// A QEMU to use
    #[arg(long, value_name = "FILE")]
    qemu: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The firmware, as options have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FirmwareChoice {
    Bios,
    Uefi,
}

/// Options of `image list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `image info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArguments {
    /// The file of an installation disc, or the name of an image
    what: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of verbs about one image.
#[derive(Debug, Args)]
pub(crate) struct NameArguments {
    /// The image's name
    name: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl ImageVerb {
    /// Returns whether the verb ends with a JSON object.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Build(arguments) => arguments.json,
            Self::List(arguments) => arguments.json,
            Self::Info(arguments) => arguments.json,
            Self::Check(arguments) | Self::Remove(arguments) => arguments.json,
        }
    }
}

/// Builds, lists, describes, checks or removes images.
///
/// # Errors
/// [`Error::Image`](super::error::Error::Image) for input or an image that cannot be used, and for a build that stopped;
/// [`Error::Provision`](super::error::Error::Provision) when QEMU or its firmware is not there.
pub(super) fn image(verb: &ImageVerb) -> Outcome {
    match verb {
        ImageVerb::Build(arguments) => build(arguments),
        ImageVerb::List(arguments) => list(arguments),
        ImageVerb::Info(arguments) => info(arguments),
        ImageVerb::Check(arguments) => check(arguments),
        ImageVerb::Remove(arguments) => remove(arguments),
    }
}

fn build(arguments: &BuildArguments) -> Outcome {
    let mut limits = Limits::default();
    arguments.limits.iter().try_for_each(|limit| limits.set(limit))?;
    // What the user named is judged before anything is fetched.
    let media = Media::identify(&arguments.iso)?;
    let terminal = Terminal::new();
    if !arguments.json {
        out(&format!("disc         {media}"));
    }
    let workspace = workspace(&terminal)?;
    let package = arguments.package.clone().unwrap_or_else(|| default_package(&workspace.cache(), &media));
    let options = BuildOptions {
        disc: arguments.iso.clone(),
        edition: arguments.edition.clone(),
        key: arguments.product_key.clone(),
        name: arguments.name.clone(),
        package,
        agent: arguments.agent.clone(),
        uefi: arguments.firmware.map(|firmware| firmware == FirmwareChoice::Uefi),
        memory_mib: arguments.memory,
        disk_gib: arguments.disk,
        limits,
        resume: arguments.resume,
    };
    let mut plan = Plan::of(options, media)?;
    if !arguments.json {
        out(&format!("edition      {} ({})", plan.choice.image.name, plan.choice.image.index));
        out(&format!("firmware     {}", if plan.uefi { "UEFI" } else { "BIOS" }));
    }
    if plan.lacks_agent() && workspace.bundle.is_some() {
        return Err(ImageError::NoAgent { reason: "none is named, and no bundle has one".into() }.into());
    }
    let store = Store::of_user()?;
    let overrides = Overrides { qemu: arguments.qemu.clone(), ..Overrides::default() };
    let provisioner = Provisioner::new(&workspace, overrides, &terminal)?;
    let qemu = provisioner.resolve(Artefact::Qemu)?;
    let ovmf = if plan.uefi { OvmfFiles::of(&provisioner.resolve(Artefact::Ovmf)?) } else { None };
    if plan.lacks_agent() {
        let agent = match plan.choice.image.architecture {
            Architecture::X86 => Artefact::AgentX86,
            _ => Artefact::Agent,
        };
        plan.set_agent(&provisioner.resolve(agent)?)?;
    }
    // Others may provision while a build runs for hours.
    drop(provisioner);
    let measured = || measured(&workspace).map_or(Accelerator::Tcg, |(choice, _)| choice.accelerator);
    let accelerator = arguments.accel.accelerator().unwrap_or_else(measured);
    let built = Build::new(plan, &store, (&qemu, accelerator), ovmf.as_ref(), &terminal)?.run()?;
    drop(terminal);
    if arguments.json {
        out_json(&image_json(&built));
    } else {
        print_image(&built);
    }
    Ok(None)
}

/// Returns the folder into which `package` puts the package for the architecture of a disc.
fn default_package(cache: &Path, media: &Media) -> PathBuf {
    let x86 = match &media.kind {
        MediaKind::Windows(images) => images.first().is_some_and(|image| image.architecture.name() == "x86"),
        _ => false,
    };
    cache.join("package").join(if x86 { "x86" } else { "x64" })
}

fn list(arguments: &ListArguments) -> Outcome {
    let store = Store::of_user()?;
    let images = store.list()?;
    if arguments.json {
        let of = |image: &Result<Image, ImageError>| match image {
            Ok(image) => image_json(image),
            Err(error) => json!({ "error": error.to_string() }),
        };
        out_json(
            &json!({ "folder": lossy::text(store.folder()), "images": images.iter().map(of).collect::<Vec<Value>>() }),
        );
        return Ok(None);
    }
    if images.is_empty() {
        out(&format!("no images under {}", store.folder().display()));
    }
    let mut rows = Vec::new();
    for image in &images {
        match image {
            Ok(image) => rows.push(vec![image.name.clone(), state(image), image.manifest.edition.name.clone()]),
            Err(error) => error_line(&format!("warning: {error}")),
        }
    }
    out(&table(&[], &[], rows));
    Ok(None)
}

fn state(image: &Image) -> String {
    if image.half { format!("half-made ({})", image.manifest.phase.name()) } else { "whole".into() }
}

fn info(arguments: &InfoArguments) -> Outcome {
    if arguments.what.exists() {
        let media = Media::identify(&arguments.what)?;
        if arguments.json {
            out_json(&media_json(&media));
            return Ok(None);
        }
        out(&format!("disc         {media}"));
        if let MediaKind::Windows(images) = &media.kind {
            for image in images {
                let text = format!("{} {}, {}, {}", image.index, image.name, image.edition, image.language);
                out(&format!("edition      {text}"));
            }
        }
        return Ok(None);
    }
    let name = arguments.what.to_string_lossy().into_owned();
    let image = find(&Store::of_user()?, &name, true)?;
    if arguments.json {
        out_json(&image_json(&image));
    } else {
        print_image(&image);
    }
    Ok(None)
}

fn check(arguments: &NameArguments) -> Outcome {
    let image = find(&Store::of_user()?, &arguments.name, true)?;
    image.check()?;
    if arguments.json {
        out_json(&image_json(&image));
    } else {
        out(&format!("{} is whole", image.name));
    }
    Ok(None)
}

fn remove(arguments: &NameArguments) -> Outcome {
    Store::of_user()?.remove(&arguments.name)?;
    if arguments.json {
        out_json(&json!({ "removed": arguments.name }));
    } else {
        out(&format!("removed {}", arguments.name));
    }
    Ok(None)
}

/// Finds a finished image, else, where that will do, a half-made one.
fn find(store: &Store, name: &str, half: bool) -> Result<Image, ImageError> {
    let found = match store.open(name, false)? {
        None if half => store.open(name, true)?,
        found => found,
    };
    found.ok_or_else(|| ImageError::Absent { name: name.into(), half: false })
}

fn print_image(image: &Image) {
    let manifest = &image.manifest;
    out(&format!("image        {}, {}", image.name, state(image)));
    out(&format!("holds        {}, build {}", manifest.edition.name, manifest.edition.build));
    out(&format!("from         {}", manifest.disc));
    if let Some(guest) = &manifest.guest {
        out(&format!("agent        {guest}"));
    }
    out(&format!("machine      {}, {} MiB, disk of {} GiB", manifest.firmware, manifest.memory_mib, manifest.disk_gib));
    out(&format!("restarts     {}", manifest.restarts));
    out(&format!("folder       {}", image.folder.display()));
}

fn image_json(image: &Image) -> Value {
    json!({ "name": image.name, "folder": lossy::text(&image.folder), "whole": !image.half, "manifest": image.manifest })
}

fn media_json(media: &Media) -> Value {
    let images = match &media.kind {
        MediaKind::Windows(images) => json!(images),
        _ => json!([]),
    };
    json!({
        "disc": media.to_string(), "volume": media.volume, "bytes": media.bytes, "bios": media.boots.bios, "uefi": media.boots.uefi,
        "editions": images, "fingerprint": media.fingerprint,
    })
}
