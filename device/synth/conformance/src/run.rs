//! Runs cases: renders, measures, judges.

use std::fs;
use std::path::{Path, PathBuf};

use crate::case::Files;
use crate::judge::{Rendered, Verdict, failed, judge};
use crate::render::{Job, RenderError, Renderer, VOICES};
use crate::signal::Recording;

/// Where recordings go.
pub struct Place {
    folder: PathBuf,
    keep: bool,
    // Lives as long as the place, and takes the folder away with it.
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// Makes a folder that stays, or one that is removed.
    ///
    /// # Errors
    /// [`RenderError::Io`] when the folder cannot be made.
    pub fn new(keep: Option<&Path>) -> Result<Self, RenderError> {
        let io = |source| RenderError::Io { what: "cannot make a folder for recordings".into(), source };
        if let Some(folder) = keep {
            fs::create_dir_all(folder).map_err(io)?;
            return Ok(Self { folder: folder.to_owned(), keep: true, _temporary: None });
        }
        let temporary = tempfile::tempdir().map_err(io)?;
        Ok(Self { folder: temporary.path().to_owned(), keep: false, _temporary: Some(temporary) })
    }

    /// Renders files into it; the name has no extension.
    ///
    /// # Errors
    /// [`RenderError`] when the renderer fails, or makes no readable WAV file.
    pub fn render(&self, renderer: &Renderer, files: &Files, dls: &[u8], name: &str) -> Result<Recording, RenderError> {
        let expectations = &files.expectations;
        renderer.render(&Job {
            dls,
            format: expectations.format,
            midi: &files.midi,
            rate: expectations.rate,
            voices: expectations.voices.unwrap_or(VOICES),
            stem: &self.folder.join(name),
            keep: self.keep,
        })
    }
}

/// Runs one case.
///
/// # Errors
/// [`RenderError`], when the renderer itself does not work: a recording of another rate, a full disk. A renderer that
/// fails for this case only makes the case fail.
pub fn run(renderer: &Renderer, files: &Files, place: &Place) -> Result<Verdict, RenderError> {
    let name = files.expectations.id.replace('/', "-");
    let render = |dls: &[u8], suffix: &str| place.render(renderer, files, dls, &format!("{name}{suffix}"));
    let rendered = match &files.sine {
        Some(sine) => render(&files.dls, "").and_then(|cosine| Ok(Rendered::Pair(cosine, render(sine, "-sine")?))),
        None => render(&files.dls, "").map(Rendered::Single),
    };
    match rendered {
        Ok(rendered) => Ok(judge(&files.expectations, &rendered)),
        Err(error @ (RenderError::Refused(_) | RenderError::Failed { .. } | RenderError::NoWav { .. })) => {
            Ok(judge(&files.expectations, &Rendered::Refused(error.to_string())))
        }
        Err(error @ RenderError::TooLong { .. }) => Ok(failed(&files.expectations, error.to_string())),
        Err(error) => Err(error),
    }
}
