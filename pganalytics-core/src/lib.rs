//! Data model, measurement catalog and frame codec of pgAnalytics
