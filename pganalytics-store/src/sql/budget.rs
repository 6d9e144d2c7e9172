//! What a statement becomes once its WITH queries are put where they are used.
//!
//! The planner copies a WITH query to each place that names it, and the optimizer
//! copies expressions of subqueries into the conditions around them. A few hundred
//! bytes can so become more than a machine can plan: each of twenty WITH queries
//! that names the one before twice doubles it. So the size is counted before
//! anything is planned; each definition once, so that counting takes no longer
//! than reading the text.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Visit, Visitor, visit_expressions,
};

use super::{error::SqlError, guard::SqlLimits};

/// Counts a statement; fails where it is more than the limits allow.
pub(super) fn check(statement: &impl Visit, limits: &SqlLimits) -> Result<(), SqlError> {
    let mut count = Count { limits, open: Vec::new() };
    match statement.visit(&mut count) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// What a query comes to, with all that it names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cost {
    /// Tables read.
    tables: usize,
    /// Parts of expressions.
    parts: usize,
    /// Parts of the largest output column, if it is written out down to tables.
    column: usize,
    /// Queries one inside the other.
    depth: usize,
}

impl Cost {
    const TABLE: Self = Self { tables: 1, parts: 0, column: 1, depth: 0 };
}

/// A query that is being counted.
#[derive(Debug, Default)]
struct Open {
    /// Where it is defined as a WITH query of the one around it.
    name: Option<String>,
    /// WITH queries that are yet to come, by the place of their text's tree.
    awaited: Vec<(*const Query, String)>,
    /// WITH queries that were counted.
    known: Vec<(String, Cost)>,
    /// All that it reads.
    inner: Cost,
    parts: usize,
    columns: usize,
    /// Parts, and columns among them, of its largest output column.
    output: (usize, usize),
}

struct Count<'a> {
    limits: &'a SqlLimits,
    open: Vec<Open>,
}

impl Count<'_> {
    fn add(&mut self, cost: Cost) {
        let Some(open) = self.open.last_mut() else { return };
        let inner = &mut open.inner;
        inner.tables = inner.tables.saturating_add(cost.tables);
        inner.parts = inner.parts.saturating_add(cost.parts);
        inner.column = inner.column.max(cost.column);
        inner.depth = inner.depth.max(cost.depth);
    }

    /// A WITH query of this query or one around it.
    fn find(&self, name: &str) -> Option<Cost> {
        let all = self.open.iter().rev().flat_map(|open| open.known.iter().rev());
        all.into_iter().find(|(known, _)| known == name).map(|(_, cost)| *cost)
    }

    fn within(&self, cost: &Cost) -> Result<(), SqlError> {
        let limits = self.limits;
        let at_most = |what: &'static str, given, limit| {
            if given > limit { Err(SqlError::TooComplex { what: what.into(), given, limit }) } else { Ok(()) }
        };
        at_most("tables, those of WITH queries counted at each use", cost.tables, limits.max_tables)?;
        at_most("parts of expressions, with what they are made of", cost.parts, limits.max_parts)?;
        at_most("parts of one column, with what it is made of", cost.column, limits.max_parts)?;
        at_most("queries inside one another", cost.depth, limits.max_queries_deep)
    }

    fn checked(&self, given: usize, what: &'static str, limit: usize) -> ControlFlow<SqlError> {
        if given > limit {
            return ControlFlow::Break(SqlError::TooComplex { what: what.into(), given, limit });
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Count<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        let here = std::ptr::from_ref(query);
        let name = self.open.last_mut().and_then(|around| {
            let at = around.awaited.iter().position(|(place, _)| *place == here)?;
            Some(around.awaited.swap_remove(at).1)
        });
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        let awaited = with.map(|cte| (std::ptr::from_ref(&*cte.query), normal(&cte.alias.name))).collect();
        self.open.push(Open { name, awaited, ..Open::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<SqlError> {
        let Some(open) = self.open.pop() else { return ControlFlow::Continue(()) };
        let inner = open.inner;
        // What a column is made of may be written in the place of each mention.
        let written =
            |parts: usize, columns: usize| parts.saturating_add(columns.saturating_mul(inner.column.saturating_sub(1)));
        let cost = Cost {
            tables: inner.tables,
            parts: inner.parts.saturating_add(written(open.parts, open.columns)),
            column: written(open.output.0, open.output.1).max(inner.column),
            depth: inner.depth + 1,
        };
        if let Err(error) = self.within(&cost) {
            return ControlFlow::Break(error);
        }
        match (open.name, self.open.last_mut()) {
            (Some(name), Some(around)) => around.known.push((name, cost)),
            _ => self.add(cost),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<SqlError> {
        let output = select.projection.iter().map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => size(expr),
            _ => (1, 1),
        });
        let largest = output.fold((0, 0), |a: (usize, usize), b| (a.0.max(b.0), a.1.max(b.1)));
        if let Some(open) = self.open.last_mut() {
            open.output = (open.output.0.max(largest.0), open.output.1.max(largest.1));
        }
        let sets = grouping_sets(&select.group_by);
        self.checked(sets, "grouping sets", self.limits.max_grouping_sets)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<SqlError> {
        let parts = relation.0.iter().map(|part| match part {
            ObjectNamePart::Identifier(name) => normal(name),
            ObjectNamePart::Function(function) => function.to_string(),
        });
        let name = parts.collect::<Vec<_>>().join(".");
        self.add(self.find(&name).unwrap_or(Cost::TABLE));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<SqlError> {
        if let Some(open) = self.open.last_mut() {
            open.parts += 1;
            open.columns += usize::from(is_column(expr));
        }
        match expr {
            Expr::InList { list, .. } => self.checked(list.len(), "values of an IN list", self.limits.max_list),
            Expr::Tuple(list) => self.checked(list.len(), "values of a list", self.limits.max_list),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A name as the planner compares it.
fn normal(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. })
}

/// Parts of an expression, and how many of them are columns.
fn size(expr: &Expr) -> (usize, usize) {
    let (mut parts, mut columns) = (0, 0);
    let _ = visit_expressions(expr, |part: &Expr| {
        parts += 1;
        columns += usize::from(is_column(part));
        ControlFlow::<()>::Continue(())
    });
    (parts, columns)
}

/// How many groupings a GROUP BY asks for.
fn grouping_sets(group_by: &GroupByExpr) -> usize {
    let GroupByExpr::Expressions(all, _) = group_by else { return 1 };
    all.iter().fold(1, |product: usize, expr| {
        let sets = match expr {
            Expr::Cube(sets) => u32::try_from(sets.len()).ok().and_then(|n| 2_usize.checked_pow(n)),
            Expr::Rollup(sets) => Some(sets.len() + 1),
            Expr::GroupingSets(sets) => Some(sets.len()),
            _ => Some(1),
        };
        product.saturating_mul(sets.unwrap_or(usize::MAX))
    })
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use std::fmt::Write as _;

    use pganalytics_core::TenantId;

    use crate::sql::{SqlError, SqlGuard, SqlPrincipal};

    /// The name of what there is too much of, or nothing.
    fn refused(sql: &str) -> Option<String> {
        match SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT)) {
            Ok(_) => None,
            Err(SqlError::TooComplex { what, .. }) => Some(what.into_owned()),
            Err(other) => panic!("{sql}: {other}"),
        }
    }

    /// WITH queries, each made of the one before.
    fn chain(levels: usize, each: impl Fn(usize) -> String) -> String {
        let mut sql = "WITH c0 AS (SELECT id AS x FROM m)".to_owned();
        for level in 1..levels {
            write!(sql, ", c{level} AS ({})", each(level - 1)).unwrap();
        }
        write!(sql, " SELECT * FROM c{}", levels - 1).unwrap();
        sql
    }

    #[test]
    fn with_queries_count_at_each_use() {
        let doubling = |level| format!("SELECT p.x FROM c{level} p, c{level} q");
        assert_eq!(refused(&chain(7, doubling)), None, "64 tables");
        for levels in [8, 16, 26, 200] {
            assert!(refused(&chain(levels, doubling)).unwrap().starts_with("tables"), "{levels}");
        }
        let unused = format!("SELECT 1 FROM ({}) t", chain(20, doubling));
        assert!(refused(&unused).unwrap().starts_with("tables"));
        let in_a_condition = |level| format!("SELECT x FROM c{level} WHERE x IN (SELECT x FROM c{level})");
        assert!(refused(&chain(20, in_a_condition)).unwrap().starts_with("tables"));
        let unions = |level| format!("SELECT x FROM c{level} UNION ALL SELECT x FROM c{level}");
        assert!(refused(&chain(20, unions)).unwrap().starts_with("tables"));
        let inside = |level| format!("WITH d AS (SELECT x FROM c{level}) SELECT a.x FROM d a, d b");
        assert!(refused(&chain(20, inside)).unwrap().starts_with("tables"));
    }

    #[test]
    fn names_are_compared_as_the_planner_does() {
        let small = r#"WITH c AS (SELECT 1 AS x), "C" AS (SELECT a.x FROM c a, c b, c d, c e) "#;
        let many = |name: &str| format!("{small} SELECT 1 FROM {}", vec![name; 30].join(" NATURAL JOIN "));
        assert_eq!(refused(&many("c")), None);
        assert_eq!(refused(&many("C")), None);
        assert!(refused(&many(r#""C""#)).is_none(), "no table is read at all");
        let small = r#"WITH c AS (SELECT 1 AS x FROM m), "C" AS (SELECT a.x FROM c a, c b, c d, c e) "#;
        let many = |name: &str| format!("{small} SELECT 1 FROM {}", vec![name; 30].join(" NATURAL JOIN "));
        assert_eq!(refused(&many("C")), None);
        assert!(refused(&many(r#""C""#)).unwrap().starts_with("tables"));
    }

    #[test]
    fn expressions_count_with_what_they_are_made_of() {
        let doubling = |level| format!("SELECT x + x AS x FROM c{level}");
        assert_eq!(refused(&chain(10, doubling)), None);
        assert!(refused(&chain(40, doubling)).unwrap().starts_with("parts"));
        let inside = format!(
            "{}SELECT id AS x FROM m{}",
            "SELECT x * x + x AS x FROM (".repeat(30),
            ") t WHERE x > 1".repeat(30)
        );
        assert!(refused(&inside).unwrap().starts_with("parts"));
    }

    #[test]
    fn depth_lists_and_groupings_are_bounded() {
        let plain = |level| format!("SELECT x FROM c{level}");
        assert_eq!(refused(&chain(40, plain)), None);
        assert_eq!(refused(&chain(200, plain)).unwrap(), "queries inside one another");
        let list = |length: usize| format!("SELECT 1 WHERE 1 IN ({})", vec!["7"; length].join(","));
        assert_eq!(refused(&list(1_000)), None);
        assert_eq!(refused(&list(1_001)).unwrap(), "values of an IN list");
        assert_eq!(refused("SELECT 1 FROM m GROUP BY CUBE (a, b, c, d, e)"), None);
        let columns: Vec<_> = (0..40).map(|n| format!("a{n}")).collect();
        let columns = columns.join(", ");
        assert_eq!(refused(&format!("SELECT 1 FROM m GROUP BY CUBE ({columns})")).unwrap(), "grouping sets");
        assert_eq!(refused("SELECT 1 FROM m GROUP BY CUBE (a, b, c, d), CUBE (e, f, g)").unwrap(), "grouping sets");
    }

    #[test]
    fn recursion_and_real_questions_pass() {
        for sql in [
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT * FROM t",
            "WITH RECURSIVE chain AS (SELECT pid, blocked_by FROM pg_locks_latest UNION ALL
             SELECT l.pid, l.blocked_by FROM pg_locks_latest l JOIN chain c ON l.pid = c.blocked_by) SELECT * FROM chain",
            "WITH a AS (SELECT date_bin('5 minutes', time, timestamp '2000-01-01') AS bin, sum(calls) AS calls,
                 sum(total_exec_time) AS took FROM pg_stat_statements_delta GROUP BY 1),
             b AS (SELECT bin, calls, took, took / nullif(calls, 0) AS mean FROM a)
             SELECT bin, mean, mean - lag(mean) OVER (ORDER BY bin) FROM b WHERE mean > (SELECT avg(mean) FROM b)",
        ] {
            assert_eq!(refused(sql), None, "{sql}");
        }
    }
}
