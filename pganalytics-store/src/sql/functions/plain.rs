//! Functions that are computed row by row.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{array::ArrayRef, datatypes::DataType},
    common::{DataFusionError, ScalarValue},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

/// Types that the arguments are cast to, and the type of the result.
pub(super) type Types = fn(&[DataType]) -> Result<(Vec<DataType>, DataType), DataFusionError>;
/// The results of as many rows as each argument has.
pub(super) type Call = fn(&[ArrayRef]) -> Result<ArrayRef, DataFusionError>;

/// A function of our own.
#[derive(Debug)]
pub(super) struct Plain {
    name: &'static str,
    signature: Signature,
    types: Types,
    call: Call,
}

impl Plain {
    pub(super) fn udf(name: &'static str, types: Types, call: Call) -> Arc<ScalarUDF> {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Self { name, signature, types, call }))
    }
}

impl PartialEq for Plain {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Plain {}

impl Hash for Plain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Plain {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType, DataFusionError> {
        (self.types)(types).map(|(_, result)| result)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>, DataFusionError> {
        (self.types)(types).map(|(arguments, _)| arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let one = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if one { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>, _>>()?;
        let made = (self.call)(&arrays)?;
        if one { Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)) } else { Ok(made.into()) }
    }
}

/// What is wrong with a value that a function was given.
pub(super) fn wrong(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Execution(message.into())
}
