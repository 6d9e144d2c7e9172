//! Functions that PostgreSQL has and DataFusion lacks.
use datafusion::{common::DataFusionError, execution::SessionState};
pub(super) fn register(state: SessionState) -> Result<SessionState, DataFusionError> {
    Ok(state)
}
