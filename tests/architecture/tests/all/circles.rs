//! The files of a crate do not need each other in a circle.
//!
//! A module and the modules in it are one thing to its readers: that a parent names its children and they it is no circle.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

use crate::sources::{Module, crates, is_for_tests, modules};

type ModulePath = Vec<String>;
type Modules = BTreeMap<ModulePath, Module>;

/// What a file names with a path: each path with the module, maybe an inner one of the file, that it stands in.
struct Named(BTreeSet<Vec<String>>);

impl<'ast> Visit<'ast> for Named {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.0.extend(imported(&item.tree).into_iter().map(|(path, _)| path));
    }
}

/// What `tree` imports: the path, and the name that it has here.
fn imported(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    let under = |name: &syn::Ident, inner: Vec<(Vec<String>, String)>| -> Vec<(Vec<String>, String)> {
        inner.into_iter().map(|(path, alias)| ([vec![name.to_string()], path].concat(), alias)).collect()
    };
    match tree {
        UseTree::Path(path) => under(&path.ident, imported(&path.tree)),
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Glob(_) => vec![(vec!["*".to_owned()], "*".to_owned())],
        UseTree::Group(group) => group.items.iter().flat_map(imported).collect(),
    }
}

/// Where `path`, named in the module `from`, is written: the module whose file has the item. `None` outside of the crate.
fn resolve(modules: &Modules, from: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
    let (mut at, mut rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (from.to_vec(), &path[1..]),
        "super" => (from[..from.len().saturating_sub(1)].to_vec(), &path[1..]),
        first => {
            let child = [from, &[first.to_owned()]].concat();
            modules.contains_key(&child).then(|| (from.to_vec(), path))?
        }
    };
    while let Some((next, after)) = rest.split_first() {
        if next == "super" {
            at.pop();
        } else {
            let child = [&at[..], std::slice::from_ref(next)].concat();
            if !modules.contains_key(&child) {
                return Some(follow(modules, &at, rest, depth));
            }
            at = child;
        }
        rest = after;
    }
    Some(at)
}

/// The module that an item of `at` comes from, which may be another that `at` hands on from.
fn follow(modules: &Modules, at: &ModulePath, rest: &[String], depth: usize) -> ModulePath {
    let handed_on = modules[at].ast.items.iter().filter_map(|item| match item {
        Item::Use(item) if !matches!(item.vis, Visibility::Inherited) => Some(imported(&item.tree)),
        _ => None,
    });
    let original = handed_on.flatten().find(|(_, alias)| *alias == rest[0]);
    match original {
        Some((path, _)) if depth < 8 => resolve(modules, at, &path, depth + 1).unwrap_or_else(|| at.clone()),
        _ => at.clone(),
    }
}

/// For each module of a crate, the others that it needs.
fn needs(modules: &Modules) -> BTreeMap<&ModulePath, BTreeSet<ModulePath>> {
    let needs = |module: &Module| {
        let mut named = Named(BTreeSet::new());
        named.visit_file(&module.ast);
        let resolved = named.0.iter().filter_map(|path| resolve(modules, &module.path, path, 0));
        resolved.filter(|to| !to.starts_with(&module.path) && !module.path.starts_with(to)).collect()
    };
    modules.iter().map(|(path, module)| (path, needs(module))).collect()
}

/// All that is needed by `from`, whatever way round.
fn reached<'a>(
    needs: &'a BTreeMap<&ModulePath, BTreeSet<ModulePath>>,
    from: &'a ModulePath,
) -> BTreeSet<&'a ModulePath> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(needs[at].iter().filter(|to| found.insert(*to)));
    }
    found
}

/// The files that are in a circle with another.
fn circles(modules: &Modules) -> BTreeSet<&str> {
    let needs = needs(modules);
    let in_circle = |path: &&ModulePath| reached(&needs, path).contains(path);
    modules.keys().filter(in_circle).map(|path| modules[path].file.as_str()).collect()
}

#[test]
fn the_files_of_a_crate_need_each_other_in_no_circle() {
    let mut edges = 0;
    for ring in ["domain", "application", "adapters", "bins"] {
        for dir in crates(ring) {
            let modules = modules(&dir);
            edges += needs(&modules).values().map(BTreeSet::len).sum::<usize>();
            let circles = circles(&modules);
            assert!(circles.is_empty(), "each of these files needs itself through others: {circles:#?}");
        }
    }
    assert!(edges > 500, "{edges} uses of one file by another were found, which cannot be all");
}

#[test]
fn a_circle_is_found_through_what_is_handed_on() {
    let module = |path: &[&str], text: &str| {
        let path: ModulePath = path.iter().map(|&name| name.to_owned()).collect();
        let file = format!("{}.rs", path.join("/"));
        (path.clone(), Module { path, file, ast: syn::parse_file(text).unwrap() })
    };
    let crate_of = |error_user: &str| {
        Modules::from([
            module(&[], "mod a; mod b; pub use a::A;"),
            module(&["a"], "pub struct A(crate::b::B);"),
            module(&["b"], error_user),
        ])
    };
    assert_eq!(circles(&crate_of("pub struct B;")), BTreeSet::new());
    assert_eq!(circles(&crate_of("use crate::A; pub struct B(A);")), BTreeSet::from(["a.rs", "b.rs"]));
    assert_eq!(circles(&crate_of("pub fn b() { super::a::A::new() }")), BTreeSet::from(["a.rs", "b.rs"]));
    assert_eq!(circles(&crate_of("#[cfg(test)] mod tests { use crate::A; }")), BTreeSet::new());
}
