//! Options of QEMU's that end in a path.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Builds an option that ends in a path. In QEMU's options a comma within a value is doubled.
pub(super) fn with_path(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    for byte in path.as_os_str().as_bytes() {
        text.push(OsStr::from_bytes(std::slice::from_ref(byte)));
        if *byte == b',' {
            text.push(",");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_commas_in_paths() {
        assert_eq!(with_path("file=", Path::new("/a,b")), "file=/a,,b");
        // A path need not be UTF-8.
        let path = Path::new(OsStr::from_bytes(b"/\xff,"));
        assert_eq!(with_path("", path).as_bytes(), b"/\xff,,");
    }
}
