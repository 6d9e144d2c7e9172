//! The functions of people's SQL: an allow-list, each with a bound on what it
//! makes, with PostgreSQL's meaning.
//!
//! What is not on [the list](list) is taken out of the session. A function that
//! PostgreSQL has and that can't mean the same here is not on it.

mod bounded;
mod concat;
pub(super) mod list;
mod number;
mod picture;
mod plain;
mod rewrite;
mod size;
pub(super) mod times;
mod values;

use std::sync::Arc;

use datafusion::{
    common::DataFusionError,
    execution::{FunctionRegistry as _, SessionState, memory_pool::MemoryPool},
    logical_expr::ScalarUDF,
};

use self::{bounded::Bounded, list::Size, plain::Plain, rewrite::Rewrite};

/// Takes out what is not on the list, and puts in what is our own.
pub(super) fn leave_out(state: &mut SessionState) -> Result<(), DataFusionError> {
    // Taking out a name takes out its aliases too, so what has any name on the
    // list stays whole; its other names are refused before it is planned.
    let listed = |list: &[(&str, Size)], name: &str, aliases: &[String]| {
        list.iter().any(|(known, _)| *known == name || aliases.iter().any(|alias| alias == known))
    };
    let scalars: Vec<_> = state.scalar_functions().values().map(Arc::clone).collect();
    for function in scalars {
        let planners = PLANNERS.contains(&function.name());
        if !planners && !listed(list::SCALARS, function.name(), function.aliases()) {
            state.deregister_udf(function.name())?;
        }
    }
    let aggregates: Vec<_> = state.aggregate_functions().values().map(Arc::clone).collect();
    for function in aggregates {
        if !listed(list::AGGREGATES, function.name(), function.aliases()) {
            state.deregister_udaf(function.name())?;
        }
    }
    let windows: Vec<_> = state.window_functions().values().map(Arc::clone).collect();
    for function in windows {
        if !listed(list::WINDOWS, function.name(), function.aliases()) {
            state.deregister_udwf(function.name())?;
        }
    }
    let tables: Vec<String> = state.table_functions().keys().cloned().collect();
    for name in tables.iter().filter(|name| !list::TABLES.contains(&name.as_str())) {
        state.deregister_udtf(name)?;
    }
    for function in own() {
        // Under another name the engine's would come back in its place.
        state.deregister_udf(function.name())?;
        state.register_udf(function)?;
    }
    Ok(())
}

/// Names under which the planner looks for what syntax stands for.
const PLANNERS: &[&str] = &["array_element", "get_field"];

/// Our own functions that a query may call.
fn own() -> Vec<Arc<ScalarUDF>> {
    vec![
        Plain::udf("to_char", times::char_types, times::to_char),
        Plain::udf("age", times::age_types, times::age),
        Plain::udf("timezone", times::timezone_types, times::timezone),
        Plain::udf("date_trunc_zone", times::trunc_types, times::trunc),
        Plain::udf("width_bucket", values::bucket_types, values::bucket),
        Plain::udf("format", values::format_types, values::format_text),
        Plain::udf("sign", values::float_types, values::sign),
    ]
}

/// Bounds what the functions of one query write by the memory that it may hold.
pub(super) fn bound(state: &mut SessionState, pool: &Arc<dyn MemoryPool>) -> Result<(), DataFusionError> {
    let mut all = Vec::new();
    for (name, size) in list::SCALARS {
        if matches!(size, Size::Fixed | Size::Counted) {
            continue;
        }
        if let Some(inner) = state.scalar_functions().get(*name).map(Arc::clone) {
            all.push(Bounded::udf(inner, *size, pool));
        }
    }
    for function in &all {
        state.register_udf(Arc::clone(function))?;
    }
    let concat = Arc::new(ScalarUDF::new_from_impl(concat::Concatenation::new()));
    let concat = Bounded::udf(concat, Size::Sum, pool);
    state.register_function_rewrite(Arc::new(Rewrite::new(concat, all)))
}
