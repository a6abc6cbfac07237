//! What a page is about.

/// What ran, for the head of the page.
#[derive(Clone, Debug)]
pub struct About {
    /// The command line.
    pub command: String,
    /// When it began, as text with a time zone.
    pub begun: String,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
}
