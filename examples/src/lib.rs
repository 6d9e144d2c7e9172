//! Runnable examples of embedding pgAnalytics
