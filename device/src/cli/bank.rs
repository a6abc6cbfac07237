//! Lists, converts and builds instrument banks on the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use card_control::render::SongSummary;
use dls_synth::dls::{Collection, ConnectionListing, InstrumentListing, Loaded, Region, RegionListing};
use dls_synth::{Bank, ContainedSong};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::exit::Failure;
use super::whole_file::WholeFile;

/// A file that is said to be a bank: its bytes, which are not looked at yet.
#[derive(Debug)]
pub struct BankFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl BankFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Failure::BankFile`], when it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes =
            std::fs::read(path).map_err(|source| Failure::BankFile { path: path.display().to_string(), source })?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// Returns the file's length and its SHA-256, by which a trace names the bank.
    #[must_use]
    pub fn identity(&self) -> (u64, [u8; 32]) {
        (self.bytes.len() as u64, Sha256::digest(&self.bytes).into())
    }

    /// Returns the name of the file, without its folder.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Parses a bank of any form, with warnings about what was passed over.
    ///
    /// # Errors
    /// [`Failure::Bank`], when it is no usable bank.
    pub fn load(&self) -> Result<Loaded, Failure> {
        let bank = |source| Failure::Bank { path: self.path.display().to_string(), source };
        Collection::load(&self.bytes).map_err(bank)
    }

    /// Parses a bank to play from, and logs what was passed over. That of a file which carries a song is completed by the
    /// built-in one.
    ///
    /// # Errors
    /// [`Failure::Bank`], when it is no usable bank.
    pub fn to_play(&self) -> Result<Arc<Bank>, Failure> {
        let loaded = self.load()?;
        let path = self.path.display();
        for warning in loaded.warnings.iter() {
            log::warn!("{path}: {warning}");
        }
        if loaded.warnings.omitted() > 0 {
            log::warn!("{path}: and {} more", loaded.warnings.omitted());
        }
        let collection = &loaded.collection;
        Ok(Arc::new(if dls_synth::is_container(&self.bytes) {
            Bank::from_collection_over(collection, &Bank::builtin())
        } else {
            Bank::from_collection(collection)
        }))
    }
}

/// The name of the built-in bank in a trace.
pub const BUILT_IN: &str = "built-in";

/// Returns length and SHA-256 of the built-in bank.
#[must_use]
pub fn built_in_identity() -> (u64, [u8; 32]) {
    (dls_synth::builtin::FILE.len() as u64, Sha256::digest(dls_synth::builtin::FILE).into())
}

/// Writes the song that an RMID or XMF file holds as a Standard MIDI File, and returns a summary.
///
/// # Errors
/// [`Failure::Container`] when the file holds no song, [`Failure::WholeFile`] when the song cannot be written.
pub fn song(from: &BankFile, to: WholeFile, as_json: bool) -> Result<String, Failure> {
    let container = |source| Failure::Container { path: from.path.display().to_string(), source };
    let found = ContainedSong::read(&from.bytes).map_err(container)?;
    let place = to.path().display().to_string();
    to.complete(&found.song)?;
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    let summary = SongSummary { bytes: found.song.len() as u64, has_bank: found.has_bank, warnings };
    if as_json {
        let json = serde_json::to_string(&summary).map_err(|error| Failure::Internal(error.to_string()))?;
        return Ok(format!("{json}\n"));
    }
    for warning in &summary.warnings {
        log::warn!("{}: {warning}", from.path.display());
    }
    let bank = if summary.has_bank { "holds a bank too" } else { "holds no bank" };
    Ok(format!("{place}: {} bytes; {} {bank}\n", summary.bytes, from.path.display()))
}

/// Lists a bank: as text, all of it or the instruments alone, or as one JSON object.
///
/// # Errors
/// [`Failure::Bank`], when it is no usable bank.
pub fn info(file: &BankFile, brief: bool, as_json: bool) -> Result<String, Failure> {
    let loaded = file.load()?;
    let listing = loaded.collection.listing();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let omitted = loaded.warnings.omitted();
    if as_json {
        let instrument = |listed: &InstrumentListing| instrument(listed, brief);
        let object = json!({
            "name": listing.name,
            "copyright": listing.copyright,
            "instruments": listing.instruments.iter().map(instrument).collect::<Vec<_>>(),
            "waves": listing.waves.iter().map(|wave| wave.as_ref().map(|wave| json!({
                "name": wave.name,
                "sample_rate": wave.sample_rate,
                "samples": wave.samples,
            }))).collect::<Vec<_>>(),
            "warnings": warnings,
            "warnings_omitted": omitted,
        });
        return Ok(format!("{object}\n"));
    }
    let mut text = if brief {
        let name = if listing.name.is_empty() { "(without a name)" } else { &listing.name };
        let lines = listing.instruments.iter().map(|instrument| {
            let regions = instrument.regions.len();
            format!("{instrument} ({regions} region{})\n", if regions == 1 { "" } else { "s" })
        });
        std::iter::once(format!("{name}\n")).chain(lines).collect()
    } else {
        listing.to_string()
    };
    for warning in warnings {
        text += &format!("warning: {warning}\n");
    }
    if omitted > 0 {
        text += &format!("warning: and {omitted} more\n");
    }
    Ok(text)
}

fn instrument(listed: &InstrumentListing, brief: bool) -> Value {
    let patch = listed.patch;
    let mut object = json!({
        "name": listed.name,
        "drums": patch.drums,
        "bank_msb": patch.bank_msb,
        "bank_lsb": patch.bank_lsb,
        "program": patch.program,
    });
    if brief {
        object["regions"] = listed.regions.len().into();
    } else {
        object["articulation"] = listed.articulation.iter().map(connection).collect();
        object["regions"] = listed.regions.iter().map(region).collect();
    }
    object
}

fn region(listed: &RegionListing) -> Value {
    let sample_loop = listed
        .sample_loop
        .map(|found| json!({ "start": found.start, "length": found.length, "until_release": found.until_release }));
    json!({
        "keys": [listed.keys.0, listed.keys.1],
        "velocities": [listed.velocities.0, listed.velocities.1],
        "key_group": listed.key_group,
        "self_exclusive": listed.self_exclusive,
        "phase_group": listed.phase_group,
        "wave": listed.wave,
        "unity_note": listed.unity_note,
        "fine_tune_cents": listed.fine_tune,
        "gain_db": listed.gain,
        "loop": sample_loop,
        "articulation": listed.articulation.as_ref().map(|list| list.iter().map(connection).collect::<Vec<_>>()),
    })
}

fn connection(listed: &ConnectionListing) -> Value {
    json!({
        "source": listed.source,
        "control": listed.control,
        "destination": listed.destination,
        "transform": listed.transform,
        "scale": listed.scale,
    })
}

/// Writes a bank of any form as a DLS level 2 file, and returns a summary.
///
/// # Errors
/// As for [`BankFile::load`]; [`Failure::WholeFile`] when the file cannot be written, [`Failure::Internal`] when it cannot be read
/// again.
pub fn convert(from: &BankFile, to: WholeFile, as_json: bool) -> Result<String, Failure> {
    let loaded = from.load()?;
    let bytes = loaded.collection.to_dls();
    // A file that cannot be read again is not left behind.
    let again = Collection::from_dls(&bytes)
        .map_err(|error| Failure::Internal(format!("the converted bank cannot be read: {error}")))?;
    if again.instruments.len() != loaded.collection.instruments.len() {
        return Err(Failure::Internal("the converted bank has lost instruments".into()));
    }
    let place = to.path().to_owned();
    to.complete(&bytes)?;
    let mut warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    if loaded.warnings.omitted() > 0 {
        warnings.push(format!("and {} more", loaded.warnings.omitted()));
    }
    warnings.extend(loaded.lost_in_dls.iter().map(ToString::to_string));
    if loaded.lost_in_dls.omitted() > 0 {
        warnings.push(format!("and {} more that DLS has not", loaded.lost_in_dls.omitted()));
    }
    for (before, after) in loaded.collection.instruments.iter().zip(&again.instruments) {
        let lost = |(before, after): &(&Region, &Region)| before.key_group != 0 && after.key_group == 0;
        let lost = before.regions.iter().zip(&after.regions).filter(lost).count();
        if lost > 0 {
            warnings.push(format!(
                "the instrument {:?} has more exclusive classes than DLS has key groups: {lost} regions have none",
                before.name
            ));
        }
    }
    for warning in &warnings {
        log::warn!("{}: {warning}", from.path.display());
    }
    Ok(written(&place, &bytes, again.instruments.len(), &warnings, as_json))
}

/// Makes the built-in bank by the code that it comes from, writes it, and returns a summary.
///
/// # Errors
/// [`Failure::WholeFile`], when the file cannot be written.
pub fn build(to: WholeFile, as_json: bool) -> Result<String, Failure> {
    let bytes = dls_synth::builtin::generate();
    let place = to.path().to_owned();
    to.complete(&bytes)?;
    let instruments = Bank::builtin().describe().len();
    let same = bytes == dls_synth::builtin::FILE;
    let mut warnings = Vec::new();
    if !same {
        warnings.push("it differs from the bank that is built in: that one is older than the code".to_owned());
        log::warn!("{}", warnings[0]);
    }
    Ok(written(&place, &bytes, instruments, &warnings, as_json))
}

fn written(to: &Path, bytes: &[u8], instruments: usize, warnings: &[String], as_json: bool) -> String {
    let hash = hex::encode(Sha256::digest(bytes));
    if as_json {
        let object = json!({
            // A path need not be UTF-8.
            "out": to.to_string_lossy(),
            "bytes": bytes.len(),
            "instruments": instruments,
            "sha256": hash,
            "warnings": warnings,
        });
        return format!("{object}\n");
    }
    format!("{}: {} bytes, {instruments} instruments\nsha256 {hash}\n", to.display(), bytes.len())
}
