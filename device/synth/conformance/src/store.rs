//! Cases in folders: `chapter/name.toml`, `.mid`, `.dls` or `.sf2`, and for a pair `.sine.dls` or `.sine.sf2`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::case::{Case, Files};
use crate::cases;
use crate::expect::{Expectations, FORM, Method};

/// What is before the extension of the sine's file.
const SINE: &str = "sine";

/// Why a folder holds no cases.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A text is not in its form.
    #[error("{path}: {source}")]
    Text {
        /// The text.
        path: PathBuf,
        /// What is wrong.
        source: toml::de::Error,
    },
    /// A text is of another form.
    #[error("{path} is of form {found}; this runner reads form {FORM}")]
    Form {
        /// The text.
        path: PathBuf,
        /// Its form.
        found: u32,
    },
    /// There is nothing.
    #[error("{0} holds no case: no .toml is found in it")]
    Empty(PathBuf),
}

/// Returns the suite's own cases, as files.
#[must_use]
pub fn built() -> Vec<Files> {
    cases::all().iter().map(Case::files).collect()
}

impl Files {
    /// Returns the files by their paths below a folder.
    ///
    /// # Panics
    /// If the text form cannot be written: the suite's own mistake.
    #[must_use]
    pub fn named(&self) -> Vec<(String, Vec<u8>)> {
        let id = &self.expectations.id;
        let extension = self.expectations.format.extension();
        let text = toml::to_string(&self.expectations).expect("numbers and strings");
        let mut files = vec![
            (format!("{id}.toml"), text.into_bytes()),
            (format!("{id}.mid"), self.midi.clone()),
            (format!("{id}.{extension}"), self.dls.clone()),
        ];
        files.extend(self.sine.iter().map(|sine| (format!("{id}.{SINE}.{extension}"), sine.clone())));
        files
    }
}

/// Writes all cases into a folder, and gives how many files and bytes that were.
///
/// # Errors
/// [`StoreError::Io`] when a file cannot be written.
pub fn write(folder: &Path) -> Result<(usize, usize), StoreError> {
    let (mut files, mut bytes) = (0, 0);
    for (name, content) in built().iter().flat_map(Files::named) {
        let path = folder.join(name);
        let chapter = path.parent().unwrap_or(folder);
        fs::create_dir_all(chapter).map_err(io_error("create", chapter))?;
        fs::write(&path, &content).map_err(io_error("write", &path))?;
        (files, bytes) = (files + 1, bytes + content.len());
    }
    Ok((files, bytes))
}

/// Reads the cases of a folder and of those in it, by name.
///
/// # Errors
/// [`StoreError::Io`] when a file cannot be read; [`StoreError::Text`] or [`StoreError::Form`] when a text is not in
/// its form; [`StoreError::Empty`] when there is no case.
pub fn read(folder: &Path) -> Result<Vec<Files>, StoreError> {
    let mut texts = Vec::new();
    collect(folder, &mut texts)?;
    if texts.is_empty() {
        return Err(StoreError::Empty(folder.to_owned()));
    }
    let mut files = texts.iter().map(|path| one(path)).collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| a.expectations.id.cmp(&b.expectations.id));
    Ok(files)
}

fn collect(folder: &Path, texts: &mut Vec<PathBuf>) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let path = entry.map_err(io_error("read", folder))?.path();
        if path.is_dir() {
            collect(&path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            texts.push(path);
        }
    }
    Ok(())
}

fn one(path: &Path) -> Result<Files, StoreError> {
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    let expectations: Expectations =
        toml::from_str(&text).map_err(|source| StoreError::Text { path: path.to_owned(), source })?;
    if expectations.form != FORM {
        return Err(StoreError::Form { path: path.to_owned(), found: expectations.form });
    }
    let read = |extension: &str| {
        let path = path.with_extension(extension);
        fs::read(&path).map_err(io_error("read", &path))
    };
    let extension = expectations.format.extension();
    let pair = expectations.method == Method::Quadrature;
    let sine = if pair { Some(read(&format!("{SINE}.{extension}"))?) } else { None };
    Ok(Files { dls: read(extension)?, midi: read("mid")?, sine, expectations })
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}
