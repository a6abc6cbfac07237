//! Compares two builds of a driver image, section by section.

use object::{Object, ObjectSection};

/// Returns how two images differ, as the end of a sentence; `None` if they have the same bytes.
pub(super) fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let (Ok(first), Ok(second)) = (object::File::parse(one), object::File::parse(other)) else {
        return Some("one of them is no image".into());
    };
    let differing: Vec<String> = first
        .sections()
        .filter_map(|section| {
            let name = section.name().ok()?.to_owned();
            let same = second.section_by_name(&name).is_some_and(|with| with.data().ok() == section.data().ok());
            (!same).then_some(name)
        })
        .collect();
    Some(match differing.is_empty() {
        true => "their headers differ".into(),
        false => format!("{} differ", differing.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_no_difference_between_equal_bytes_and_names_what_is_no_image() {
        assert_eq!(difference(b"MZ", b"MZ"), None);
        assert_eq!(difference(b"MZ", b"ZM").unwrap(), "one of them is no image");
    }

    #[test]
    fn names_the_sections_that_differ() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(&*own).unwrap();
        let (at, _) = file.section_by_name(".rodata").unwrap().file_range().unwrap();
        let mut other = own.clone();
        other[at as usize] ^= 1;
        assert_eq!(difference(&own, &other).unwrap(), ".rodata differ");
    }
}
