//! What a query says, as what PostgreSQL means by it.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, DataFusionError, ScalarValue, config::ConfigOptions, tree_node::Transformed},
    logical_expr::{
        BinaryExpr, Cast, Expr, ExprSchemable as _, Operator, ScalarUDF, expr::ScalarFunction,
        expr_rewriter::FunctionRewrite,
    },
};

use super::{bounded::Bounded, plain::Plain, values};

/// Puts functions in the place of operators and casts, bounded ones in the place
/// of those that the planner takes from elsewhere, and checks in front of what
/// PostgreSQL refuses.
#[derive(Debug)]
pub(super) struct Rewrite {
    concat: Arc<ScalarUDF>,
    bounded: Vec<Arc<ScalarUDF>>,
    nonzero: Arc<ScalarUDF>,
    positive: Arc<ScalarUDF>,
    nonnegative: Arc<ScalarUDF>,
    rint: Arc<ScalarUDF>,
    text: Arc<ScalarUDF>,
    plus: Arc<ScalarUDF>,
    minus: Arc<ScalarUDF>,
    times: Arc<ScalarUDF>,
}

impl Rewrite {
    pub(super) fn new(concat: Arc<ScalarUDF>, bounded: Vec<Arc<ScalarUDF>>) -> Self {
        Self {
            concat,
            bounded,
            nonzero: Plain::udf("nonzero", values::float_types, values::nonzero),
            positive: Plain::udf("positive", values::float_types, values::positive),
            nonnegative: Plain::udf("nonnegative", values::float_types, values::nonnegative),
            rint: Plain::udf("rint", values::float_types, values::rint),
            text: Plain::udf("textout", values::text_types, values::text),
            plus: Plain::udf("int8pl", values::integer_types, values::plus),
            minus: Plain::udf("int8mi", values::integer_types, values::minus),
            times: Plain::udf("int8mul", values::integer_types, values::times),
        }
    }

    fn as_text(&self, expr: Expr, schema: &DFSchema) -> Result<Expr, DataFusionError> {
        Ok(if values::has_own_text(&type_of(&expr, schema)) { self.text.call(vec![expr]) } else { expr })
    }

    fn binary(&self, binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
        let BinaryExpr { left, op, right } = binary;
        let same = |left, right| Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }));
        if op == Operator::StringConcat {
            let (left, right) = (self.as_text(*left, schema)?, self.as_text(*right, schema)?);
            return Ok(Transformed::yes(self.concat.call(vec![left, right])));
        }
        if !matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo) {
            return Ok(same(left, right));
        }
        let (of_left, of_right) = (type_of(&left, schema), type_of(&right, schema));
        if of_left.is_signed_integer() && of_right.is_signed_integer() {
            let checked = match op {
                Operator::Plus => &self.plus,
                Operator::Minus => &self.minus,
                Operator::Multiply => &self.times,
                _ => return Ok(same(left, right)),
            };
            return Ok(Transformed::yes(checked.call(vec![*left, *right])));
        }
        let divides = matches!(op, Operator::Divide | Operator::Modulo);
        let floating =
            (of_left.is_floating() && of_right.is_numeric()) || (of_left.is_numeric() && of_right.is_floating());
        if divides && floating && !is_nonzero(&right) {
            let right = Box::new(self.nonzero.call(vec![*right]));
            return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right })));
        }
        Ok(same(left, right))
    }

    fn function(&self, call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
        let name = call.func.name();
        let check = match name {
            "ln" | "log" | "log10" => Some(&self.positive),
            "sqrt" => Some(&self.nonnegative),
            _ => None,
        };
        if let Some(check) = check {
            let is_checked = |arg: &Expr| matches!(arg, Expr::ScalarFunction(inner) if inner.func == *check);
            if call.args.iter().all(is_checked) {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let args = call.args.into_iter().map(|arg| check.call(vec![arg])).collect();
            return Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: call.func, args })));
        }
        let func = match self.bounded.iter().find(|known| known.name() == name) {
            Some(bounded) if !call.func.inner().is::<Bounded>() => Arc::clone(bounded),
            _ => Arc::clone(&call.func),
        };
        let writes = matches!(name, "concat" | "concat_ws" | "format");
        let own = |arg: &Expr| {
            let ty = type_of(arg, schema);
            ty == DataType::Boolean || values::has_own_text(&ty)
        };
        let mut args = call.args;
        let mut changed = func != call.func || !Arc::ptr_eq(&func, &call.func);
        if writes {
            for arg in &mut args {
                if own(arg) {
                    *arg = self.text.call(vec![std::mem::take(arg)]);
                    changed = true;
                }
            }
        }
        let call = Expr::ScalarFunction(ScalarFunction { func, args });
        Ok(if changed { Transformed::yes(call) } else { Transformed::no(call) })
    }

    fn cast(&self, cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>, DataFusionError> {
        let from = type_of(&cast.expr, schema);
        let to = cast.field.data_type();
        if from.is_floating() && to.is_integer() {
            let expr = Box::new(self.rint.call(vec![*cast.expr]));
            return Ok(Transformed::yes(Expr::Cast(Cast { expr, field: cast.field })));
        }
        let to_text = matches!(to, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        if to_text && values::has_own_text(&from) {
            return Ok(Transformed::yes(self.text.call(vec![*cast.expr])));
        }
        Ok(Transformed::no(Expr::Cast(cast)))
    }
}

/// What has no type yet is left alone: whoever checks types says what is wrong.
fn type_of(expr: &Expr, schema: &DFSchema) -> DataType {
    expr.get_type(schema).unwrap_or(DataType::Null)
}

fn is_nonzero(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Float64(Some(value)), _) => *value != 0.0,
        Expr::Literal(ScalarValue::Int64(Some(value)), _) => *value != 0,
        _ => false,
    }
}

impl FunctionRewrite for Rewrite {
    fn name(&self) -> &str {
        "PostgreSQL's meaning"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>, DataFusionError> {
        match expr {
            Expr::BinaryExpr(binary) => self.binary(binary, schema),
            Expr::ScalarFunction(call) => self.function(call, schema),
            // A cast of a float is looked into once only.
            Expr::Cast(cast) if matches!(&*cast.expr, Expr::ScalarFunction(inner) if inner.func == self.rint) => {
                Ok(Transformed::no(Expr::Cast(cast)))
            }
            Expr::Cast(cast) => self.cast(cast, schema),
            other => Ok(Transformed::no(other)),
        }
    }
}
