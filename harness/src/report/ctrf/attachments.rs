//! The files of a run folder, as attachments.

use std::fs;
use std::path::{Path, PathBuf};

use super::document::Attachment;
use crate::report::place::relative;

/// Returns the files of a run folder whose kind is known, in order of their names. `base` is where the report is.
pub(super) fn attachments(folder: &Path, base: &Path) -> Vec<Attachment> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let attachment = |path: PathBuf| {
        Some(Attachment {
            name: path.file_name()?.to_string_lossy().into_owned(),
            content_type: content_type(&path)?,
            path: relative(&path, base),
        })
    };
    paths.into_iter().filter_map(attachment).collect()
}

fn content_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "json" => "application/json",
        "jsonl" => "application/jsonl",
        "log" | "txt" => "text/plain",
        "toml" => "application/toml",
        "wav" => "audio/wav",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn names_files_by_their_kind_from_where_the_report_is() {
        let scratch = Scratch::new().unwrap();
        let folder = scratch.path().join("runs/x");
        fs::create_dir_all(folder.join("folder.log")).unwrap();
        for name in ["verdict.json", "guest.wav", "control.sock"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        let found = attachments(&folder, scratch.path());
        let expected = [("guest.wav", "audio/wav"), ("verdict.json", "application/json")]
            .map(|(name, kind)| Attachment { name: name.into(), content_type: kind, path: format!("runs/x/{name}") });
        assert_eq!(found, expected);
    }
}
