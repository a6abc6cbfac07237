//! The option `--trace FILE[,size=BYTES][,pcm]`.

use std::path::PathBuf;
use std::str::FromStr;

use crate::writer::{SIZE_DEFAULT, SIZE_MAX, SIZE_MIN};

/// Where and how a trace is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceOption {
    /// The file.
    pub path: PathBuf,
    /// Its bytes at most.
    pub size: u64,
    /// Whether wave buffers are recorded with their PCM.
    pub pcm: bool,
}

/// Why a text is no such option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceOptionError {
    /// It names no file.
    #[error("it names no file: FILE, FILE,size=64M or FILE,pcm")]
    NoFile,
    /// A word behind a comma is not known.
    #[error("`{0}` is neither size=BYTES nor pcm")]
    Word(String),
    /// The size is no number of bytes, or out of bounds.
    #[error("`{0}` is no size: a number of bytes, or one with K, M or G, from {SIZE_MIN} to {SIZE_MAX}")]
    Size(String),
}

impl FromStr for TraceOption {
    type Err = TraceOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(',');
        let path = words.next().filter(|path| !path.is_empty()).ok_or(TraceOptionError::NoFile)?;
        let mut option = Self { path: path.into(), size: SIZE_DEFAULT, pcm: false };
        for word in words {
            match word.split_once('=') {
                Some(("size", size)) => {
                    let bytes = bytes(size).filter(|bytes| (SIZE_MIN..=SIZE_MAX).contains(bytes));
                    option.size = bytes.ok_or_else(|| TraceOptionError::Size(size.to_owned()))?;
                }
                None if word == "pcm" => option.pcm = true,
                _ => return Err(TraceOptionError::Word(word.to_owned())),
            }
        }
        Ok(option)
    }
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, shift) = match text.as_bytes().last()? {
        b'K' => (text.get(..text.len().checked_sub(1)?)?, 10),
        b'M' => (text.get(..text.len().checked_sub(1)?)?, 20),
        b'G' => (text.get(..text.len().checked_sub(1)?)?, 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_file_size_and_pcm() {
        let option = |path: &str, size, pcm| TraceOption { path: path.into(), size, pcm };
        assert_eq!("a.trace".parse(), Ok(option("a.trace", SIZE_DEFAULT, false)));
        assert_eq!("b,size=64M".parse(), Ok(option("b", 64 << 20, false)));
        assert_eq!("c,pcm,size=65536".parse(), Ok(option("c", 65_536, true)));
    }

    #[test]
    fn refuses_what_it_does_not_know_by_its_name() {
        let error = |text: &str| text.parse::<TraceOption>().unwrap_err();
        assert_eq!(error(",pcm"), TraceOptionError::NoFile);
        assert_eq!(error("a,pmc"), TraceOptionError::Word("pmc".into()));
        for size in ["", "1", "2G", "64X", "99999999999999999999G", "-1"] {
            assert_eq!(error(&format!("a,size={size}")), TraceOptionError::Size(size.into()));
        }
    }
}
