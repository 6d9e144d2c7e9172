//! Collects statistics of PostgreSQL servers and their hosts: a library for agents
