//! What may be asked: one statement that only reads, of bounded size.
//!
//! The text is measured before it is parsed, so that no text can make the
//! parser, the planner or a destructor run out of stack.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use datafusion::sql::{
    parser::{DFParserBuilder, Statement},
    sqlparser::{
        ast::{Query, Select, Statement as Sql, Visit as _, Visitor},
        dialect::PostgreSqlDialect,
        keywords::Keyword,
        tokenizer::{Token, Tokenizer},
    },
};
use pganalytics_core::Schema;

use super::{
    budget,
    error::SqlError,
    query::{SqlParam, SqlPrincipal, SqlQuery},
};

/// How large a query may be and how much it may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlLimits {
    /// Longest text in bytes.
    pub max_text_bytes: usize,
    /// Most words, numbers, signs and texts in it.
    pub max_tokens: usize,
    /// Most operators (`+`, `and`, `or`, `union`…): a chain of them nests too.
    pub max_operators: usize,
    /// Deepest nesting of parentheses, brackets and `case`.
    pub max_depth: usize,
    /// Most parameters.
    pub max_params: usize,
    /// Most tables that are read; those of a WITH query count at each use of it.
    pub max_tables: usize,
    /// Most parts of expressions (columns, values, operators, calls), if each
    /// column of a subquery is written down to what it is made of.
    pub max_parts: usize,
    /// Most queries one inside the other, WITH queries put where they are used.
    pub max_queries_deep: usize,
    /// Most values of an IN list.
    pub max_list: usize,
    /// Most groupings of a GROUP BY: CUBE makes many of few columns.
    pub max_grouping_sets: usize,
    /// Most columns at any step of the plan.
    pub max_columns: usize,
    /// Most rows of an answer; further rows are left out and the answer says so.
    pub max_rows: usize,
    /// Longest time that a query may take, waiting for its turn included.
    pub timeout: Duration,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            max_text_bytes: 64 << 10,
            max_tokens: 10_000,
            max_operators: 1_000,
            max_depth: 48,
            max_params: 256,
            max_tables: 64,
            max_parts: 50_000,
            max_queries_deep: 64,
            max_list: 1_000,
            max_grouping_sets: 64,
            max_columns: 1_664,
            max_rows: 100_000,
            timeout: Duration::from_secs(30),
        }
    }
}

/// Lets through what only reads.
///
/// ```
/// use pganalytics_core::TenantId;
/// use pganalytics_store::sql::{SqlGuard, SqlLimits, SqlPrincipal};
/// let guard = SqlGuard::new(SqlLimits::default());
/// let me = SqlPrincipal::new(TenantId::DEFAULT);
/// assert!(guard.check("select 1", Vec::new(), me.clone()).is_ok());
/// assert_eq!(guard.check("drop table x", Vec::new(), me).unwrap_err().code(), "not_read_only");
/// ```
#[derive(Debug, Clone, Default)]
pub struct SqlGuard {
    limits: SqlLimits,
    known: Arc<[Arc<Schema>]>,
}

impl SqlGuard {
    /// A guard with these limits.
    #[must_use]
    pub fn new(limits: SqlLimits) -> Self {
        Self { limits, known: Arc::default() }
    }

    /// Measurements that are known beforehand, as those of a catalog: where a
    /// store has none of their rows they are empty tables. What was sent has the
    /// schema that it came with.
    #[must_use]
    pub fn knowing(mut self, schemas: impl IntoIterator<Item = Arc<Schema>>) -> Self {
        self.known = schemas.into_iter().collect();
        self
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &SqlLimits {
        &self.limits
    }

    /// Parses a query and checks that it only reads.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, sql: &str, params: Vec<SqlParam>, principal: SqlPrincipal) -> Result<SqlQuery, SqlError> {
        self.measure(sql, params.len())?;
        let statement = parse(sql, self.limits.max_depth)?;
        only_reads(&statement)?;
        within_budget(&statement, &self.limits)?;
        Ok(SqlQuery {
            text: sql.to_owned(),
            statement,
            params,
            principal,
            known: Arc::clone(&self.known),
            max_rows: self.limits.max_rows,
            max_columns: self.limits.max_columns,
            max_depth: self.limits.max_depth,
            timeout: self.limits.timeout,
        })
    }

    /// Refuses what could exhaust the stack before anything recurses into it.
    fn measure(&self, sql: &str, params: usize) -> Result<(), SqlError> {
        let limits = &self.limits;
        let at_most = |what: &'static str, given, limit| {
            if given > limit { Err(SqlError::TooComplex { what: what.into(), given, limit }) } else { Ok(()) }
        };
        at_most("bytes of text", sql.len(), limits.max_text_bytes)?;
        at_most("parameters", params, limits.max_params)?;
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
            .tokenize()
            .map_err(|error| SqlError::Syntax(error.to_string()))?;
        let (mut count, mut operators, mut depth, mut deepest) = (0_usize, 0_usize, 0_usize, 0_usize);
        for token in &tokens {
            match token {
                Token::Whitespace(_) | Token::EOF => continue,
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
                Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                    Keyword::CASE => depth += 1,
                    Keyword::END => depth = depth.saturating_sub(1),
                    Keyword::AND
                    | Keyword::OR
                    | Keyword::NOT
                    | Keyword::UNION
                    | Keyword::EXCEPT
                    | Keyword::INTERSECT
                    | Keyword::JOIN
                    | Keyword::LIKE
                    | Keyword::ILIKE
                    | Keyword::IS
                    | Keyword::COLLATE
                    | Keyword::AT => operators += 1,
                    _ => {}
                },
                Token::Comma
                | Token::Period
                | Token::SemiColon
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::EscapedStringLiteral(_)
                | Token::Placeholder(_)
                | Token::Word(_) => {}
                // All else is an operator, or as rare as one.
                _ => operators += 1,
            }
            count += 1;
            deepest = deepest.max(depth);
        }
        at_most("words", count, limits.max_tokens)?;
        at_most("operators", operators, limits.max_operators)?;
        at_most("levels of nesting", deepest, limits.max_depth)
    }
}

/// The one statement of a text.
pub(super) fn parse(sql: &str, max_depth: usize) -> Result<Statement, SqlError> {
    let mut statements = DFParserBuilder::new(sql)
        .with_dialect(&PostgreSqlDialect {})
        // Each level of nesting is several levels of the grammar.
        .with_recursion_limit(max_depth.saturating_mul(4))
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| syntax(&error))?;
    let count = statements.len();
    match (statements.pop_front(), count) {
        (Some(statement), 1) => Ok(statement),
        _ => Err(SqlError::StatementCount(count)),
    }
}

fn syntax(error: &datafusion::common::DataFusionError) -> SqlError {
    use datafusion::{common::DataFusionError, sql::sqlparser::parser::ParserError};
    match error.find_root() {
        DataFusionError::SQL(source, _) => match source.as_ref() {
            ParserError::RecursionLimitExceeded => {
                SqlError::Syntax("it is nested too deeply; split it into smaller queries".to_owned())
            }
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                SqlError::Syntax(message.clone())
            }
        },
        other => SqlError::Syntax(other.strip_backtrace()),
    }
}

pub(super) fn only_reads(statement: &Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(statement) => match statement.visit(&mut ReadOnly) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(what) => Err(SqlError::NotReadOnly(what)),
        },
        Statement::Explain(explain) => only_reads(&explain.statement),
        other => Err(SqlError::NotReadOnly(first_words(&other.to_string()))),
    }
}

fn within_budget(statement: &Statement, limits: &SqlLimits) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(statement) => budget::check(&**statement, limits),
        Statement::Explain(explain) => within_budget(&explain.statement, limits),
        // Refused before.
        _ => Ok(()),
    }
}

fn first_words(statement: &str) -> String {
    let words: Vec<&str> = statement.split_whitespace().take(2).collect();
    words.join(" ").chars().take(40).collect::<String>().to_uppercase()
}

/// Looks into every part of a statement for what does more than read.
struct ReadOnly;

impl Visitor for ReadOnly {
    type Break = String;

    fn pre_visit_statement(&mut self, statement: &Sql) -> ControlFlow<String> {
        match statement {
            Sql::Query(_)
            | Sql::Explain { .. }
            | Sql::ExplainTable { .. }
            | Sql::ShowTables { .. }
            | Sql::ShowColumns { .. }
            | Sql::ShowVariable { .. }
            | Sql::ShowFunctions { .. } => ControlFlow::Continue(()),
            other => ControlFlow::Break(first_words(&other.to_string())),
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if query.locks.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break("FOR UPDATE".to_owned()) }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        if select.into.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break("SELECT INTO".to_owned()) }
    }
}

#[cfg(test)]
mod unit {
    #![allow(clippy::unwrap_used)]
    use pganalytics_core::TenantId;

    use super::*;

    fn check(sql: &str) -> Result<SqlQuery, SqlError> {
        SqlGuard::default().check(sql, Vec::new(), SqlPrincipal::new(TenantId::DEFAULT))
    }

    #[test]
    fn what_reads_is_let_through() {
        for sql in [
            "select 1",
            "select 1;",
            "with a as (select 1) select * from a",
            "values (1), (2)",
            "explain select 1",
            "explain analyze select 1",
            "show tables",
            "show columns from x",
            "describe x",
            "select * from a where b = $1 and c::numeric > 5 -- comment",
            "select percentile_cont(0.95) within group (order by x) from t",
            "select count(*) filter (where x > 1) from t",
            "select extract(epoch from now())",
        ] {
            assert!(check(sql).is_ok(), "{sql}: {:?}", check(sql).unwrap_err());
        }
    }

    #[test]
    fn what_does_more_is_refused() {
        for sql in [
            "drop table x",
            "create table x as select 1",
            "create view v as select 1",
            "create external table x stored as csv location '/etc/passwd'",
            "copy (select 1) to '/tmp/x.csv'",
            "copy t from '/etc/passwd'",
            "insert into x values (1)",
            "update x set a = 1",
            "delete from x",
            "with a as (insert into x values (1) returning *) select * from a",
            "with a as (delete from x returning *) select * from a",
            "select * into y from x",
            "select * from x for update",
            "set datafusion.execution.batch_size = 1",
            "reset datafusion.execution.batch_size",
            "begin",
            "prepare p as select 1",
            "execute p",
            "truncate x",
            "explain insert into x values (1)",
            "create function f() returns int return 1",
            "call f()",
            "vacuum",
            "grant all on x to y",
            "explain copy (select 1) to '/tmp/x.csv'",
        ] {
            let refused = check(sql).unwrap_err();
            assert!(matches!(refused.code(), "not_read_only" | "syntax_error"), "{sql}: {refused}");
        }
        assert_eq!(check("drop table x").unwrap_err().code(), "not_read_only");
        assert_eq!(check("select 1; select 2").unwrap_err(), SqlError::StatementCount(2));
        assert_eq!(check("").unwrap_err(), SqlError::StatementCount(0));
        assert_eq!(check("selec 1").unwrap_err().code(), "syntax_error");
    }

    #[test]
    fn hostile_texts_are_refused_on_a_small_stack() {
        let run = || {
            let codes = |sql: String| check(&sql).map_or_else(|e| e.code(), |_| "fine");
            assert_eq!(codes("(".repeat(60_000)), "too_complex");
            assert_eq!(codes(format!("select {}1{}", "(".repeat(1000), ")".repeat(1000))), "too_complex");
            assert_eq!(codes(format!("select 1{}", "+1".repeat(9000))), "too_complex");
            assert_eq!(codes(format!("select {}1", "- ".repeat(4000))), "too_complex");
            assert_eq!(codes(format!("select {} true", "not ".repeat(4000))), "too_complex");
            assert_eq!(codes(format!("select 1{}", " union select 1".repeat(2000))), "too_complex");
            assert_eq!(codes(format!("select 1{}", "::int".repeat(3000))), "too_complex");
            assert_eq!(codes(format!("select {}1", "case when true then ".repeat(1000))), "too_complex");
            assert_eq!(codes("x".repeat(1 << 20)), "too_complex");
            // The most that is allowed must fit the stack.
            assert_eq!(codes(format!("select 1{}", "+1".repeat(900))), "fine");
            assert_eq!(codes(format!("select 1{}", " union select 1".repeat(900))), "fine");
            assert_eq!(codes(format!("select {}1{}", "(".repeat(47), ")".repeat(47))), "fine");
            codes(format!("select {}1", "- ".repeat(900)));
            codes(format!("select {} true", "not ".repeat(900)));
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
    }
}
