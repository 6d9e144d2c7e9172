//! Errors of this crate.

/// Why something could not be collected, configured or delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// A watched server could not be reached or refused the login.
    #[error("{server}: {message}")]
    Connect {
        /// Name of the server in the settings.
        server: String,
        /// What is wrong and what to do; without the password.
        message: String,
    },
    /// An agent was given neither a server nor another collector.
    #[error("the agent has nothing to collect: give it a server or another collector")]
    NothingToCollect,
    /// An agent was given nowhere to put what it collects.
    #[error("the agent has nowhere to put what it collects: give it a sink or an exporter")]
    NowhereToSend,
    /// A setting is wrong.
    #[error("{key}: {message}")]
    Config {
        /// The setting.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A file or device of the host could not be read.
    #[error("{path}: {source}")]
    Host {
        /// The file.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// This host can't have it; why, and what to do.
    #[error("{0}")]
    Unsupported(String),
    /// Values did not fit their measurement.
    #[error(transparent)]
    Model(#[from] pganalytics_core::ModelError),
    /// A batch could not be encoded.
    #[error(transparent)]
    Frame(#[from] pganalytics_core::frame::FrameError),
    /// A catalog file is wrong.
    #[error(transparent)]
    Catalog(#[from] pganalytics_core::catalog::CatalogError),
}
