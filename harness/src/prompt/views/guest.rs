//! The guest's books: interrupts, DPCs, threads, requests, pool, objects.

use std::collections::BTreeMap;

use guest_protocol::{Book, Holder, Inspection, Reply, Request};
use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use super::listed;
use super::place::named;
use crate::host::failure::Class;
use crate::trace::{Stats, stats};

/// Names of major functions (wdm.h).
const MAJOR: [&str; 28] = [
    "IRP_MJ_CREATE",
    "IRP_MJ_CREATE_NAMED_PIPE",
    "IRP_MJ_CLOSE",
    "IRP_MJ_READ",
    "IRP_MJ_WRITE",
    "IRP_MJ_QUERY_INFORMATION",
    "IRP_MJ_SET_INFORMATION",
    "IRP_MJ_QUERY_EA",
    "IRP_MJ_SET_EA",
    "IRP_MJ_FLUSH_BUFFERS",
    "IRP_MJ_QUERY_VOLUME_INFORMATION",
    "IRP_MJ_SET_VOLUME_INFORMATION",
    "IRP_MJ_DIRECTORY_CONTROL",
    "IRP_MJ_FILE_SYSTEM_CONTROL",
    "IRP_MJ_DEVICE_CONTROL",
    "IRP_MJ_INTERNAL_DEVICE_CONTROL",
    "IRP_MJ_SHUTDOWN",
    "IRP_MJ_LOCK_CONTROL",
    "IRP_MJ_CLEANUP",
    "IRP_MJ_CREATE_MAILSLOT",
    "IRP_MJ_QUERY_SECURITY",
    "IRP_MJ_SET_SECURITY",
    "IRP_MJ_POWER",
    "IRP_MJ_SYSTEM_CONTROL",
    "IRP_MJ_DEVICE_CHANGE",
    "IRP_MJ_QUERY_QUOTA",
    "IRP_MJ_SET_QUOTA",
    "IRP_MJ_PNP",
];

/// Returns the refusal of a reply that does not belong to the request.
pub(super) fn unexpected(reply: &Reply) -> Refusal {
    Refusal::of(Class::HarnessBug, format!("the guest answered with another reply: {reply:?}"))
}

/// Reads a book.
pub(super) fn book(turn: &mut Turn<'_, '_>, words: &Words, book: Book) -> Result<Inspection, Refusal> {
    words.at_most(0)?;
    match turn.ask("look into the guest", Request::Inspect(book))? {
        Reply::Inspected(found) => Ok(found),
        other => Err(unexpected(&other)),
    }
}

/// Returns the refusal of a book that is another one.
pub(super) fn other_book() -> Refusal {
    Refusal::of(Class::HarnessBug, "the guest answered with another of its books")
}

/// Shows interrupts: what is connected, and what came of them.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn irq(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let Inspection::Interrupts(found) = book(turn, words, Book::Interrupts)? else { return Err(other_book()) };
    let counted = turn.bed().session.statistics();
    let counted = counted.map_err(|error| turn.steps.explain("read the counters", error.into()))?;
    let (raised, lost) = (counted.interrupts, counted.interrupts_not_claimed);
    let mut lines =
        vec![format!("raised {raised}, claimed {}, not claimed {lost}; DPCs run {}", raised - lost, counted.dpcs)];
    let card = turn.card().ok().and_then(|card| card.status().ok());
    if let Some(card) = &card {
        lines.push(format!("the card has interrupted {} times in this session", card.counters.interrupts));
    }
    // A device of the user's may record none, and then the totals are all there is.
    let recorded = super::trace::read(turn).ok().map(|trace| stats(&trace));
    lines.extend(recorded.iter().flat_map(recorded_lines));
    let routines = named(turn, &found.iter().map(|it| it.routine).collect::<Vec<_>>());
    let mut data = Vec::new();
    for (it, routine) in found.iter().zip(routines) {
        let how = if it.message { "message" } else { "line" };
        lines.push(format!(
            "vector {:#04x}, IRQL {}, by {how}: {routine} (object {:#x})",
            it.vector, it.irql, it.object
        ));
        data.push(json!({ "vector": it.vector, "irql": it.irql, "by": how, "routine": routine, "object": it.object }));
    }
    if found.is_empty() {
        lines.push("no service routine is connected".into());
    }
    let data = json!({
        "raised": raised, "not_claimed": lost, "dpcs": counted.dpcs, "card": card.map(|card| card.counters.interrupts),
        "connected": data,
        "by_queue": recorded.as_ref().map(by_queue),
        "by_processor": recorded.as_ref().and_then(|stats| Some(&stats.guest.as_ref()?.isr_by_processor)),
    });
    Ok(Answer::new(lines.join("\n"), data))
}

/// Returns how often the card has interrupted for each queue, as its trace has it.
fn by_queue(stats: &Stats) -> BTreeMap<&str, u64> {
    stats.queues.iter().map(|(name, queue)| (name.as_str(), queue.interrupts)).collect()
}

/// Returns the lines of interrupts by queue and by processor; what a ring has overwritten is not in them, and a line says so.
fn recorded_lines(stats: &Stats) -> Vec<String> {
    let row = |counts: Vec<String>| if counts.is_empty() { "none".into() } else { counts.join(", ") };
    let lost =
        |count: u64, what: &str| if count == 0 { String::new() } else { format!(" ({count} {what} overwritten)") };
    let queues = by_queue(stats).into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    let mut lines =
        vec![format!("by queue, in the card's trace{}: {}", lost(stats.overwritten, "records are"), row(queues))];
    if let Some(guest) = &stats.guest {
        let processors = &guest.isr_by_processor;
        let processors = processors.iter().map(|(number, count)| format!("processor {number} {count}")).collect();
        lines.push(format!(
            "service routines called by processor, in the guest's marks{}: {}",
            lost(guest.overwritten, "marks are"),
            row(processors)
        ));
    }
    lines
}

/// Shows queued DPCs and timers.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn dpcs(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let Inspection::Deferred(found) = book(turn, words, Book::Deferred)? else { return Err(other_book()) };
    let routines = named(turn, &found.iter().map(|it| it.routine).collect::<Vec<_>>());
    let row = |(it, routine): (&guest_protocol::Deferred, String)| {
        let text = match (it.processor, it.due) {
            (Some(processor), _) => format!("DPC {:#x} on processor {processor}: {routine}", it.object),
            (None, due) => {
                let due = due.unwrap_or_default() as f64 / 1e4;
                let period = if it.period_ms == 0 { String::new() } else { format!(", every {} ms", it.period_ms) };
                format!("timer {:#x} due in {due:.3} ms{period}: {routine}", it.object)
            }
        };
        let data = json!({
            "object": it.object, "routine": routine, "processor": it.processor, "due_100ns": it.due, "period_ms": it.period_ms,
        });
        (text, data)
    };
    Ok(listed("queued", found.iter().zip(routines).map(row).collect()).titled("no DPC and no timer is queued"))
}

/// Shows threads, and what each waits for.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn threads(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let Inspection::Threads(found) = book(turn, words, Book::Threads)? else { return Err(other_book()) };
    let starts = named(turn, &found.iter().map(|it| it.start).collect::<Vec<_>>());
    let row = |(it, start): (&guest_protocol::Thread, String)| {
        let whose = if it.by_driver { "driver" } else { "guest" };
        let start = if start.is_empty() { "main".to_owned() } else { start };
        let text = format!("{:#x} {whose:6} priority {:2} {}: {start}", it.object, it.priority, it.state);
        (text, json!({ "object": it.object, "of": whose, "priority": it.priority, "state": it.state, "start": start }))
    };
    Ok(listed("threads", found.iter().zip(starts).map(row).collect()))
}

/// Shows requests that are not complete.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn irps(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let Inspection::Irps(found) = book(turn, words, Book::Irps)? else { return Err(other_book()) };
    let routines = named(turn, &found.iter().map(|it| it.cancel_routine).collect::<Vec<_>>());
    let row = |(it, cancel): (&guest_protocol::PendingIrp, String)| {
        let (major, minor) = it.function;
        let name = MAJOR.get(usize::from(major)).copied().unwrap_or("not sent yet");
        let mut text = format!("{:#x} {name} minor {minor:#04x}", it.irp);
        for (is, word) in [(it.pending, "pending"), (it.cancelled, "cancelled")] {
            if is {
                text += &format!(", {word}");
            }
        }
        if !cancel.is_empty() {
            text += &format!(", cancel routine {cancel}");
        }
        let data = json!({
            "irp": it.irp, "major": name, "minor": minor, "pending": it.pending, "cancelled": it.cancelled, "cancel_routine": cancel,
        });
        (text, data)
    };
    Ok(listed("irps", found.iter().zip(routines).map(row).collect()).titled("every request is complete"))
}

/// Shows the driver's pool by tag.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn pool(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let Inspection::Pool(found, peak) = book(turn, words, Book::Pool)? else { return Err(other_book()) };
    let (count, bytes) = found.iter().fold((0, 0), |(count, bytes), tag| (count + tag.count, bytes + tag.bytes));
    let mut lines = vec![format!("{count} allocations, {bytes} bytes; {peak} bytes at most at any time")];
    lines.extend(found.iter().map(|tag| format!("  '{}' {:6} allocations {:10} bytes", tag.tag, tag.count, tag.bytes)));
    let tags: Vec<_> =
        found.iter().map(|tag| json!({ "tag": tag.tag, "allocations": tag.count, "bytes": tag.bytes })).collect();
    let data = json!({ "allocations": count, "bytes": bytes, "peak": peak, "tags": tags });
    Ok(Answer::new(lines.join("\n"), data))
}

/// Shows PortCls' objects, and where the driver holds the address of each.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn objects(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    let Inspection::Objects(found) = book(turn, words, Book::Objects)? else { return Err(other_book()) };
    let driver =
        turn.bed().provisioned().artefacts.driver.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let holder = |holder: &Holder| match holder {
        Holder::Pool { tag, allocation, offset } => format!("pool '{tag}' {allocation:#x}+{offset:#x}"),
        Holder::Image { offset } => format!("{driver}+{offset:#x}"),
    };
    let row = |it: &guest_protocol::ComObject| {
        let held: Vec<String> = it.held.iter().map(holder).collect();
        let places: String = held.iter().map(|place| format!("\n    held in {place}")).collect();
        let text = format!("{} {:#x}: {} references{places}", it.interface, it.address, it.references);
        let data =
            json!({ "interface": it.interface, "address": it.address, "references": it.references, "held": held });
        (text, data)
    };
    Ok(listed("objects", found.iter().map(row).collect()))
}
