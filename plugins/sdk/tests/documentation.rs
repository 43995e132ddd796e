//! Checks that every public item has an example, which is compiled, and run where it needs no host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, ImplItem, Item, ItemImpl, Meta, TraitItem, Type, UseTree, Visibility};

#[test]
fn public_item_has_an_example() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let files: Vec<syn::File> = sources
        .iter()
        .map(|path| fs::read_to_string(path).expect("it is a text"))
        .map(|text| syn::parse_file(&text).expect("it has been compiled"))
        .collect();
    let mut public = BTreeSet::new();
    for item in files.iter().flat_map(|file| &file.items) {
        match item {
            Item::Use(item) if is_public(&item.vis) => names(&item.tree, &mut public),
            _ => {}
        }
    }
    // The items of public modules are public without being named.
    let open = ["clock.rs", "header.rs", "log.rs"];
    let (mut seen, mut bare) = (BTreeSet::new(), Vec::new());
    for (path, file) in sources.iter().zip(&files) {
        let is_open = open.iter().any(|name| path.ends_with(format!("src/{name}")));
        if is_open && !has_example(&file.attrs) {
            bare.push(format!("{}", path.display()));
        }
        for item in &file.items {
            look(
                item,
                &|name| is_open || public.contains(name),
                &mut seen,
                &mut bare,
            );
        }
    }
    assert_eq!(bare, Vec::<String>::new(), "without an example");
    // One item of each kind, to show that the kind is looked at.
    for expected in [
        "Request",
        "Request::header",
        "Key",
        "HeaderName::as_str",
        "monotonic",
        "export",
        "info",
    ] {
        assert!(seen.contains(expected), "{expected} is not among {seen:?}");
    }
    assert!(
        seen.contains("RequestFilter::request_filter") && seen.len() > 90,
        "{seen:?}"
    );
}

/// Records an item and its contents: those seen, and those without an example.
fn look(
    item: &Item,
    is_public_name: &dyn Fn(&str) -> bool,
    seen: &mut BTreeSet<String>,
    bare: &mut Vec<String>,
) {
    let mut note = |name: String, attributes: &[Attribute]| {
        if !has_example(attributes) {
            bare.push(name.clone());
        }
        seen.insert(name);
    };
    let public = |visibility: &Visibility, name: &syn::Ident| {
        is_public(visibility) && is_public_name(&name.to_string())
    };
    match item {
        Item::Fn(item) if public(&item.vis, &item.sig.ident) && !is_hidden(&item.attrs) => {
            note(item.sig.ident.to_string(), &item.attrs);
        }
        Item::Struct(item) if public(&item.vis, &item.ident) => note(item.ident.to_string(), &item.attrs),
        Item::Enum(item) if public(&item.vis, &item.ident) => note(item.ident.to_string(), &item.attrs),
        Item::Trait(item) if public(&item.vis, &item.ident) => {
            note(item.ident.to_string(), &item.attrs);
            for function in &item.items {
                if let TraitItem::Fn(function) = function {
                    note(format!("{}::{}", item.ident, function.sig.ident), &function.attrs);
                }
            }
        }
        Item::Impl(ItemImpl {
            trait_: None,
            self_ty,
            items,
            ..
        }) => {
            let Type::Path(path) = &**self_ty else { return };
            let of = path
                .path
                .segments
                .last()
                .expect("a path has an end")
                .ident
                .to_string();
            for function in items.iter().filter(|_| is_public_name(&of)) {
                if let ImplItem::Fn(function) = function
                    && is_public(&function.vis)
                {
                    note(format!("{of}::{}", function.sig.ident), &function.attrs);
                }
            }
        }
        Item::Macro(item) if has(&item.attrs, "macro_export") && !is_hidden(&item.attrs) => {
            let name = item.ident.as_ref().expect("a macro that is exported has a name");
            note(name.to_string(), &item.attrs);
        }
        _ => {}
    }
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be listed");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut found: Vec<PathBuf> = paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .collect();
    found.sort();
    found
}

fn names(tree: &UseTree, found: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => names(&path.tree, found),
        UseTree::Name(name) => {
            found.insert(name.ident.to_string());
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| names(tree, found)),
        UseTree::Rename(_) | UseTree::Glob(_) => {}
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

/// Whether an item is marked `#[doc(hidden)]`.
fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("doc")))
}

/// Whether the documentation has a block of Rust that is compiled. A block that must not compile shows
/// nothing.
fn has_example(attributes: &[Attribute]) -> bool {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            syn::Expr::Lit(literal) => match &literal.lit {
                syn::Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let fences: Vec<String> = lines
        .map(|line| line.trim().to_owned())
        .filter(|line| line.starts_with("```"))
        .collect();
    fences
        .iter()
        .step_by(2)
        .any(|fence| ["```", "```no_run"].contains(&fence.as_str()))
}
