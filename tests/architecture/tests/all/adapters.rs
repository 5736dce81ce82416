//! What adapters leave to the application.

use syn::visit::{self, Visit};
use syn::{BinOp, Expr, Member};

use crate::root;
use crate::sources::{Module, crates, modules, words, words_of};

fn adapters() -> Vec<Module> {
    crates("adapters").iter().flat_map(|dir| modules(dir).into_values()).collect()
}

/// Whether it is called an end, or a ledger's.
fn is_of_ledger(expression: &Expr) -> bool {
    let names = words_of(expression);
    names
        .iter()
        .any(|name| name.contains("ledger") || name.split('_').any(|part| ["end", "ends"].contains(&part)))
}

/// The last name of an expression: `first` of `batch.span.first`.
fn last_name(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Field(field) => match &field.member {
            Member::Named(name) => Some(name.to_string()),
            Member::Unnamed(_) => None,
        },
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        Expr::Reference(inner) => last_name(&inner.expr),
        _ => None,
    }
}

/// Whether it is where a span begins or ends.
fn is_of_span(expression: &Expr) -> bool {
    let of_span = |base: &Expr| last_name(base).is_some_and(|name| name == "span");
    match expression {
        Expr::Field(field) => of_span(&field.base),
        Expr::MethodCall(call) => of_span(&call.receiver),
        Expr::Cast(cast) => is_of_span(&cast.expr),
        Expr::Paren(inner) => is_of_span(&inner.expr),
        Expr::Binary(sum) => is_of_span(&sum.left) || is_of_span(&sum.right),
        Expr::Call(call) => call.args.iter().any(is_of_span),
        _ => false,
    }
}

/// Comparisons of where a span begins or ends with where a ledger does.
#[derive(Default)]
struct Comparisons(usize);

impl<'ast> Visit<'ast> for Comparisons {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let compares = matches!(
            binary.op,
            BinOp::Eq(_) | BinOp::Ne(_) | BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_)
        );
        let (left, right) = (&binary.left, &binary.right);
        if compares && (is_of_span(left) && is_of_ledger(right) || is_of_ledger(left) && is_of_span(right)) {
            self.0 += 1;
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let compares = ["cmp", "partial_cmp", "checked_sub", "eq", "max", "min"]
            .contains(&call.method.to_string().as_str());
        let (left, mut right) = (&call.receiver, call.args.iter());
        let is_joined = is_of_span(left) && right.clone().any(is_of_ledger)
            || is_of_ledger(left) && right.any(is_of_span);
        if compares && is_joined {
            self.0 += 1;
        }
        visit::visit_expr_method_call(self, call);
    }
}

fn comparisons(code: &syn::File) -> usize {
    let mut found = Comparisons::default();
    found.visit_file(code);
    found.0
}

#[test]
fn no_adapter_compares_a_span_with_where_a_ledger_ends() {
    for (code, count) in [
        ("fn f() -> bool { span.first <= end }", 1),
        ("fn f() -> bool { end == Some(batch.span.next()) }", 1),
        ("fn f() { batch.span.first.cmp(&end); }", 1),
        ("fn f() -> bool { chunk.first <= end }", 0),
        ("fn f() -> bool { row.first < span.first }", 0),
    ] {
        assert_eq!(comparisons(&syn::parse_file(code).unwrap()), count, "{code}");
    }
    for module in adapters() {
        assert_eq!(comparisons(&module.ast), 0, "{}: `BatchSpan::join` does that", module.file);
    }
}

#[test]
fn no_adapter_takes_the_time_from_another_clock_than_the_one_it_is_given() {
    // The one that a pipeline in memory is given when its user gives none.
    let default = "adapters/memory/src/pipeline.rs";
    for module in adapters().iter().filter(|module| module.file != default) {
        assert!(!words(&module.ast).iter().any(|word| word == "SystemClock"), "{}", module.file);
        let text = std::fs::read_to_string(root().join(&module.file)).unwrap();
        assert!(!text.contains("SystemTime::now"), "{}", module.file);
    }
}

#[test]
fn adapters_may_not_merge_detect_or_join() {
    let of_all = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    let of_adapters = std::fs::read_to_string(root().join("adapters/clippy.toml")).unwrap();
    assert!(of_all.lines().all(|line| of_adapters.contains(line)), "it stands in the place of the root's");
    for method in ["session::Session::merge", "insight::detect", "ledger::BatchSpan::join"] {
        assert!(of_adapters.contains(&format!("\"gosight_domain::{method}\"")), "{method}");
    }
    for dir in crates("adapters") {
        assert!(
            !dir.join("clippy.toml").exists(),
            "{} would not be held to adapters/clippy.toml",
            dir.display()
        );
    }
}
