//! End-to-end tests on the real binary: one test binary, one module a theme.
//!
//! A real Apache Kafka broker, the real ClickHouse engine (`chdb`) and strace are used where they can
//! be had; a test that needs one that cannot says loudly that it was skipped. With
//! `PUMPHOUSE_REQUIRE_PEERS=1` (as `.ci/run` sets it) a missing one is a failure.

mod harness;

mod access;
mod async_insert;
mod bad_messages;
mod benches;
mod browser;
mod client_command;
mod clients;
mod coverage;
mod demo;
mod file_log;
mod follow;
mod formats;
mod fuzz;
mod generated;
mod health;
mod hostile_clients;
mod hostile_statements;
mod house;
mod http_interface;
mod kafka_collections;
mod kafka_control;
mod kafka_dead_letters;
mod kafka_faults;
mod kafka_formats;
mod kafka_killer;
mod kafka_memory;
mod kafka_output;
mod kafka_populate;
mod kafka_registry;
mod kafka_rest;
mod kafka_secure;
mod kafka_storms;
mod kill_ddl;
mod kill_loop;
mod native_packets;
mod oracle_sql;
mod other_tables;
mod owner_pipeline;
mod server_life;
mod syscall_order;
mod system_logs;
