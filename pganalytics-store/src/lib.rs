//! Stores pgAnalytics metrics and answers SQL over them
