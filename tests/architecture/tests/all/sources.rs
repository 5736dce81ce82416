//! The sources of the product, parsed: crates, their modules, and what a file names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item};

use crate::root;

/// A module that has a file of its own.
pub struct Module {
    /// Path inside the crate; empty for its root.
    pub path: Vec<String>,
    /// The file, from the top of the project on.
    pub file: String,
    pub ast: File,
}

impl Module {
    /// The folder of its crate, from the top of the project on.
    pub fn folder(&self) -> &str {
        self.file.split_once("/src/").expect("sources stand in src").0
    }
}

/// Folders of all crates of the product, by ring.
pub fn crates(ring: &str) -> Vec<PathBuf> {
    let dir = root().join(ring);
    if dir.join("Cargo.toml").exists() {
        return vec![dir];
    }
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.join("Cargo.toml").exists()).collect();
    found.sort();
    found
}

/// The modules of the crate in `dir` that are in the product: not those for tests.
pub fn modules(dir: &Path) -> BTreeMap<Vec<String>, Module> {
    let mut found = BTreeMap::new();
    for name in ["lib.rs", "main.rs"] {
        let file = dir.join("src").join(name);
        if file.exists() {
            let children = dir.join("src");
            read(&file, &children, Vec::new(), &mut found);
            break;
        }
    }
    found
}

fn read(file: &Path, children: &Path, path: Vec<String>, found: &mut BTreeMap<Vec<String>, Module>) {
    let text = std::fs::read_to_string(file).unwrap();
    let ast = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for item in &ast.items {
        if let Item::Mod(module) = item
            && module.content.is_none()
            && !is_for_tests(&module.attrs)
        {
            let name = module.ident.to_string();
            let dir = children.join(&name);
            let file =
                [children.join(format!("{name}.rs")), dir.join("mod.rs")].into_iter().find(|f| f.exists());
            let path = [path.clone(), vec![name]].concat();
            read(&file.expect("the file of a module"), &dir, path, found);
        }
    }
    let file = file.strip_prefix(root()).unwrap().display().to_string();
    found.insert(path.clone(), Module { path, file, ast });
}

/// Whether it is compiled for tests only.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let mut is_test = attribute.path().is_ident("test");
        if attribute.path().is_ident("cfg") {
            let _ = attribute.parse_nested_meta(|meta| {
                is_test |= meta.path.is_ident("test");
                Ok(())
            });
        }
        is_test
    })
}

/// Every word that the code of a file says, but for what it imports and what is for tests.
pub fn words(ast: &File) -> Vec<String> {
    let mut words = Words(Vec::new());
    words.visit_file(ast);
    words.0
}

/// The same of one function.
pub fn words_of_function(signature: &syn::Signature, block: &syn::Block) -> Vec<String> {
    let mut words = Words(Vec::new());
    words.visit_signature(signature);
    words.visit_block(block);
    words.0
}

/// The same of one expression.
pub fn words_of(expression: &syn::Expr) -> Vec<String> {
    let mut words = Words(Vec::new());
    words.visit_expr(expression);
    words.0
}

struct Words(Vec<String>);

impl<'ast> Visit<'ast> for Words {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Use(_) => {}
            Item::Mod(module) if is_for_tests(&module.attrs) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.0.push(ident.to_string());
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let tokens = called.tokens.to_string();
        let words = tokens.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        self.0.extend(words.map(str::to_owned));
    }
}
