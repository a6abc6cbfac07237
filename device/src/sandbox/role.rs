//! The roles of the card's threads: what each may do, and which starts which.

use super::calls::{
    ABANDONS, ACCEPTS, ANY_THREAD, Allowed, DESCRIBES, ENDS_A_CONNECTION, EVENTS, GUARDS, NEXT_SOUND_FILE, OFFLINE,
    RINGS, SERVES_A_BACKEND, SERVES_A_FUNCTION, SOCKET_PATHS, SOUND_FILE, STARTS_THREADS, STEMS, TALKS,
};

/// What a thread is for. It enters its role when it starts, and never leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Parses a bank.
    Parse,
    /// Accepts front-ends, and guards their connections.
    Serve,
    /// Serves QEMU as a PCI function over vfio-user, with the threads that it starts for that.
    Function,
    /// Serves the guard as a back-end, by the threads of the framework.
    Backend,
    /// Takes kicks and serves the queues, for the framework.
    Worker,
    /// Frees interrupts that a front-end blocks.
    Calls,
    /// The card: takes requests and renders.
    Card,
    /// The card, when it writes a sound file.
    CardWithLineOut,
    /// Reports a card that stalls.
    Watchdog,
    /// Accepts connections of the control socket.
    Control,
    /// Answers one connection of the control socket.
    ControlLine,
    /// Completes the sound file after a signal.
    Finish,
    /// Ends the process after a signal.
    Deadline,
    /// Carries out `render` and `bank`.
    Offline,
    /// Carries out `render --stems`.
    OfflineStems,
    /// Removes unfinished outputs and ends the process, at a signal.
    Signals,
}

/// The folders of which a role may change entries, where the kernel has Landlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// None.
    Nothing,
    /// Entries of the sockets' folders may be removed.
    Sockets,
    /// Files may be made and removed in the folders of the outputs.
    Outputs,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 16] = [
        Self::Parse,
        Self::Serve,
        Self::Function,
        Self::Backend,
        Self::Worker,
        Self::Calls,
        Self::Card,
        Self::CardWithLineOut,
        Self::Watchdog,
        Self::Control,
        Self::ControlLine,
        Self::Finish,
        Self::Deadline,
        Self::Offline,
        Self::OfflineStems,
        Self::Signals,
    ];

    /// Returns the name of the role in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Serve => "serve",
            Self::Function => "function",
            Self::Backend => "back-end",
            Self::Worker => "worker",
            Self::Calls => "calls",
            Self::Card => "card",
            Self::CardWithLineOut => "card with line out",
            Self::Watchdog => "watchdog",
            Self::Control => "control",
            Self::ControlLine => "control line",
            Self::Finish => "finish",
            Self::Deadline => "deadline",
            Self::Offline => "offline",
            Self::OfflineStems => "offline with stems",
            Self::Signals => "signals",
        }
    }

    /// Returns the roles of the threads that start threads of this one when they are in their role already: such a thread
    /// has the filters of both.
    #[must_use]
    pub const fn started_by(self) -> &'static [Self] {
        match self {
            Self::Backend => &[Self::Serve],
            Self::Worker | Self::Calls => &[Self::Backend, Self::Serve],
            Self::ControlLine => &[Self::Control],
            _ => &[],
        }
    }

    /// Returns the groups of calls that the role may make.
    #[must_use]
    pub const fn groups(self) -> &'static [&'static [Allowed]] {
        match self {
            Self::Serve => &[
                ANY_THREAD,
                STARTS_THREADS,
                ACCEPTS,
                TALKS,
                GUARDS,
                DESCRIBES,
                SERVES_A_BACKEND,
                RINGS,
                SOUND_FILE,
                SOCKET_PATHS,
            ],
            Self::Function => &[
                ANY_THREAD,
                STARTS_THREADS,
                ACCEPTS,
                TALKS,
                DESCRIBES,
                SERVES_A_BACKEND,
                SERVES_A_FUNCTION,
                RINGS,
                SOUND_FILE,
                SOCKET_PATHS,
            ],
            Self::Backend => &[ANY_THREAD, STARTS_THREADS, ACCEPTS, TALKS, DESCRIBES, SERVES_A_BACKEND, RINGS],
            Self::Worker => &[ANY_THREAD, RINGS, EVENTS],
            Self::Calls => &[ANY_THREAD, RINGS, ENDS_A_CONNECTION],
            Self::Card => &[ANY_THREAD, RINGS],
            Self::CardWithLineOut => &[ANY_THREAD, RINGS, SOUND_FILE, NEXT_SOUND_FILE],
            Self::Parse | Self::Watchdog => &[ANY_THREAD],
            Self::Control => &[ANY_THREAD, STARTS_THREADS, ACCEPTS, TALKS, SOCKET_PATHS],
            Self::ControlLine => &[ANY_THREAD, TALKS],
            Self::Finish => &[ANY_THREAD, SOUND_FILE],
            Self::Deadline => &[ANY_THREAD, SOCKET_PATHS],
            Self::Offline => &[ANY_THREAD, STARTS_THREADS, OFFLINE],
            Self::OfflineStems => &[ANY_THREAD, STARTS_THREADS, OFFLINE, STEMS],
            Self::Signals => &[ANY_THREAD, ABANDONS],
        }
    }

    /// Returns the folders that the role reaches.
    #[must_use]
    pub const fn reach(self) -> Reach {
        match self {
            Self::Serve | Self::Function | Self::Control | Self::Deadline => Reach::Sockets,
            Self::CardWithLineOut | Self::Offline | Self::OfflineStems | Self::Signals => Reach::Outputs,
            Self::Parse
            | Self::Backend
            | Self::Worker
            | Self::Calls
            | Self::Card
            | Self::Watchdog
            | Self::ControlLine
            | Self::Finish => Reach::Nothing,
        }
    }

    /// Returns the rows of all groups of the role.
    pub fn allowed(self) -> impl Iterator<Item = &'static Allowed> {
        self.groups().iter().copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise its calls would be refused by the filter that it begins with.
    #[test]
    fn a_role_may_do_nothing_that_the_one_that_starts_it_may_not() {
        for role in Role::ALL {
            for starter in role.started_by() {
                for allowed in role.allowed() {
                    let covers =
                        |row: &Allowed| row.call == allowed.call && (row.only.is_none() || row.only == allowed.only);
                    assert!(
                        starter.allowed().any(covers),
                        "{} in {}, in {}",
                        allowed.call,
                        role.name(),
                        starter.name()
                    );
                }
            }
        }
    }

    #[test]
    fn no_role_starts_programs_opens_what_is_there_or_reaches_another_machine() {
        use syscalls::Sysno;
        for role in Role::ALL {
            for call in [Sysno::execve, Sysno::execveat, Sysno::ptrace, Sysno::openat2, Sysno::io_uring_setup] {
                assert!(role.allowed().all(|allowed| allowed.call != call), "{call} in {}", role.name());
            }
            let bounded = |allowed: &&Allowed| {
                matches!(allowed.call, Sysno::openat | Sysno::clone | Sysno::socket | Sysno::mmap | Sysno::tgkill)
            };
            assert!(role.allowed().filter(bounded).all(|allowed| allowed.only.is_some()), "{}", role.name());
        }
    }
}
