//! What PostgreSQL reads in a statement and the engine does not: the names of
//! columns that nobody named, and a few pieces of syntax.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use datafusion::{
    arrow::datatypes::{Schema, SchemaRef},
    sql::{
        parser::Statement,
        sqlparser::{
            ast::{
                AccessExpr, BinaryOperator, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg,
                FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, Select, SelectItem,
                SetExpr, TableFactor, TrimWhereField, Value, VisitMut as _, VisitorMut,
            },
            tokenizer::Span,
        },
    },
};

use super::{
    error::SqlError,
    functions::list::{self, instead},
};

/// Behind a name that an answer has twice; what follows tells them apart for the
/// engine. No name that is written in a query has it.
const TWIN: char = '\u{1}';

/// The statement with each column named, in the engine's words.
///
/// # Errors
/// [`SqlError::Invalid`] where it calls a function that there is not.
pub(super) fn prepared(statement: &Statement) -> Result<Statement, SqlError> {
    let mut statement = statement.clone();
    prepare(&mut statement)?;
    Ok(statement)
}

fn prepare(statement: &mut Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut Meaning) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        },
        Statement::Explain(explain) => prepare(&mut explain.statement),
        // The guard lets nothing else through.
        _ => Ok(()),
    }
}

/// The names of an answer, as PostgreSQL has them: one may come twice.
pub(super) fn answered(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|field| !field.name().contains(TWIN)) {
        return Arc::clone(schema);
    }
    let named = |name: &str| name.split(TWIN).next().unwrap_or_default().to_owned();
    let fields: Vec<_> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_name(named(field.name()))).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

struct Meaning;

impl VisitorMut for Meaning {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        let mut taken: HashSet<String> = HashSet::new();
        for item in &mut select.projection {
            let (name, named) = match item {
                SelectItem::UnnamedExpr(expr) => (column_name(expr), is_column(expr)),
                SelectItem::ExprWithAlias { alias, .. } => (as_read(alias), true),
                _ => continue,
            };
            let twin = !taken.insert(name.clone());
            if named && !twin {
                continue;
            }
            let name = if twin { format!("{name}{TWIN}{}", taken.len()) } else { name };
            if twin {
                taken.insert(name.clone());
            }
            let alias = Ident::with_quote('"', name);
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let expr = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
                SelectItem::ExprWithAlias { alias: old, .. } => *old = alias,
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        let name = match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => last_name(name),
            _ => return ControlFlow::Continue(()),
        };
        if list::TABLES.contains(&name.as_str()) || name == "unnest" {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(unknown(&name, "table function"))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        match expr {
            Expr::Function(function) => {
                let name = last_name(&function.name);
                if !list::is_allowed(&name) {
                    return ControlFlow::Break(unknown(&name, "function"));
                }
                if name == "date_trunc" && arguments(function) == 3 {
                    function.name = ObjectName::from(vec![Ident::new("date_trunc_zone")]);
                }
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                let take = |part: &mut Box<Expr>| std::mem::replace(&mut **part, Expr::Identifier(Ident::new("")));
                let args = vec![take(time_zone), take(timestamp)];
                *expr = call("timezone", args);
            }
            Expr::Extract { field, .. } => {
                let parts = match field {
                    DateTimeField::Second | DateTimeField::Seconds => "1000000.0",
                    DateTimeField::Millisecond | DateTimeField::Milliseconds => "1000.0",
                    _ => return ControlFlow::Continue(()),
                };
                // The engine's seconds have no fraction.
                *field = DateTimeField::Microsecond;
                let whole = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
                let divisor = Expr::Value(Value::Number(parts.to_owned(), false).with_span(Span::empty()));
                *expr = Expr::Nested(Box::new(Expr::BinaryOp {
                    left: Box::new(whole),
                    op: BinaryOperator::Divide,
                    right: Box::new(divisor),
                }));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn unknown(name: &str, what: &str) -> SqlError {
    let words = instead(name).map_or_else(String::new, |words| format!("; use {words}"));
    SqlError::Invalid(format!("there is no {what} {name}{words}"))
}

fn arguments(function: &Function) -> usize {
    match &function.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn as_read(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

fn last_name(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(as_read).unwrap_or_default()
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn column_name(expr: &Expr) -> String {
    figured(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The name that PostgreSQL gives a column, and whether it is a weak one, which
/// gives way to that of a type or of `case`.
fn figured(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), false));
    match expr {
        Expr::Identifier(ident) => Some((as_read(ident), false)),
        Expr::CompoundIdentifier(parts) => parts.last().map(|ident| (as_read(ident), false)),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some((as_read(ident), false)),
                _ => None,
            });
            field.or_else(|| figured(root))
        }
        Expr::Function(function) => Some((last_name(&function.name), false)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figured(inner),
        Expr::Cast { expr, data_type, .. } => match figured(expr) {
            Some((name, false)) => Some((name, false)),
            _ => Some((type_name(data_type), true)),
        },
        Expr::TypedString(typed) => Some((type_name(&typed.data_type), true)),
        Expr::Interval(_) => Some(("interval".to_owned(), true)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(figured) {
            Some((name, false)) => Some((name, false)),
            _ => Some(("case".to_owned(), true)),
        },
        Expr::Subquery(query) => first_column(query),
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) => strong("row"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring { shorthand: true, .. } => strong("substr"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            _ => "btrim",
        }),
        Expr::Ceil { field: CeilFloorKind::DateTimeField(_) | CeilFloorKind::Scale(_), .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        _ => None,
    }
}

fn first_column(query: &Query) -> Option<(String, bool)> {
    let mut body = &*query.body;
    loop {
        match body {
            SetExpr::Select(select) => {
                return match select.projection.first()? {
                    SelectItem::UnnamedExpr(expr) => Some((column_name(expr), false)),
                    SelectItem::ExprWithAlias { alias, .. } => Some((as_read(alias), false)),
                    _ => None,
                };
            }
            SetExpr::Query(query) => body = &query.body,
            SetExpr::SetOperation { left, .. } => body = left,
            SetExpr::Values(_) => return Some(("column1".to_owned(), false)),
            _ => return None,
        }
    }
}

/// The name of a type as PostgreSQL's parser has it.
fn type_name(ty: &DataType) -> String {
    match ty {
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4",
        DataType::BigInt(_) | DataType::Int8(_) => "int8",
        DataType::SmallInt(_) | DataType::Int2(_) => "int2",
        DataType::Float(_) | DataType::DoublePrecision | DataType::Double(_) | DataType::Float8 => "float8",
        DataType::Real | DataType::Float4 => "float4",
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => "numeric",
        DataType::Boolean | DataType::Bool => "bool",
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => "varchar",
        DataType::Char(_) | DataType::Character(_) => "bpchar",
        DataType::Timestamp(_, zone) => match zone.to_string().trim() {
            "" | "WITHOUT TIME ZONE" => "timestamp",
            _ => "timestamptz",
        },
        DataType::Date => "date",
        DataType::Interval { .. } => "interval",
        other => {
            let words = other.to_string().to_lowercase();
            return words.split(['(', ' ']).next().unwrap_or_default().to_owned();
        }
    }
    .to_owned()
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::{parser::DFParserBuilder, sqlparser::dialect::PostgreSqlDialect};

    use super::*;

    fn names(sql: &str) -> Result<String, SqlError> {
        let parser = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).build();
        let statement = parser.unwrap().parse_statements().unwrap().pop_front().unwrap();
        prepared(&statement).map(|statement| statement.to_string())
    }

    #[test]
    fn a_function_that_is_not_there_names_what_to_use() {
        let refused = names("select median(x) from t").unwrap_err().to_string();
        assert!(refused.contains("percentile_cont(0.5)"), "{refused}");
        assert!(names("select 1 from t where f(x) > 1").unwrap_err().to_string().contains("no function f"));
        assert!(names("select * from range(1, 2)").unwrap_err().to_string().contains("generate_series"));
    }

    #[test]
    fn what_is_named_stays() {
        assert_eq!(names("select a, t.b, c as d from t").unwrap(), "SELECT a, t.b, c AS d FROM t");
        assert_eq!(names("select count(*) from t").unwrap(), "SELECT count(*) AS \"count\" FROM t");
    }
}
