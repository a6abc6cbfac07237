//! The lines of the card's log from which a supervisor learns why the card has ended, which its exit code does not tell.
//!
//! They are logged at the level `info` (`RUST_LOG=info`); what the card finds wrong with a driver, at `warn`.

/// Is logged when QEMU has closed its connection.
pub const FRONT_END_DISCONNECTED: &str = "the front-end has disconnected";

/// Is logged when a signal ends a card that serves QEMU: the signal's name follows.
pub const STOPPED_BY_SIGNAL: &str = "stopping on ";

/// The module that logs what the card finds wrong with a driver, a line each: the code's name, ` on queue ` and the queue's name
/// if it is about one, a colon, and the sentence for the driver's author.
pub const DIAGNOSES: &str = "dmus_card::diagnosis";

/// Returns whether a log says that QEMU has closed its connection.
#[must_use]
pub fn says_front_end_disconnected(log: &str) -> bool {
    log.contains(FRONT_END_DISCONNECTED)
}

/// Finds the name of the signal on which the card stopped, in its log.
#[must_use]
pub fn stopping_signal(log: &str) -> Option<&str> {
    log.rsplit_once(STOPPED_BY_SIGNAL).and_then(|(_, rest)| rest.lines().next())
}

/// Returns what the card has found wrong with a driver by its log, each once, in the order in which it came first: the code's
/// name, with the queue's in parentheses if it is about one, such as `RING_SIZE (WAVE)`.
#[must_use]
pub fn diagnoses(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in log.lines() {
        let Some((_, text)) = line.split_once(DIAGNOSES).and_then(|(_, text)| text.split_once("] ")) else { continue };
        let Some((subject, _)) = text.split_once(": ") else { continue };
        let name = match subject.split_once(" on queue ") {
            Some((code, queue)) => format!("{code} ({queue})"),
            None => subject.to_owned(),
        };
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// Returns a line of the log without the time, level and module that it begins with.
#[must_use]
pub fn without_stamp(line: &str) -> &str {
    let stamped = line.strip_prefix('[').and_then(|line| line.split_once("] "));
    stamped.map_or(line, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_last_signal_in_a_log() {
        let log = "[x INFO  y] the front-end has disconnected\n[x INFO  y] stopping on SIGTERM\nmore\n";
        assert!(says_front_end_disconnected(log));
        assert_eq!(stopping_signal(log), Some("SIGTERM"));
        assert_eq!(stopping_signal("nothing of the kind"), None);
    }

    #[test]
    fn lists_each_diagnosis_once_in_its_order() {
        let log = "[x WARN  dmus_card::diagnosis] RING_SIZE on queue WAVE: ring size 48: parked\n\
                   [x INFO  dmus_card::card] RING_SIZE on queue midi-in: of another module\n\
                   [x WARN  dmus_card::diagnosis] CONFIG_WRITE: the driver wrote\n\
                   [x WARN  dmus_card::diagnosis] RING_SIZE on queue WAVE: ring size 3: parked\n";
        assert_eq!(diagnoses(log), ["RING_SIZE (WAVE)", "CONFIG_WRITE"]);
        assert!(diagnoses("").is_empty());
    }

    #[test]
    fn a_line_loses_its_stamp_and_nothing_else() {
        assert_eq!(without_stamp("[2026-01-02T03:04:05Z WARN  dmus_card::bank] x.dls: odd"), "x.dls: odd");
        assert_eq!(without_stamp("[odd"), "[odd");
    }
}
