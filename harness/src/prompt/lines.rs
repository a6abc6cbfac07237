//! Lines that are steps: from words to the TOML of a step.

use super::answer::Refusal;
use super::properties;
use super::words::{WordError, Words, milliseconds, number, text};

type Line = Result<String, Refusal>;

/// Returns a step that takes nothing.
fn alone(words: &Words, verb: &str) -> Line {
    words.at_most(0)?;
    Ok(format!("{verb} = true"))
}

/// Returns a step whose value is a table.
fn table(words: &Words, verb: &str, positions: &[&str]) -> Line {
    Ok(words.step(verb, positions)?)
}

/// Returns a step whose value is one text.
fn one(words: &Words, verb: &str, what: &str) -> Line {
    words.at_most(1)?;
    Ok(format!("{verb} = {}", text(&words.need(0, what)?)))
}

/// Loads the driver.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn load(words: &Words) -> Line {
    alone(words, "load")
}

/// Starts the device.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn start(words: &Words) -> Line {
    alone(words, "start")
}

/// Stops the device and starts it with other resources.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn restart(words: &Words) -> Line {
    alone(words, "restart")
}

/// Stops and removes the device.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn stop(words: &Words) -> Line {
    alone(words, "stop")
}

/// Pulls the device out.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn remove(words: &Words) -> Line {
    alone(words, "remove")
}

/// Sets the device's power state.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn power(words: &Words) -> Line {
    one(words, "power", "a power state, d0 to d3,")
}

/// Unloads the driver, or what was downloaded.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn unload(words: &Words) -> Line {
    if words.0.is_empty() { alone(words, "unload") } else { one(words, "unload", "a download") }
}

/// Opens a stream.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn open(words: &Words) -> Line {
    table(words, "open", &["kind"])
}

/// Sets the state of a stream.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn state(words: &Words) -> Line {
    table(words, "state", &["to"])
}

/// Connects a stream at another rate.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn format(words: &Words) -> Line {
    table(words, "format", &["sample_rate"])
}

/// Closes a stream; without a name, the one that has none of its own.
pub(super) fn close(words: &Words) -> Line {
    if words.0.is_empty() {
        return Ok(format!("close = {}", text(crate::steps::plan::STREAM)));
    }
    one(words, "close", "a stream")
}

/// Plays a song.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn play(words: &Words) -> Line {
    table(words, "play", &["song"])
}

/// Returns the words that are bytes in hexadecimal as one text.
fn bytes(words: &Words) -> Result<String, WordError> {
    let joined = words.0.iter().map(|word| word.trim_matches(['"', '\''])).collect::<Vec<_>>().join(" ");
    if joined.is_empty() { Err(WordError("a message, such as 90 3c 64, is missing".into())) } else { Ok(text(&joined)) }
}

/// Plays one message.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn midi(words: &Words) -> Line {
    Ok(format!("play = {{ events = [{{ data = {} }}], tail_ms = 200 }}", bytes(words)?))
}

/// Brings messages in at the device.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn send(words: &Words) -> Line {
    if words.0.first().is_some_and(|word| word.contains('=')) {
        return table(words, "send", &[]);
    }
    Ok(format!("send = {{ messages = [{}] }}", bytes(words)?))
}

/// Takes what was captured: a comparison with nothing where nothing is named.
pub(super) fn capture(words: &Words) -> Line {
    table(words, "capture", &[])
}

/// Asks for a property by name, with the room and the place that it has; or by set and number.
pub(super) fn property(words: &Words) -> Line {
    let name = words.need(0, "a property, by name or by set and number,")?;
    let rest = Words(words.0[1..].to_vec());
    let Some(property) = properties::find(&name) else {
        if rest.0.is_empty() || rest.0[0].contains('=') {
            return Err(Refusal::usage(properties::unknown(&name)));
        }
        return table(words, "property", &["set", "id"]);
    };
    let mut step = format!("set={} id={}", property.set, property.id);
    let acts = ["get=", "set_to=", "set_to_u32=", "support="];
    if !rest.0.iter().any(|word| acts.iter().any(|act| word.starts_with(act))) {
        step += &format!(" get={}", property.bytes);
    }
    if property.synthesizer && !rest.0.iter().any(|word| word.starts_with("node=") || word.starts_with("synthesizer="))
    {
        step += " synthesizer=true";
    }
    if property.instance > 0 && !rest.0.iter().any(|word| word.starts_with("instance=")) {
        step += &format!(" instance={}", "00".repeat(property.instance));
    }
    if property.of_filter && !rest.0.iter().any(|word| word.starts_with("of_filter=")) {
        step += " of_filter=true";
    }
    let mut all = Words::split(&step)?;
    all.0.extend(rest.0);
    table(&all, "property", &[])
}

/// Downloads.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn download(words: &Words) -> Line {
    table(words, "download", &["instrument"])
}

/// Lets time pass: `10ms`, `2s`, or frames.
pub(super) fn advance(words: &Words) -> Line {
    words.at_most(1)?;
    let word = words.need(0, "a time, such as 10ms, or a number of frames,")?;
    if word.ends_with('s') {
        return Ok(format!("advance = {{ ms = {} }}", milliseconds(&word)?));
    }
    Ok(format!("advance = {{ frames = {} }}", number(&word)?))
}

/// Has the card fail.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn fault(words: &Words) -> Line {
    words.need(0, "a kind of fault")?;
    table(words, "fault", &["kind"])
}

/// Acts on the host.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn host(words: &Words) -> Line {
    table(words, "host", &[])
}

/// Waits.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn wait_for(words: &Words) -> Line {
    table(words, "wait_for", &[])
}

/// Expects.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn expect(words: &Words) -> Line {
    table(words, "expect", &[])
}

/// Keeps a value.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(super) fn keep(words: &Words) -> Line {
    table(words, "save", &["value", "as"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(make: fn(&Words) -> Line, text: &str) -> String {
        make(&Words::split(text).unwrap()).unwrap_or_else(|refusal| refusal.0.text)
    }

    #[test]
    fn lines_are_steps() {
        assert_eq!(line(load, ""), "load = true");
        assert_eq!(line(load, "x"), "`x` is too much: see `help`");
        assert_eq!(line(power, "d3"), "power = \"d3\"");
        assert_eq!(line(play, "tide to_ms=500"), "play = { song = \"tide\", to_ms = 500 }");
        assert_eq!(line(midi, "90 3c 64"), "play = { events = [{ data = \"90 3c 64\" }], tail_ms = 200 }");
        assert_eq!(line(send, "90 3c 64"), "send = { messages = [\"90 3c 64\"] }");
        assert_eq!(line(advance, "10ms"), "advance = { ms = 10 }");
        assert_eq!(line(advance, "480"), "advance = { frames = 480 }");
        assert_eq!(line(keep, "card.frames_rendered as=x"), "save = { value = \"card.frames_rendered\", as = \"x\" }");
    }

    #[test]
    fn a_property_by_name_has_its_set_its_number_and_its_room() {
        assert_eq!(
            line(property, "KSPROPERTY_SYNTH_LATENCYCLOCK"),
            "property = { set = \"KSPROPSETID_Synth\", id = 6, get = 8, synthesizer = true }"
        );
        assert_eq!(
            line(property, "KSPROPSETID_Synth 6 get=8"),
            "property = { set = \"KSPROPSETID_Synth\", id = 6, get = 8 }"
        );
        assert!(
            line(property, "KSPROPERTY_SYNTH_LATENCYCLCK").contains("did you mean `KSPROPERTY_SYNTH_LATENCYCLOCK`?")
        );
    }
}
