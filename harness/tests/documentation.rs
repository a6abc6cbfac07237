//! Checks what the compiler's lints do not: that public items of programs and of private modules are documented too, and
//! that each `# Errors` section says which error occurs when.

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Visibility};

/// The shortest `# Errors` section that can name an error and say when it occurs, in characters.
const ERRORS_LENGTH_MIN: usize = 30;

/// The folders with sources of ours.
const ROOMS: &[&str] = &["device", "guest-driver", "harness", "images"];

/// Folders with code that documents itself by what it checks.
const LEFT_OUT: &[&str] = &["tests", "benches", "examples", "fuzz_targets", "target"];

/// Finds items without documentation.
struct Undocumented<'a> {
    file: &'a Path,
    found: Vec<String>,
}

impl Undocumented<'_> {
    fn check(&mut self, attributes: &[Attribute], visibility: &Visibility, what: &str, name: &syn::Ident) {
        let documentation = documentation(attributes);
        if !matches!(visibility, Visibility::Inherited) && documentation.trim().is_empty() && !is_exempt(attributes) {
            self.say(name, &format!("{what} `{name}` has no documentation"));
        }
        if let Some(errors) = section(&documentation, "# Errors")
            && errors.chars().count() < ERRORS_LENGTH_MIN
        {
            self.say(
                name,
                &format!("the `# Errors` section of `{name}` does not say which error occurs when: {errors}"),
            );
        }
    }

    fn say(&mut self, name: &syn::Ident, what: &str) {
        self.found.push(format!("{}:{}: {what}", self.file.display(), name.span().start().line));
    }
}

impl<'ast> Visit<'ast> for Undocumented<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Const(item) => self.check(&item.attrs, &item.vis, "constant", &item.ident),
            syn::Item::Enum(item) => self.check(&item.attrs, &item.vis, "enum", &item.ident),
            syn::Item::Fn(item) => {
                self.check(&item.attrs, &item.vis, "function", &item.sig.ident);
                return;
            }
            syn::Item::Mod(item) if is_test(&item.attrs) => return,
            syn::Item::Static(item) => self.check(&item.attrs, &item.vis, "static", &item.ident),
            syn::Item::Struct(item) => self.check(&item.attrs, &item.vis, "struct", &item.ident),
            syn::Item::Trait(item) => self.check(&item.attrs, &item.vis, "trait", &item.ident),
            syn::Item::Type(item) => self.check(&item.attrs, &item.vis, "type", &item.ident),
            syn::Item::Union(item) => self.check(&item.attrs, &item.vis, "union", &item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check(&item.attrs, &item.vis, "method", &item.sig.ident);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.check(&item.attrs, &item.vis, "constant", &item.ident);
    }
}

/// Returns the text of an item's doc comments.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else {
            return Some("(made by a macro)".into());
        };
        Some(line.value())
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// Returns a section of a doc comment, without its heading.
fn section(documentation: &str, heading: &str) -> Option<String> {
    let mut lines = documentation.lines().map(str::trim).skip_while(|line| *line != heading);
    // The heading itself: what follows it may be nothing.
    lines.next()?;
    Some(lines.take_while(|line| !line.starts_with("# ")).collect::<Vec<_>>().join(" ").trim().to_owned())
}

fn is_exempt(attributes: &[Attribute]) -> bool {
    is_test(attributes)
        || attributes.iter().any(|attribute| {
            matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("doc") && list.tokens.to_string() == "hidden")
        })
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
    })
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder's entry is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !LEFT_OUT.contains(&name.as_str()) {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn every_public_item_is_documented_and_every_error_is_named() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the harness is a folder of the checkout");
    let mut files = Vec::new();
    for room in ROOMS {
        sources(&checkout.join(room), &mut files);
    }
    assert!(files.len() > 100, "only {} sources are found", files.len());
    let mut found = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut undocumented = Undocumented { file: file.strip_prefix(checkout).unwrap_or(file), found: Vec::new() };
        undocumented.visit_file(&parsed);
        found.append(&mut undocumented.found);
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn finds_an_item_without_documentation_and_an_empty_errors_section() {
    let source = "pub(crate) fn bare() {}\n/// Reads.\n///\n/// # Errors\n/// Fails.\npub fn thin() {}\n\
                  /// Reads.\n///\n/// # Errors\n/// [`Error::Absent`] when there is no such file.\npub fn good() {}\n\
                  #[cfg(test)] mod tests { pub fn free() {} }\nstruct Private;\nimpl Private { pub fn method(&self) {} }\n\
                  /// Reads.\n///\n/// # Errors\npub fn empty() {}\n";
    let mut undocumented = Undocumented { file: Path::new("x.rs"), found: Vec::new() };
    undocumented.visit_file(&syn::parse_str(source).expect("the source is Rust"));
    let found = undocumented.found.join("\n");
    assert_eq!(undocumented.found.len(), 4, "{found}");
    assert!(
        found.contains("x.rs:1: function `bare`")
            && found.contains("`thin`")
            && found.contains("`empty`")
            && found.contains("method `method`"),
        "{found}"
    );
}
