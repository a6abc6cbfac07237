//! The word that was probably meant.

use strsim::jaro_winkler;

/// Two words are alike from this similarity on: a letter that is missing, doubled or another one, or a separator.
const ALIKE: f64 = 0.8;

/// Returns the word that is most like the written one, if one is like it.
pub fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', ' '], "_");
    let written = plain(written);
    words
        .into_iter()
        .map(|word| (jaro_winkler(&written, &plain(word)), word))
        .filter(|(similarity, _)| *similarity >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_where_nothing_is_like_it() {
        let words = ["wait_for", "play", "expect", "parallel"];
        assert_eq!(nearest("wait-for", words), Some("wait_for"));
        assert_eq!(nearest("exepct", words), Some("expect"));
        assert_eq!(nearest("paly", words), Some("play"));
        assert_eq!(nearest("zebra", words), None);
    }
}
