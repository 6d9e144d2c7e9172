//! Collects from PostgreSQL (being written).
