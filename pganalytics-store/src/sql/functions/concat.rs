//! The operator `||` of texts.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray as _, StringViewBuilder},
        datatypes::DataType,
    },
    common::{DataFusionError, ScalarValue, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility},
};

/// `||` of texts: NULL when one side is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Concatenation {
    signature: Signature,
}

impl Concatenation {
    pub(super) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
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
