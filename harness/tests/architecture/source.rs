//! The modules of a crate, read from its sources: what each defines, what it imports, and which file a path leads to.
//!
//! Test code (`#[cfg(test)]`, `#[test]`) is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{Attribute, Item, UseTree};

/// A path in the source, segment by segment.
type Segments = Vec<String>;

/// A module.
struct Module {
    /// The file that contains it, relative to the checkout.
    file: PathBuf,
    /// The module that declares it; the root has none.
    parent: Option<usize>,
    /// Modules that it declares, by name.
    children: BTreeMap<String, usize>,
    /// Names that it defines.
    items: BTreeSet<String>,
    /// Names that it imports, and the path of each.
    imports: BTreeMap<String, Segments>,
    /// Paths of its glob imports.
    globs: Vec<Segments>,
    /// Every path in its code, imports and single names included.
    paths: BTreeSet<Segments>,
}

/// A crate's modules. The first is the root.
pub(crate) struct Modules {
    modules: Vec<Module>,
}

/// What a name or path leads to.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    /// A definition, in this module.
    Item(usize),
}

impl Modules {
    /// Reads a crate, from its root file. Paths are relative to `checkout`.
    ///
    /// # Panics
    /// When a file cannot be read, is not Rust, or declares a module that has no file.
    pub(crate) fn read(checkout: &Path, root: &Path) -> Self {
        let mut crate_ = Self { modules: Vec::new() };
        let folder = root.parent().expect("a file is in a folder").to_owned();
        crate_.read_file(checkout, root, &folder, None);
        crate_
    }

    /// Returns the imports of other files: the importing file, the imported file, and the path that leads there.
    pub(crate) fn imports(&self) -> Vec<(&Path, &Path, String)> {
        let mut imports = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            for path in &module.paths {
                let Some(Found::Item(to)) = self.resolve(at, path, &mut BTreeSet::new()) else { continue };
                let to = &self.modules[to].file;
                if *to != module.file {
                    imports.push((module.file.as_path(), to.as_path(), path.join("::")));
                }
            }
        }
        imports
    }

    fn read_file(&mut self, checkout: &Path, file: &Path, folder: &Path, parent: Option<usize>) -> usize {
        let text =
            std::fs::read_to_string(checkout.join(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read_module(checkout, file, folder, parent, &parsed.items)
    }

    fn read_module(
        &mut self,
        checkout: &Path,
        file: &Path,
        folder: &Path,
        parent: Option<usize>,
        items: &[Item],
    ) -> usize {
        let at = self.modules.len();
        self.modules.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            imports: BTreeMap::new(),
            globs: Vec::new(),
            paths: BTreeSet::new(),
        });
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            if let Item::Mod(declared) = item {
                let name = declared.ident.to_string();
                let inner = folder.join(&name);
                let child = match &declared.content {
                    Some((_, items)) => self.read_module(checkout, file, &inner, Some(at), items),
                    None => {
                        let source = source_of(checkout, folder, &name, &declared.attrs);
                        let inner = if source.ends_with("mod.rs") || source == folder.join(&name).with_extension("rs") {
                            inner
                        } else {
                            source.with_extension("")
                        };
                        self.read_file(checkout, &source, &inner, Some(at))
                    }
                };
                self.modules[at].children.insert(name, child);
                continue;
            }
            let mut uses = Uses::default();
            uses.visit_item(item);
            let module = &mut self.modules[at];
            module.items.extend(defined(item));
            for (name, path) in uses.found {
                module.paths.insert(path.clone());
                match name {
                    Some(name) => _ = module.imports.insert(name, path),
                    None => module.globs.push(path),
                }
            }
            if !matches!(item, Item::Use(_)) {
                paths_of(item.to_token_stream(), &mut module.paths);
            }
        }
        at
    }

    /// Follows a path from a module to the definition that it names. `seen` holds the names that are being
    /// looked up: imports that name each other are not followed for ever.
    fn resolve(&self, from: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(from),
            "super" => Found::Module(self.modules[from].parent?),
            name => self.look_up(from, name, seen)?,
        };
        while let Found::Module(module) = at {
            let Some((next, after)) = rest.split_first() else { break };
            at = match next.as_str() {
                "self" => at,
                "super" => Found::Module(self.modules[module].parent?),
                name => self.look_up(module, name, seen)?,
            };
            rest = after;
        }
        Some(at)
    }

    fn look_up(&self, module: usize, name: &str, seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        let asked = (module, name.to_owned());
        if !seen.insert(asked.clone()) {
            return None;
        }
        let found = self.look_up_in(module, name, seen);
        seen.remove(&asked);
        found
    }

    fn look_up_in(&self, module: usize, name: &str, seen: &mut BTreeSet<(usize, String)>) -> Option<Found> {
        let scope = &self.modules[module];
        if let Some(&child) = scope.children.get(name) {
            return Some(Found::Module(child));
        }
        if scope.items.contains(name) {
            return Some(Found::Item(module));
        }
        if let Some(path) = scope.imports.get(name) {
            return self.resolve(module, path, seen);
        }
        scope.globs.iter().find_map(|glob| match self.resolve(module, glob, seen)? {
            Found::Module(of) => self.look_up(of, name, seen),
            Found::Item(_) => None,
        })
    }
}

/// Returns the file of a module that is declared without a body.
fn source_of(checkout: &Path, folder: &Path, name: &str, attributes: &[Attribute]) -> PathBuf {
    let named = attributes.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| {
        let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(file), .. }) = &pair.value else { return None };
        Some(folder.join(file.value()))
    });
    let candidates =
        named.into_iter().chain([folder.join(name).with_extension("rs"), folder.join(name).join("mod.rs")]);
    let mut missing = Vec::new();
    for candidate in candidates {
        if checkout.join(&candidate).is_file() {
            return candidate;
        }
        missing.push(candidate.display().to_string());
    }
    panic!("module `{name}` has none of the files {}", missing.join(", "))
}

/// The imports of `use` declarations, at any depth: the name that each binds (none for a glob) and its path.
#[derive(Default)]
struct Uses {
    found: Vec<(Option<String>, Segments)>,
}

impl Uses {
    fn tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            UseTree::Name(name) if name.ident == "self" => {
                self.found.push((before.last().cloned(), before.to_vec()));
            }
            UseTree::Name(name) => self.found.push((Some(name.ident.to_string()), with(&name.ident))),
            UseTree::Rename(rename) if rename.ident == "self" => {
                self.found.push((Some(rename.rename.to_string()), before.to_vec()));
            }
            UseTree::Rename(rename) => self.found.push((Some(rename.rename.to_string()), with(&rename.ident))),
            UseTree::Glob(_) => self.found.push((None, before.to_vec())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }
}

/// Collects the paths in a stream of tokens, those in macros included.
fn paths_of(tokens: TokenStream, paths: &mut BTreeSet<Segments>) {
    let mut path: Segments = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(name) => {
                if colons != 2 {
                    finish(&mut path, paths);
                }
                path.push(name.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            TokenTree::Group(group) => {
                finish(&mut path, paths);
                colons = 0;
                paths_of(group.stream(), paths);
            }
            _ => {
                finish(&mut path, paths);
                colons = 0;
            }
        }
    }
    finish(&mut path, paths);
}

fn finish(path: &mut Segments, paths: &mut BTreeSet<Segments>) {
    let path = std::mem::take(path);
    if !path.is_empty() {
        paths.insert(path);
    }
}

/// Returns the name that an item defines in its module.
fn defined(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref()?.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::TraitAlias(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns whether an item is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Meta>().is_ok_and(|condition| demands_test(&condition))
    })
}

fn demands_test(condition: &syn::Meta) -> bool {
    match condition {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated)
            .is_ok_and(|conditions| conditions.iter().any(demands_test)),
        _ => false,
    }
}
