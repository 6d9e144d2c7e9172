//! Real PostgreSQL clusters for tests and the demo
