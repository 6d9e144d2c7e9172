//! The pgAnalytics server as a tower service: ingest, query, REST API and page
