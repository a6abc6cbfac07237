//! The memory that is left to this process's control group (Linux, `Documentation/admin-guide/cgroup-v2.rst`).

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups of version 2 are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// Returns the bytes that the limits of this process's control group and of those above it leave; `None` without a limit.
#[must_use]
pub fn room() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    room_below(Path::new(MOUNT), Path::new(own.trim()))
}

fn room_below(mount: &Path, own: &Path) -> Option<u64> {
    let groups: Vec<PathBuf> = own.ancestors().map(|group| mount.join(group)).collect();
    groups.iter().filter_map(|group| room_of(group)).min()
}

/// Returns what one group's limit leaves. Pages of files count as free: the kernel takes them back.
fn room_of(group: &Path) -> Option<u64> {
    let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    // Without a limit it says `max`.
    let limit = number("memory.max")?;
    let used = number("memory.current")?;
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let of_files = |name: &str| {
        let line = statistics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let files = of_files("inactive_file") + of_files("active_file");
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    fn group(path: &Path, limit: &str, used: u64, files: u64) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("memory.max"), format!("{limit}\n")).unwrap();
        fs::write(path.join("memory.current"), format!("{used}\n")).unwrap();
        fs::write(path.join("memory.stat"), format!("anon 1\ninactive_file {files}\nactive_file 0\n")).unwrap();
    }

    #[test]
    fn the_tightest_limit_of_the_group_and_those_above_counts_without_pages_of_files() {
        let mount = Scratch::new().unwrap();
        group(&mount.path().join("a"), "1000", 700, 200);
        group(&mount.path().join("a/b"), "max", 600, 0);
        assert_eq!(room_below(mount.path(), Path::new("a/b")), Some(500));
        group(&mount.path().join("a/b"), "650", 600, 0);
        assert_eq!(room_below(mount.path(), Path::new("a/b")), Some(50));
        assert_eq!(room_below(mount.path(), Path::new("none")), None);
        group(&mount.path().join("c"), "100", 300, 0);
        assert_eq!(room_below(mount.path(), Path::new("c")), Some(0));
    }
}
