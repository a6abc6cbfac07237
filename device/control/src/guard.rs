//! Options of a guard in front of the card (`vhost-user-guard`), which keeps QEMU's connection when the card's process ends.

use card_spec::identity::{PRESENCE_OFFSET, Presence};
use card_spec::limits::QUEUE_SIZE_MAX;

/// The name of the guard's program. It is installed beside the card's.
pub const PROGRAM: &str = "vhost-user-guard";

/// Returns the options that go with the card, beside the paths of the sockets: `--socket` for QEMU, `--backend-listen` for the
/// card, which is started with `--guard` and the same path.
#[must_use]
pub fn options() -> [String; 5] {
    let mark = format!("{PRESENCE_OFFSET}:{}", Presence::LOST.0);
    ["--reads-kicks".into(), "--ring-size".into(), QUEUE_SIZE_MAX.to_string(), "--loss-mark".into(), mark]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_have_the_numbers_of_the_datasheet() {
        assert_eq!(options().join(" "), "--reads-kicks --ring-size 128 --loss-mark 26:1");
    }
}
