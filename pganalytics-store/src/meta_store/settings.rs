//! Values of the whole installation.

use async_trait::async_trait;

use crate::error::StoreError;

/// Keeps values of the installation, of no tenant. Every method is one step, whoever calls at once on however many servers, and
/// cancel-safe.
///
/// All methods fail with [`StoreError`] when the store can't be read or written.
#[async_trait]
pub trait Settings: Send + Sync {
    /// A named value of the installation (as a signing key). When it is not
    /// there yet it becomes `candidate`, at most once whoever asks at once.
    async fn setting_or_insert(&self, name: &str, candidate: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Makes a value another one if it still is `expected`; false when it is not, or not there.
    async fn replace_setting(&self, name: &str, expected: &[u8], value: &[u8]) -> Result<bool, StoreError>;
}
