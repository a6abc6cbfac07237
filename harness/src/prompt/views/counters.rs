//! What guest and card have counted.

use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;

/// Shows what guest and card have counted.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(0)?;
    let mut rows = Vec::new();
    let mut data = json!({});
    if !turn.is_lost() {
        let guest = turn.bed().session.statistics();
        let guest = guest.map_err(|error| turn.steps.explain("read the counters", error.into()))?;
        let named = [
            ("interrupts", guest.interrupts),
            ("interrupts_not_claimed", guest.interrupts_not_claimed),
            ("dpcs", guest.dpcs),
            ("notifications", guest.notifications),
            ("events_put", guest.events_put),
            ("events_returned", guest.events_returned),
            ("pool_allocations", guest.pool_allocations),
            ("pool_bytes", guest.pool_bytes),
            ("pool_bytes_peak", guest.pool_bytes_peak),
        ];
        for (name, value) in named {
            rows.push(format!("guest.{name:<24} {value}"));
            data["guest"][name] = value.into();
        }
    }
    if turn.card().is_ok() {
        let status = turn.status()?;
        let counters = serde_json::to_value(status.counters).unwrap_or_default();
        for (name, value) in counters.as_object().into_iter().flatten() {
            rows.push(format!("card.{name:<25} {value}"));
        }
        data["card"] = counters;
    }
    Ok(Answer::new(rows.join("\n"), data))
}
