//! The simulated process that a thread works for.

/// The process that a thread works for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Process {
    /// The system itself.
    #[default]
    System,
    /// A 64-bit process.
    Wide,
    /// A 32-bit process: its pointers and handles have four bytes.
    Narrow,
}
