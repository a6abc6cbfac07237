//! The id of a run, by which its reports, time lines and JSON objects are known to belong together.

use std::sync::OnceLock;

use uuid::Uuid;

/// The variable that names the id of a run, so that the parts of one run on several machines share it.
pub const RUN_ID_VARIABLE: &str = "DMUS_RUN_ID";

/// Returns the id of this run: the one that [`RUN_ID_VARIABLE`] names, else a new one, which begins with the time.
#[must_use]
pub fn run_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let named = std::env::var_os(RUN_ID_VARIABLE).map(|id| id.to_string_lossy().trim().to_owned());
        named.filter(|id| !id.is_empty()).unwrap_or_else(|| Uuid::now_v7().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_through_a_run() {
        assert!(!run_id().is_empty());
        assert_eq!(run_id(), run_id());
    }
}
