//! What is wrong with files, each thing with path, line, column and the line itself.

use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A range of bytes of a file's text.
pub type Span = Range<usize>;

/// A file and its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
}

impl Source<'_> {
    /// Returns a message with the place that it is about, as compilers do.
    #[must_use]
    pub fn show(self, span: Span, message: &str) -> String {
        let path = self.path.display().to_string();
        let span = span.start.min(self.text.len())..span.end.min(self.text.len());
        let place = Snippet::source(self.text).path(path.as_str()).annotation(AnnotationKind::Primary.span(span));
        let report = [Level::ERROR.no_name().primary_title(message).element(place)];
        Renderer::plain().render(&report)
    }

    /// Returns the line of a place, from 1.
    #[must_use]
    pub fn line(self, span: &Span) -> usize {
        1 + self.text.get(..span.start).unwrap_or_default().matches('\n').count()
    }
}

/// What is wrong with one or several files.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

/// One of them.
#[derive(Debug)]
struct Problem {
    path: PathBuf,
    start: usize,
    message: String,
    text: String,
}

impl Problems {
    /// Adds what is wrong at a place.
    pub fn add(&mut self, source: Source<'_>, span: Span, message: &str) {
        let (path, start) = (source.path.to_path_buf(), span.start);
        self.0.push(Problem { path, start, message: message.into(), text: source.show(span, message) });
    }

    /// Adds what was shown elsewhere, about all of a file.
    pub fn add_shown(&mut self, path: &Path, text: String) {
        self.0.push(Problem { path: path.into(), start: 0, message: text.clone(), text });
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the messages alone, without places, for what stands in no file.
    #[must_use]
    pub fn messages(self) -> Vec<String> {
        self.0.into_iter().map(|problem| problem.message).collect()
    }

    /// Returns all of them, in the order of their places, with an empty line between two.
    #[must_use]
    pub fn text(mut self) -> String {
        self.0.sort_by(|one, other| (&one.path, one.start).cmp(&(&other.path, other.start)));
        self.0.into_iter().map(|problem| problem.text).collect::<Vec<_>>().join("\n\n")
    }
}
