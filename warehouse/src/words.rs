//! Ways to write that people bring from other databases and that no function can take: units without quotes
//! (`dateadd(day, 1, d)`), `group_concat(x separator ';')`, and columns that have one name twice.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    Ident, ObjectName, SelectItem, Value, VisitMut, VisitorMut,
};

/// Functions whose unit may come without quotes.
const WITH_UNIT: [&str; 8] = [
    "datediff",
    "date_diff",
    "timestampdiff",
    "dateadd",
    "date_add",
    "date_sub",
    "timestampadd",
    "date_trunc",
];
const UNITS: [&str; 10] =
    ["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"];
const JOINED: [&str; 3] = ["group_concat", "wm_concat", "listagg"];

/// Writes a statement as the engine understands it.
pub(crate) fn translate(statement: &mut Statement) {
    match statement {
        Statement::Statement(inner) => drop(VisitMut::visit(inner, &mut Words)),
        Statement::Explain(explain) => translate(&mut explain.statement),
        _ => {}
    }
}

struct Words;

impl VisitorMut for Words {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            let name = function.name.to_string().to_ascii_lowercase();
            if WITH_UNIT.contains(&name.as_str()) {
                quote_unit(function);
            } else if JOINED.contains(&name.as_str()) {
                join_texts(function);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Only where a unit must stand: elsewhere `day` is a column.
fn quote_unit(function: &mut Function) {
    let truncates = function.name.to_string().eq_ignore_ascii_case("date_trunc");
    let FunctionArguments::List(list) = &mut function.args else { return };
    let places: &[usize] = match list.args.len() {
        2 if truncates => &[0],
        3 => &[0, 2],
        _ => &[],
    };
    for place in places {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = &mut list.args[*place] else { continue };
        let unit = match expr {
            Expr::Identifier(ident) if ident.quote_style.is_none() => ident.value.to_ascii_lowercase(),
            _ => continue,
        };
        if UNITS.contains(&unit.trim_end_matches('s')) {
            *expr = text(unit);
            return;
        }
    }
}

/// `string_agg(cast(x as varchar), ',' order by …)`
fn join_texts(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    let mut separator = None;
    list.clauses.retain(|clause| match clause {
        FunctionArgumentClause::Separator(value) => {
            separator = Some(Expr::Value(value.clone()));
            false
        }
        // What is too long is told by the bounds of results.
        FunctionArgumentClause::OnOverflow(_) => false,
        _ => true,
    });
    if !function.within_group.is_empty() {
        list.clauses.push(FunctionArgumentClause::OrderBy(std::mem::take(&mut function.within_group)));
    }
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut() {
        let inner = std::mem::replace(first, Expr::Value(Value::Null.into()));
        *first = Expr::Cast {
            kind: ast::CastKind::Cast,
            expr: Box::new(inner),
            data_type: DataType::Varchar(None),
            array: false,
            format: None,
        };
    }
    if list.args.len() == 1 {
        let separator = separator.unwrap_or_else(|| text(",".into()));
        list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(separator)));
    }
    function.name = ObjectName::from(vec![Ident::new("string_agg")]);
}

fn text(text: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(text).into())
}

/// Gives columns that would have the same name a number: `count(*)`, `count(*)_2`.
pub(crate) fn distinct_names(statement: &mut Statement) {
    match statement {
        Statement::Statement(inner) => drop(VisitMut::visit(inner, &mut Names)),
        Statement::Explain(explain) => distinct_names(&mut explain.statement),
        _ => {}
    }
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        let mut taken = BTreeSet::new();
        let mut all = false;
        for item in &mut select.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr.clone(), bare(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.value.clone()),
                _ => {
                    all = true;
                    continue;
                }
            };
            let column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            // A column beside `*` is there twice.
            let twice = !taken.insert(name.to_lowercase()) || (all && column);
            if !twice {
                continue;
            }
            let mut n = 2;
            while !taken.insert(format!("{}_{n}", name.to_lowercase())) {
                n += 1;
            }
            *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', format!("{name}_{n}")) };
        }
        ControlFlow::Continue(())
    }
}

/// How the engine calls an expression, as far as it matters here: a cast is called as what it casts.
fn bare(expr: &Expr) -> String {
    let mut expr = expr;
    loop {
        expr = match expr {
            Expr::Cast { expr, .. } | Expr::Nested(expr) => expr,
            Expr::Identifier(ident) => return ident.value.clone(),
            Expr::CompoundIdentifier(parts) => {
                return parts.last().map(|part| part.value.clone()).unwrap_or_default();
            }
            other => return other.to_string(),
        }
    }
}
