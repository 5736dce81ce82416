//! Every port is one that the product calls, and every adapter one that it wires.

mod calls;

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Item, TraitItem, Type};

use crate::root;
use crate::sources::{Module, crates, is_for_tests, modules, words, words_of_function};
use calls::callers;

/// A port, as `application` declares it.
pub struct Port {
    pub name: String,
    pub methods: BTreeSet<String>,
}

/// Where adapters become the ports of a process.
const WIRING: [&str; 2] = ["bins/runtime/src/connect", "bins/runtime/src/storage.rs"];
/// Where use cases are made of ports.
const COMPOSITION: [&str; 4] = [
    "application/src/pipeline.rs",
    "application/src/pipeline/build.rs",
    "application/src/pipeline/background.rs",
    "application/src/pipeline/enrichment.rs",
];
/// Where it is declared what a pipeline is made of.
const PARTS: &str = "application/src/pipeline/ports.rs";

pub fn ports() -> Vec<Port> {
    let application = modules(&root().join("application"));
    let declared = application.values().filter(|module| module.file.starts_with("application/src/ports/"));
    let traits = declared.flat_map(|module| &module.ast.items).filter_map(|item| match item {
        Item::Trait(port) => Some(port),
        _ => None,
    });
    traits
        .map(|port| {
            let methods = port.items.iter().filter_map(|item| match item {
                TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
                _ => None,
            });
            Port { name: port.ident.to_string(), methods: methods.collect() }
        })
        .collect()
}

/// The modules of all crates of `rings`.
fn product(rings: &[&str]) -> Vec<Module> {
    rings.iter().flat_map(|ring| crates(ring)).flat_map(|dir| modules(&dir).into_values()).collect()
}

fn name_of(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// The types of `module` that implement a port: the port, and the type.
fn implementations(module: &Module) -> Vec<(String, String)> {
    let implemented = module.ast.items.iter().filter_map(|item| match item {
        Item::Impl(item) if !is_for_tests(&item.attrs) => {
            let (_, port, _) = item.trait_.as_ref()?;
            Some((port.segments.last()?.ident.to_string(), name_of(&item.self_ty)?))
        }
        _ => None,
    });
    implemented.collect()
}

/// Who implements each port: the types, by the folder of their crate.
fn implementers(ports: &[Port]) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut found: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for module in product(&["application", "adapters", "bins"]) {
        for (port, name) in implementations(&module) {
            // `Arc<S>` hands on.
            if name != "Arc" && ports.iter().any(|known| known.name == port) {
                found.entry(port).or_default().insert((module.folder().to_owned(), name));
            }
        }
    }
    found
}

/// The functions of a crate by their names, each with the words in it.
#[derive(Default)]
struct Functions(BTreeMap<String, BTreeSet<String>>);

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let words = words_of_function(&function.sig, &function.block);
        self.0.entry(function.sig.ident.to_string()).or_default().extend(words);
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let words = words_of_function(&function.sig, &function.block);
        self.0.entry(function.sig.ident.to_string()).or_default().extend(words);
    }
}

/// The words of all modules whose file is in one of `places`.
fn words_in(modules: &[Module], places: &[&str]) -> BTreeSet<String> {
    let there = modules.iter().filter(|module| places.iter().any(|place| module.file.starts_with(place)));
    there.flat_map(|module| words(&module.ast)).collect()
}

/// What is wired: by name, or in a function that is called there.
struct Wired {
    words: BTreeSet<String>,
    /// The functions that are called, by the folder of their crate.
    functions: BTreeMap<String, BTreeSet<String>>,
}

impl Wired {
    fn of(all: &[Module]) -> Self {
        let wiring = [&WIRING[..], &COMPOSITION[..], &["adapters/memory/src/pipeline.rs"]].concat();
        let words = words_in(all, &wiring);
        let mut functions: BTreeMap<String, Functions> = BTreeMap::new();
        for module in all {
            functions.entry(module.folder().to_owned()).or_default().visit_file(&module.ast);
        }
        let called = |functions: Functions| {
            let called = functions.0.into_iter().filter(|(name, _)| words.contains(name));
            called.flat_map(|(_, words)| words).collect()
        };
        let functions = functions.into_iter().map(|(folder, found)| (folder, called(found))).collect();
        Self { words, functions }
    }

    /// Whether the type `name` is. An adapter makes its own types and those of the application, and no other's.
    fn has(&self, folder: &str, name: &str) -> bool {
        let makes = |maker: &str| maker == folder || folder == "application";
        self.words.contains(name)
            || self.functions.iter().any(|(maker, words)| makes(maker) && words.contains(name))
    }
}

#[test]
fn every_port_has_a_caller() {
    let all = product(&["application", "adapters", "bins"]);
    let ports = ports();
    assert!(ports.len() > 25, "found {} ports only", ports.len());
    let callers = callers(&ports, &all);
    let lonely: Vec<&String> =
        ports.iter().map(|port| &port.name).filter(|port| callers[*port].is_empty()).collect();
    assert!(lonely.is_empty(), "nothing calls these ports: {lonely:?}");
}

#[test]
fn every_adapter_of_a_port_is_wired() {
    let all = product(&["application", "adapters", "bins"]);
    let wired = Wired::of(&all);
    let mut unwired = Vec::new();
    let mut implementers = implementers(&ports());
    // Sources make these themselves.
    implementers.remove("PartitionSource");
    for (port, types) in implementers {
        for (folder, name) in types {
            // Memory is for tests, which wire what they need of it.
            if folder != "adapters/memory" && !wired.has(&folder, &name) {
                unwired.push(format!("{port}: {name} of {folder}"));
            }
        }
    }
    assert!(unwired.is_empty(), "no process uses these: {unwired:#?}");
}

#[test]
fn every_part_of_a_pipeline_is_used() {
    let all = product(&["application"]);
    let parts = all.iter().find(|module| module.file == PARTS).unwrap();
    let composition = all.iter().filter(|module| COMPOSITION.contains(&module.file.as_str()));
    let mut read = calls::FieldsRead::default();
    composition.for_each(|module| read.visit_file(&module.ast));
    let structs = parts.ast.items.iter().filter_map(|item| match item {
        Item::Struct(item) => Some(item),
        _ => None,
    });
    let fields = structs.flat_map(|item| &item.fields).filter_map(|field| field.ident.as_ref());
    let unused: Vec<String> = fields.map(ToString::to_string).filter(|name| !read.0.contains(name)).collect();
    assert!(unused.is_empty(), "a pipeline is given these and makes nothing of them: {unused:?}");
}

/// The table of `docs/architecture.md`, from the code.
fn table() -> String {
    let all = product(&["application", "adapters", "bins"]);
    let ports = ports();
    let (callers, mut implementers) = (callers(&ports, &all), implementers(&ports));
    let mut rows = vec!["| port | implemented by | called by |\n| --- | --- | --- |\n".to_owned()];
    for port in &ports {
        let types = implementers.remove(&port.name).unwrap_or_default();
        let types: Vec<String> = types.iter().map(|(_, name)| format!("`{name}`")).collect();
        let modules: Vec<String> = callers[&port.name].iter().map(|module| format!("`{module}`")).collect();
        let cells = [format!("`{}`", port.name), types.join(", "), modules.join(", ")];
        rows.push(format!("| {} |\n", cells.join(" | ")));
    }
    rows.concat()
}

#[test]
fn the_table_of_ports_in_the_documentation_is_that_of_the_code() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let table = table();
    assert!(text.contains(&table), "docs/architecture.md has to have this table:\n\n{table}");
}
