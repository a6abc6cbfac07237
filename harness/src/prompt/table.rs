//! The verbs of the prompt: one table, from which help, completion, hints, the nearest word and the reference come.

use super::answer::{Answer, Refusal};
use super::turn::Turn;
use super::words::Words;
use super::{lines, views};
use crate::document::nearest;

/// What a verb does with its words.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// It is a step: returns its TOML.
    Step(fn(&Words) -> Result<String, Refusal>),
    /// It shows or changes something that is no step.
    View(fn(&mut Turn<'_, '_>, &Words) -> Result<Answer, Refusal>),
    /// It is about the prompt itself.
    Own(Act),
}

/// What is done to the prompt itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Lists the verbs, or explains one.
    Help,
    /// Executes the lines of a file.
    Source,
    /// Writes the session as a scenario.
    Save,
    /// Does everything again.
    Again,
    /// Goes on with a scenario's steps.
    Continue,
    /// Leaves.
    Quit,
}

/// What the first word behind a verb is, for completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// Anything.
    Any,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A file.
    File,
    /// A song of the project, or a file.
    Song,
    /// A stream that is open.
    Stream,
    /// A kind of fault.
    Fault,
    /// A property by name.
    Property,
    /// A verb.
    Verb,
}

/// A verb of the prompt.
pub(super) struct PromptVerb {
    /// Its name.
    pub(super) name: &'static str,
    /// Other names.
    pub(super) aliases: &'static [&'static str],
    /// Its arguments, as help shows them.
    pub(super) arguments: &'static str,
    /// What it does, in a line.
    pub(super) help: &'static str,
    /// What its first word is.
    pub(super) first: Argument,
    /// What it does.
    pub(super) run: Run,
}

/// Verbs that belong together.
pub(super) struct Group {
    /// What they are about.
    pub(super) title: &'static str,
    /// They.
    pub(super) verbs: &'static [PromptVerb],
}

const fn verb(
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
    first: Argument,
    run: Run,
) -> PromptVerb {
    PromptVerb { name, aliases: &[], arguments, help, first, run }
}

const fn also(
    name: &'static str,
    aliases: &'static [&'static str],
    arguments: &'static str,
    help: &'static str,
    first: Argument,
    run: Run,
) -> PromptVerb {
    PromptVerb { name, aliases, arguments, help, first, run }
}

use Argument::{Any, Fault, File, Property, Song, Stream, Verb, Words as OneOf};
use Run::{Own, Step, View};

/// All verbs.
pub(super) static GROUPS: [Group; 6] = [
    Group {
        title: "Driver and device (steps: each has the members of SCENARIOS.md as name=value)",
        verbs: &[
            verb("load", "", "load the driver, and call DriverEntry", Any, Step(lines::load)),
            verb("start", "", "start the device: AddDevice, IRP_MN_START_DEVICE", Any, Step(lines::start)),
            verb("restart", "", "stop the device, and start it with other resources", Any, Step(lines::restart)),
            verb(
                "power",
                "d0|d1|d2|d3",
                "set the device's power state",
                OneOf(&["d0", "d1", "d2", "d3"]),
                Step(lines::power),
            ),
            verb("stop", "", "stop the device, and remove it", Any, Step(lines::stop)),
            verb("remove", "", "pull the device out: surprise removal", Any, Step(lines::remove)),
            verb(
                "unload",
                "[NAME]",
                "unload the driver, and look for what it holds; or what was downloaded as NAME",
                Any,
                Step(lines::unload),
            ),
        ],
    },
    Group {
        title: "Streams (steps)",
        verbs: &[
            verb(
                "open",
                "[song|directmusic|midi|capture|wave] [as=NAME] [sample_rate=HZ] [state=run]",
                "open a stream",
                OneOf(&["song", "directmusic", "midi", "capture", "wave"]),
                Step(lines::open),
            ),
            verb(
                "state",
                "stop|acquire|pause|run [stream=NAME] [pin=music|wave]",
                "set the state of a stream's pins",
                OneOf(&["stop", "acquire", "pause", "run"]),
                Step(lines::state),
            ),
            verb("format", "HZ [stream=NAME]", "connect a stream again at another rate", Any, Step(lines::format)),
            verb("close", "[STREAM]", "close a stream", Stream, Step(lines::close)),
            verb(
                "play",
                "[SONG] [from_ms=N] [to_ms=N] [tempo_percent=N]",
                "play a song, or a MIDI file",
                Song,
                Step(lines::play),
            ),
            verb(
                "note",
                "NOTE[,NOTE...] [VELOCITY] [LENGTH] [channel=1] [program=N]",
                "play notes, such as note c4 100 500ms",
                Any,
                Step(super::notes::step_of_line),
            ),
            verb("midi", "BYTES...", "play one message, such as midi 90 3c 64", Any, Step(lines::midi)),
            verb(
                "send",
                "BYTES... | song=SONG",
                "bring a message in at the device's MIDI input",
                Any,
                Step(lines::send),
            ),
            verb(
                "capture",
                "[messages=[...]] [song=SONG] [stream=NAME]",
                "take what came out of a capture stream, and compare it",
                Any,
                Step(lines::capture),
            ),
            verb(
                "property",
                "NAME|SET ID [get=BYTES] [set_to=HEX] [set_to_u32=N] [support=true]",
                "ask for a property, or set it",
                Property,
                Step(lines::property),
            ),
            verb(
                "download",
                "triangle as=NAME | file=FILE as=NAME",
                "download an instrument",
                OneOf(&["triangle"]),
                Step(lines::download),
            ),
        ],
    },
    Group {
        title: "Time, faults, host, expectations (steps)",
        verbs: &[
            verb(
                "advance",
                "TIME|FRAMES",
                "let the card's time pass: 10ms, or a number of frames",
                Any,
                Step(lines::advance),
            ),
            verb(
                "fault",
                "KIND [MEMBERS] [at={ frame = N }]",
                "have the card fail; `help fault` lists the kinds",
                Fault,
                Step(lines::fault),
            ),
            verb(
                "host",
                "kill=card|qemu, suspend={...}, control='JSON', shell='COMMAND'",
                "act on the host",
                Any,
                Step(lines::host),
            ),
            verb(
                "wait_for",
                "log=TEXT, value=NAME min=N, struck=KIND, new_session=true",
                "wait for an event",
                Any,
                Step(lines::wait_for),
            ),
            verb(
                "expect",
                "bit_identical=true, no_diagnosis=true, value=NAME equals=N, ...",
                "expect something",
                Any,
                Step(lines::expect),
            ),
            verb("keep", "VALUE NAME", "keep a value under a name, for since= of later lines", Any, Step(lines::keep)),
        ],
    },
    Group {
        title: "Views",
        verbs: &[
            verb(
                "filters",
                "[NAME]",
                "the driver's filters, with pins and data ranges",
                Any,
                View(views::filters::show),
            ),
            also("counters", &["stat"], "", "what guest and card have counted", Any, View(views::counters::show)),
            verb(
                "diag",
                "",
                "what the card found wrong with the driver, and what the guest noted",
                Any,
                View(views::diag::show),
            ),
            verb(
                "voices",
                "",
                "the card's session: each voice that sounds, streams, events that wait",
                Any,
                View(views::voices::show),
            ),
            verb(
                "queues",
                "[NAME]",
                "the virtqueues with their rings, from the guest's memory",
                OneOf(&["control", "midi-out", "midi-in", "wave", "event"]),
                View(views::queues::show),
            ),
            verb("regs", "", "the device's registers, by name", Any, View(views::regs::show)),
            verb(
                "pci",
                "[ADDRESS]",
                "the functions of the bus; configuration space with its capabilities",
                Any,
                View(views::pci::show),
            ),
            verb(
                "irq",
                "",
                "interrupts: connected, raised, claimed, not claimed; by queue and by processor",
                Any,
                View(views::guest::irq),
            ),
            verb("dpcs", "", "deferred procedure calls and timers that are queued", Any, View(views::guest::dpcs)),
            verb("threads", "", "system threads, with what each waits for", Any, View(views::guest::threads)),
            verb("irps", "", "requests that are not complete", Any, View(views::guest::irps)),
            verb("pool", "", "the driver's pool by tag", Any, View(views::guest::pool)),
            verb(
                "objects",
                "",
                "PortCls' objects with their references, and who holds them",
                Any,
                View(views::guest::objects),
            ),
        ],
    },
    Group {
        title: "Memory, machine, trace",
        verbs: &[
            verb(
                "peek",
                "virt|phys|port|bar ADDRESS [BYTES] [width=1|2|4|8]",
                "read memory, ports or registers (bar: N+OFFSET)",
                OneOf(views::memory::SPACES),
                View(views::memory::peek),
            ),
            verb(
                "poke",
                "virt|phys|port|bar ADDRESS VALUE [width=1|2|4|8]",
                "write memory, ports or registers",
                OneOf(views::memory::SPACES),
                View(views::memory::poke),
            ),
            verb(
                "live",
                "SOURCE [SECONDS]",
                "live MIDI at the device's input, from a song, a FIFO or a MIDI device, and its latency",
                File,
                View(views::live::capture),
            ),
            verb("md", "ADDRESS [BYTES]", "peek virt", Any, View(views::memory::md)),
            verb("mw", "ADDRESS VALUE", "poke virt", Any, View(views::memory::mw)),
            verb(
                "trace",
                "[tail [N] [FILTER] | on | off]",
                "the newest records of the card's trace and the guest's marks; stop recording, or go on with it",
                OneOf(&["tail", "on", "off"]),
                View(views::trace::show),
            ),
            verb("mark", "TEXT", "put a mark into the trace", Any, View(views::trace::mark)),
            verb(
                "qemu",
                "COMMAND...",
                "a command of QEMU's human monitor, such as qemu info mtree",
                Any,
                View(views::machine::qemu),
            ),
            verb(
                "gdb",
                "[SOCKET|PORT]",
                "have QEMU listen for a debugger, and write the files by which one finds the driver",
                Any,
                View(views::machine::gdb),
            ),
        ],
    },
    Group {
        title: "The prompt",
        verbs: &[
            also("help", &["?"], "[VERB]", "list the verbs, or explain one", Verb, Own(Act::Help)),
            verb("source", "FILE", "execute the lines of a file", File, Own(Act::Source)),
            verb("save", "FILE.toml", "write the session as a scenario", File, Own(Act::Save)),
            verb(
                "again",
                "[DRIVER.sys]",
                "boot anew, with another driver if one is named, and do it all again",
                File,
                Own(Act::Again),
            ),
            also("continue", &["cont"], "", "go on with the scenario's steps", Any, Own(Act::Continue)),
            also("quit", &["exit"], "", "stop, unload, look for leaks, and shut the guest down", Any, Own(Act::Quit)),
        ],
    },
];

/// Returns every verb.
pub(super) fn all() -> impl Iterator<Item = &'static PromptVerb> {
    GROUPS.iter().flat_map(|group| group.verbs)
}

/// Returns every word that is a verb.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    all().flat_map(|verb| std::iter::once(verb.name).chain(verb.aliases.iter().copied()))
}

/// Finds a verb.
///
/// # Errors
/// [`Refusal`] with the nearest word.
pub(super) fn find(name: &str) -> Result<&'static PromptVerb, Refusal> {
    all().find(|verb| verb.name == name || verb.aliases.contains(&name)).ok_or_else(|| {
        let hint = nearest(name, names())
            .map_or_else(|| "; `help` lists the verbs".to_owned(), |word| format!("; did you mean `{word}`?"));
        Refusal::usage(format!("no verb is called `{name}`{hint}"))
    })
}

/// Returns the table as text.
pub(super) fn help() -> String {
    let width = all().map(|verb| verb.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for group in &GROUPS {
        text += &format!("{}\n", group.title);
        for verb in group.verbs {
            text += &format!("  {:width$}  {}\n", verb.name, verb.help);
        }
    }
    text + "A line that begins with `-` may fail; before `source` and `again` it holds for all their lines. `help VERB` shows its arguments."
}

/// What the reference says before the table.
const REFERENCE: &str = "# The prompt

`dmus boot --driver my.sys` boots the guest and opens a prompt. Nothing is loaded yet: `load` and `start` do that, where a broken driver
shows first. A line is a step of a scenario in short form ([`SCENARIOS.md`](SCENARIOS.md) has the members of each, written `name=value`), carried
out as `dmus run` carries it out; or it is a view.

```text
dmus> load
the driver is loaded: 92672 bytes at 0xfffff80010001000, 37 imports, 3ecec3549e5d77d1
dmus> start
the device is started: 00:01.0 1af4:1067
...
dmus> open
DirectMusic, 48000 Hz, 2 channels, 16 bits
dmus> note c4 100 500ms
2 events, 33600 frames
dmus> expect no_diagnosis=true
done
dmus> save first-note.toml
5 steps are in first-note.toml
dmus> quit
the guest has shut down
```

* `save x.toml` writes the session as a scenario, which `dmus run x.toml --driver my.sys` repeats: bring-up becomes a regression test. What is
  no step (`poke`) and what failed stands in it as a comment. A file that the session has not written is not overwritten.
* `again` boots anew and does all lines again; `again fixed.sys` does them with another driver, such as after a bug check. A line that may fail may
  fail again, and no other where lines come from standard input.
* Tab completes, a hint shows the arguments, and the history is kept. A word that is no verb does nothing: the nearest one is named.
* Lines come from standard input too (`dmus boot --driver my.sys < lines`). The first line that fails ends the session, and its exit code is
  that of `boot`; a line that begins with `-` may fail, and before `source` and `again` it holds for all their lines. A line that is not UTF-8 is
  refused. `#` begins a comment. With `--json` each line is answered by an object: `line`, `ok`, and `answer`, or
  `class`, `exit_code`, `error`, `remedy`, `report` (of a bug check), `guest_lost`.
* `dmus boot --scenario y.toml --stop-at STEP` opens the prompt before a step, by its number or name; `continue` goes on. Without
  `--stop-at` it opens behind the last step, or where one failed. `dmus run y.toml --prompt-on-failure` opens it where a step failed,
  or behind a song whose PCM is not the offline render's.
* After a bug check the guest is gone, and the card with it; `peek phys` still reads the guest's memory, and `trace tail` what the card recorded.
* `peek` of a register does what reading it does. An address that is not mapped is refused.

A note is `c4` (middle C, 60), `f#3`, `bb2`, or a number.
";

/// Returns the reference page.
#[must_use]
pub fn reference() -> String {
    let mut text = REFERENCE.to_owned();
    for group in &GROUPS {
        text += &format!("\n## {}\n\n| line | what it does |\n|---|---|\n", group.title);
        for verb in group.verbs {
            let line = format!("{} {}", verb.name, verb.arguments);
            let aliases = verb.aliases.iter().map(|alias| format!(" (`{alias}`)")).collect::<String>();
            text += &format!(
                "| `{}`{aliases} | {} |\n",
                line.trim_end().replace('|', "\\|"),
                verb.help.replace('|', "\\|")
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_is_one_verb() {
        let names: Vec<_> = names().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn an_unknown_word_has_its_nearest() {
        let refused = |name: &str| find(name).err().unwrap().0;
        assert_eq!(refused("paly").text, "no verb is called `paly`; did you mean `play`?");
        assert_eq!(refused("paly").class, crate::host::failure::Class::Usage);
        assert_eq!(refused("xyzzy").text, "no verb is called `xyzzy`; `help` lists the verbs");
        assert_eq!(find("?").unwrap_or_else(|_| panic!("an alias")).name, "help");
    }
}
