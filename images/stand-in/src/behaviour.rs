//! What the stand-in does wrong on purpose: a word in a file on its disc.

/// A misbehaviour of an installer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// It installs itself.
    #[default]
    Good,
    /// The disc never asks for a key and starts nothing.
    NeverPrompts,
    /// It takes no answer file, and waits for a person to choose a language.
    WrongAnswer,
    /// It stops while it copies.
    Hangs,
    /// It starts again and again, and never gets to its first logon.
    RebootsForEver,
    /// It finds its disk too small.
    DiskFull,
    /// It fills the screen with blue and stops, in its first logon.
    BlueScreen,
    /// A step of its first logon fails.
    StepFails,
    /// It finds Secure Boot on.
    SecureBoot,
    /// Its agent says that it is there, and answers nothing.
    SilentAgent,
    /// Its agent never comes.
    NoAgent,
    /// Installed well, it is silent when it is used: its agent says that it is there, and answers nothing.
    RunSilent,
    /// Installed well, it does not get to its agent when it is used.
    RunNoAgent,
    /// Installed well, it writes a dump when it is used, and shows a blue screen.
    RunBlueScreen,
    /// Installed well, its agent turns it off in the place of an answer.
    RunTurnsOff,
    /// Installed well, its agent is of another version of the protocol.
    RunOtherVersion,
}

/// The file on the disc that names one.
pub const FILE: &str = "BEHAVE.TXT";

impl Behaviour {
    /// Every behaviour, by its word.
    pub const ALL: [(&str, Self); 16] = [
        ("good", Self::Good),
        ("never-prompts", Self::NeverPrompts),
        ("wrong-answer", Self::WrongAnswer),
        ("hangs", Self::Hangs),
        ("reboots-for-ever", Self::RebootsForEver),
        ("disk-full", Self::DiskFull),
        ("blue-screen", Self::BlueScreen),
        ("step-fails", Self::StepFails),
        ("secure-boot", Self::SecureBoot),
        ("silent-agent", Self::SilentAgent),
        ("no-agent", Self::NoAgent),
        ("run-silent", Self::RunSilent),
        ("run-no-agent", Self::RunNoAgent),
        ("run-blue-screen", Self::RunBlueScreen),
        ("run-turns-off", Self::RunTurnsOff),
        ("run-other-version", Self::RunOtherVersion),
    ];

    /// Returns the behaviour of a word; `None` for a word that is none.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == word.trim()).map(|(_, behaviour)| *behaviour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_has_a_word_of_its_own() {
        for (word, behaviour) in Behaviour::ALL {
            assert_eq!(Behaviour::of(word), Some(behaviour));
        }
        assert_eq!(Behaviour::of("good\r\n"), Some(Behaviour::Good));
        assert_eq!(Behaviour::of("odd"), None);
    }
}
