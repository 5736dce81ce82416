//! Which files call which port.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Expr, Member, Pat, Type};

use super::Port;
use crate::sources::{Module, is_for_tests};

/// The traits that `of` has objects of.
fn objects(of: &Type) -> BTreeSet<String> {
    struct Objects(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Objects {
        fn visit_trait_bound(&mut self, bound: &'ast syn::TraitBound) {
            self.0.extend(bound.path.segments.last().map(|segment| segment.ident.to_string()));
        }
    }
    let mut found = Objects(BTreeSet::new());
    found.visit_type(of);
    found.0
}

/// Names of fields and parameters, by the port that they hold.
#[derive(Default)]
struct Holders(BTreeMap<String, BTreeSet<String>>);

impl<'ast> Visit<'ast> for Holders {
    fn visit_field(&mut self, field: &'ast syn::Field) {
        let names: Vec<String> = field.ident.iter().map(ToString::to_string).collect();
        self.hold(&field.ty, &names);
    }

    fn visit_pat_type(&mut self, typed: &'ast syn::PatType) {
        let mut names = Names::default();
        names.visit_pat(&typed.pat);
        self.hold(&typed.ty, &names.0);
    }
}

impl Holders {
    fn hold(&mut self, of: &Type, names: &[String]) {
        for port in objects(of) {
            self.0.entry(port).or_default().extend(names.iter().cloned());
        }
    }
}

#[derive(Default)]
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.0.push(ident.to_string());
    }
}

/// Whether a file calls a port: its methods on what holds it.
struct Calls<'a> {
    port: &'a Port,
    /// Names that hold the port: fields and parameters of the crate, and what the file takes out of them one by one.
    held: BTreeSet<String>,
    are_found: bool,
}

impl Calls<'_> {
    fn is_held(&self, expression: &Expr) -> bool {
        holder(expression).is_some_and(|name| self.held.contains(&name))
    }

    fn hold(&mut self, pattern: &Pat) {
        let mut names = Names::default();
        names.visit_pat(pattern);
        self.held.extend(names.0);
    }
}

impl<'ast> Visit<'ast> for Calls<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_for_loop(&mut self, each: &'ast syn::ExprForLoop) {
        if self.is_held(&each.expr) {
            self.hold(&each.pat);
        }
        visit::visit_expr_for_loop(self, each);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if self.is_held(&call.receiver) {
            self.are_found |= self.port.methods.contains(&call.method.to_string());
            for argument in &call.args {
                if let Expr::Closure(closure) = argument {
                    closure.inputs.iter().for_each(|input| self.hold(input));
                }
            }
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The last name of what a method is called on: `ledger` of `self.ports.ledger`.
fn holder(receiver: &Expr) -> Option<String> {
    match receiver {
        Expr::Field(field) => match &field.member {
            Member::Named(name) => Some(name.to_string()),
            Member::Unnamed(_) => holder(&field.base),
        },
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        Expr::Reference(inner) => holder(&inner.expr),
        Expr::Paren(inner) => holder(&inner.expr),
        Expr::Unary(inner) => holder(&inner.expr),
        Expr::MethodCall(call) => holder(&call.receiver),
        _ => None,
    }
}

/// Names of the fields that an expression or a pattern takes out of something.
#[derive(Default)]
pub struct FieldsRead(pub BTreeSet<String>);

impl<'ast> Visit<'ast> for FieldsRead {
    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        if let Member::Named(name) = &field.member {
            self.0.insert(name.to_string());
        }
        visit::visit_expr_field(self, field);
    }

    fn visit_field_pat(&mut self, field: &'ast syn::FieldPat) {
        if let Member::Named(name) = &field.member {
            self.0.insert(name.to_string());
        }
        visit::visit_field_pat(self, field);
    }
}

/// For each port, the modules whose use cases call it, such as `application::ingest`. One that implements a port by
/// another of its kind is no use case.
pub fn callers(ports: &[Port], modules: &[Module]) -> BTreeMap<String, BTreeSet<String>> {
    let mut holders: BTreeMap<&str, Holders> = BTreeMap::new();
    for module in modules {
        holders.entry(module.folder()).or_default().visit_file(&module.ast);
    }
    let calls_it = |port: &Port, module: &Module| {
        let held = holders[module.folder()].0.get(&port.name).cloned().unwrap_or_default();
        let mut calls = Calls { port, held, are_found: false };
        calls.visit_file(&module.ast);
        let implements = super::implementations(module).iter().any(|(of, _)| *of == port.name);
        calls.are_found && !implements && module.path.first().is_none_or(|top| top != "ports")
    };
    let place = |module: &Module| {
        let (_, name) = module.folder().rsplit_once('/').unwrap_or(("", module.folder()));
        [name].into_iter().chain(module.path.first().map(String::as_str)).collect::<Vec<_>>().join("::")
    };
    let of = |port: &Port| modules.iter().filter(|module| calls_it(port, module)).map(place).collect();
    ports.iter().map(|port| (port.name.clone(), of(port))).collect()
}
