//! The words by which a scenario is chosen, and what it requires.

use toml::Spanned;

use super::malformed::{ScenarioError, Source};
use super::requirement::Requirement;

/// Returns the tags of a file, each a word that a command line can name without quotes.
///
/// # Errors
/// [`ScenarioError::Malformed`] for a tag of other characters, and one that is there twice.
pub(super) fn tags(file: Source<'_>, listed: Vec<Spanned<String>>) -> Result<Vec<String>, ScenarioError> {
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let mut tags: Vec<String> = Vec::new();
    for tag in listed {
        if !word(tag.get_ref()) {
            return Err(file.error(tag.span(), "a tag is a word of letters, digits, hyphens, underscores and points"));
        }
        if tags.contains(tag.get_ref()) {
            return Err(file.error(tag.span(), &format!("the tag {} is there twice", tag.get_ref())));
        }
        tags.push(tag.into_inner());
    }
    Ok(tags)
}

/// Returns what a file requires.
///
/// # Errors
/// [`ScenarioError::Malformed`] for a requirement that there is not, with those that there are.
pub(super) fn requires(file: Source<'_>, listed: Vec<Spanned<String>>) -> Result<Vec<Requirement>, ScenarioError> {
    let read = |name: Spanned<String>| {
        let message = format!("there is no requirement {}: there are {}", name.get_ref(), Requirement::FORMS);
        Requirement::by_name(name.get_ref()).ok_or_else(|| file.error(name.span(), &message))
    };
    listed.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::Scenario;
    use super::*;

    fn parse(text: &str) -> Result<Scenario, ScenarioError> {
        Scenario::parse(Source { path: Path::new("folder/x.toml"), text })
    }

    #[test]
    fn a_tag_is_a_word_and_is_there_once() {
        assert_eq!(parse("title = 't'\ntags = ['midi', 'vfio-user']").unwrap().tags, ["midi", "vfio-user"]);
        for (tags, column) in [("['a b']", 9), ("['']", 9), ("['a', 'a']", 14), ("['-x']", 9)] {
            let error = parse(&format!("title = 't'\ntags = {tags}")).unwrap_err().to_string();
            assert!(error.contains(&format!("x.toml:2:{column}")), "{error}");
        }
    }

    #[test]
    fn refuses_a_requirement_that_there_is_not() {
        let scenario = parse("title = 't'\nintegration = true\nrequires = ['checkout', 'processors-2']").unwrap();
        assert!(scenario.integration);
        assert_eq!(scenario.requires, [Requirement::Checkout, Requirement::Processors(2)]);
        let error = parse("title = 't'\nrequires = ['checkout', 'gpu']").unwrap_err().to_string();
        assert!(error.contains("x.toml:2:25") && error.contains("vfio-user"), "{error}");
    }
}
