//! What a song's reader tells the user: what was left out, repaired, or has no effect.

/// Most notices that are kept of one song; more are counted. A damaged file has a few kinds of faults, and each in many
/// places.
const NOTICES_MAX: usize = 40;

/// The notices of a song.
#[derive(Debug, Default)]
pub(super) struct Notices {
    list: Vec<String>,
    more: usize,
}

impl Notices {
    /// Adds a notice.
    pub(super) fn add(&mut self, text: String) {
        if self.list.len() < NOTICES_MAX { self.list.push(text) } else { self.more += 1 }
    }

    /// Returns all of them, and how many more there were.
    pub(super) fn into_list(mut self) -> Vec<String> {
        if self.more > 0 {
            self.list.push(format!("and {} more of this kind", self.more));
        }
        self.list
    }
}
