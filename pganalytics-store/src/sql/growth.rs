//! Functions that make much out of little, kept within what a query may hold.
//!
//! The engine counts what its operators hold, not what a function writes: a
//! `repeat` of a `repeat` would take all memory of the server before anybody
//! looks. So for each call of such a function, and of `||`, the size of what it
//! will write is estimated first; and what is large is taken from an allowance
//! that the query has once.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use datafusion::{
    arrow::{
        array::{Array as _, ArrayRef, AsArray as _, StringViewBuilder},
        compute::cast,
        datatypes::{DataType, FieldRef, Int64Type},
    },
    common::{DFSchema, DataFusionError, ScalarValue, config::ConfigOptions, plan_err, tree_node::Transformed},
    execution::{FunctionRegistry as _, SessionState},
    logical_expr::{
        BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr_rewriter::FunctionRewrite,
    },
};

/// What a call writes beyond this is taken from the query's allowance: 256
/// bytes for each row of a batch.
const FREE: u64 = 2 << 20;

/// How the result of a function grows with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    /// All arguments, one behind the other.
    Sum,
    /// The same with the first between all others.
    Separated,
    /// The first, as often as the second says.
    Repeat,
    /// As many letters as the second says.
    Pad,
    /// The third in place of each second in the first.
    Replace,
    /// The third, which may name parts of what was found, at each place of the first.
    Pattern,
    /// The elements of the first with the second between them.
    Join,
}

const FUNCTIONS: [(&str, Growth); 13] = [
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::Pattern),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Separated),
    ("overlay", Growth::Sum),
    ("array_to_string", Growth::Join),
    ("array_concat", Growth::Sum),
    ("array_append", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("make_array", Growth::Sum),
];

/// Functions that nobody needs here and that make arrays of any length. As a
/// table, `generate_series` comes row by row and stays.
const LEFT_OUT: [&str; 7] = [
    "range",
    "generate_series",
    "array_repeat",
    "array_resize",
    "array_replace",
    "array_replace_n",
    "array_replace_all",
];

/// Takes out what no query may call.
pub(super) fn leave_out(state: &mut SessionState) -> Result<(), DataFusionError> {
    LEFT_OUT.iter().try_for_each(|name| state.deregister_udf(name).map(|_| ()))
}

/// Bounds what the functions of one query write.
pub(super) fn bound(state: &mut SessionState, bytes: usize) -> Result<(), DataFusionError> {
    let allowance = Arc::new(Allowance { left: AtomicU64::new(bytes as u64) });
    let mut all = Vec::new();
    for (name, growth) in FUNCTIONS {
        if let Some(inner) = state.scalar_functions().get(name).map(Arc::clone) {
            all.push(Measured { inner, growth, allowance: Arc::clone(&allowance) }.into_udf());
        }
    }
    for function in &all {
        state.register_udf(Arc::clone(function))?;
    }
    let inner =
        Arc::new(ScalarUDF::new_from_impl(Concatenation { signature: Signature::user_defined(Volatility::Immutable) }));
    let concatenation = Measured { inner, growth: Growth::Sum, allowance }.into_udf();
    state.register_function_rewrite(Arc::new(Rewrite { concatenation, all }))
}

/// Bytes that a query's functions may still write in large results.
#[derive(Debug)]
struct Allowance {
    left: AtomicU64,
}

impl Allowance {
    fn check(&self, bytes: u64) -> Result<(), DataFusionError> {
        if bytes <= FREE.max(self.left.load(Ordering::Relaxed)) {
            return Ok(());
        }
        Err(DataFusionError::ResourcesExhausted("a function writes too much".to_owned()))
    }

    fn take(&self, bytes: u64) {
        if bytes > FREE {
            let less = |left: u64| Some(left.saturating_sub(bytes));
            // It always gives a value, so this can't fail.
            let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}

/// A function with its size looked at.
#[derive(Debug)]
struct Measured {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    allowance: Arc<Allowance>,
}

impl Measured {
    fn into_udf(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(self))
    }
}

impl PartialEq for Measured {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Measured {}

impl Hash for Measured {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Measured {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef, DataFusionError> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        self.allowance.check(estimate(self.growth, &args.args, args.number_rows)?)?;
        let result = self.inner.invoke_with_args(args)?;
        self.allowance.take(bytes_of(&result));
        Ok(result)
    }
}

/// Most bytes that a call may write.
fn estimate(growth: Growth, args: &[ColumnarValue], rows: usize) -> Result<u64, DataFusionError> {
    let one = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if one { 1 } else { rows };
    let total = |arg: &ColumnarValue| match arg {
        ColumnarValue::Scalar(_) => bytes_of(arg).saturating_mul(rows as u64),
        ColumnarValue::Array(_) => bytes_of(arg),
    };
    let sum = args.iter().map(total).fold(0, u64::saturating_add);
    let lengths = |at: usize| args.get(at).map_or_else(|| Ok(Numbers::All(0)), lengths);
    let numbers = |at: usize| args.get(at).map_or_else(|| Ok(Numbers::All(0)), numbers);
    let each = |bytes: &dyn Fn(usize) -> u64| (0..rows).map(bytes).fold(0, u64::saturating_add);
    Ok(match growth {
        Growth::Sum => sum,
        Growth::Separated => {
            let between = args.first().map_or(0, total);
            sum.saturating_add(between.saturating_mul(args.len() as u64))
        }
        Growth::Repeat => {
            let (text, times) = (lengths(0)?, numbers(1)?);
            each(&|row| text.at(row).saturating_mul(times.at(row)))
        }
        Growth::Pad => {
            let (text, letters) = (lengths(0)?, numbers(1)?);
            each(&|row| text.at(row).max(letters.at(row).saturating_mul(4)))
        }
        Growth::Replace => {
            let (text, from, to) = (lengths(0)?, lengths(1)?, lengths(2)?);
            each(&|row| {
                let places = text.at(row).checked_div(from.at(row)).unwrap_or(text.at(row) + 1);
                text.at(row).saturating_add(places.saturating_mul(to.at(row)))
            })
        }
        Growth::Pattern => {
            let (text, to) = (lengths(0)?, lengths(2)?);
            each(&|row| {
                let (text, to) = (text.at(row), to.at(row));
                text.saturating_add(to.saturating_mul(text.saturating_mul(2).saturating_add(1)))
            })
        }
        Growth::Join => {
            let elements = args.first().map_or(0, elements);
            let between = args.get(1).map_or(0, lengths_at_most).saturating_add(24);
            sum.saturating_add(elements.saturating_mul(rows as u64).saturating_mul(between))
        }
    })
}

/// A number for each row.
enum Numbers {
    All(u64),
    Each(Vec<u64>),
}

impl Numbers {
    fn at(&self, row: usize) -> u64 {
        match self {
            Self::All(number) => *number,
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or_default(),
        }
    }
}

/// Lengths of texts in bytes.
fn lengths(arg: &ColumnarValue) -> Result<Numbers, DataFusionError> {
    match arg {
        ColumnarValue::Scalar(_) => Ok(Numbers::All(bytes_of(arg))),
        ColumnarValue::Array(array) => {
            let texts = cast(array, &DataType::Utf8View)?;
            Ok(Numbers::Each(texts.as_string_view().lengths().map(u64::from).collect()))
        }
    }
}

fn lengths_at_most(arg: &ColumnarValue) -> u64 {
    match lengths(arg) {
        Ok(Numbers::All(length)) => length,
        Ok(Numbers::Each(lengths)) => lengths.into_iter().max().unwrap_or_default(),
        Err(_) => bytes_of(arg),
    }
}

/// Whole numbers; negative ones and NULL are 0.
fn numbers(arg: &ColumnarValue) -> Result<Numbers, DataFusionError> {
    let number = |value: Option<i64>| u64::try_from(value.unwrap_or_default()).unwrap_or_default();
    match arg {
        ColumnarValue::Scalar(value) => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(value) => Ok(Numbers::All(number(value))),
            _ => Ok(Numbers::All(0)),
        },
        ColumnarValue::Array(array) => {
            let values = cast(array, &DataType::Int64)?;
            Ok(Numbers::Each(values.as_primitive::<Int64Type>().iter().map(number).collect()))
        }
    }
}

/// Elements of lists, those of all rows together.
fn elements(arg: &ColumnarValue) -> u64 {
    let of_array = |array: &ArrayRef| match array.as_list_opt::<i32>() {
        Some(lists) => lists.values().len() as u64,
        // Each takes some byte.
        None => array.get_array_memory_size() as u64,
    };
    match arg {
        ColumnarValue::Array(array) => of_array(array),
        ColumnarValue::Scalar(value) => value.to_array().map_or(0, |array| of_array(&array)),
    }
}

/// Bytes of a value, or of all values of an array.
fn bytes_of(value: &ColumnarValue) -> u64 {
    match value {
        ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
            Some(text) => text.map_or(0, str::len) as u64,
            None => scalar.size() as u64,
        },
        ColumnarValue::Array(array) => match array.as_string_view_opt() {
            // Views may share one text; written out they do not.
            Some(texts) => texts.lengths().map(u64::from).sum(),
            None => array.get_array_memory_size() as u64,
        },
    }
}

/// `||` of texts: NULL when one side is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concatenation {
    signature: Signature,
}

impl ScalarUDFImpl for Concatenation {
    fn name(&self) -> &str {
        "textcat"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8View)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        let is_text = |ty: &DataType| matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        match types {
            [left, right] if is_text(left) || is_text(right) || (left.is_null() && right.is_null()) => {
                Ok(vec![DataType::Utf8View; 2])
            }
            [left, right] => plan_err!("operator does not exist: {left} || {right}; cast one of them to text"),
            _ => plan_err!("|| has two sides"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if one { 1 } else { args.number_rows };
        let [left, right] = args.args.as_slice() else { return plan_err!("|| has two sides") };
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let mut result = StringViewBuilder::with_capacity(rows);
        let mut text = String::new();
        for pair in left.as_string_view().iter().zip(right.as_string_view()) {
            match pair {
                (Some(left), Some(right)) => {
                    text.clear();
                    text.push_str(left);
                    text.push_str(right);
                    result.append_value(&text);
                }
                _ => result.append_null(),
            }
        }
        let result: ArrayRef = Arc::new(result.finish());
        if one { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)) } else { Ok(result.into()) }
    }
}

/// Puts bounded functions in the place of operators, and of functions that the
/// planner takes from elsewhere.
#[derive(Debug)]
struct Rewrite {
    concatenation: Arc<ScalarUDF>,
    all: Vec<Arc<ScalarUDF>>,
}

impl FunctionRewrite for Rewrite {
    fn name(&self) -> &str {
        "bounded functions"
    }

    fn rewrite(&self, expr: Expr, _: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>, DataFusionError> {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                Transformed::yes(self.concatenation.call(vec![*left, *right]))
            }
            Expr::ScalarFunction(call) if !call.func.inner().is::<Measured>() => {
                match self.all.iter().find(|known| known.name() == call.func.name()) {
                    Some(bounded) => Transformed::yes(bounded.call(call.args)),
                    None => Transformed::no(Expr::ScalarFunction(call)),
                }
            }
            other => Transformed::no(other),
        })
    }
}
