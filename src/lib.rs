//! A columnar micro-batch engine: Kafka messages in Avro become Arrow batches, DataFusion SQL enriches and
//! classifies them, and the rows are stored in MySQL exactly once.
//!
//! The program is the interface: its commands, its configuration and its tables. What is public here serves the binary, the
//! tests and the benchmarks, and may change with any version. `ARCHITECTURE.md` is a map of it.
//!
//! The modules are listed in the order data flows. Each depends only on those above it, and the stages (`source`,
//! `decode`, `tables`, `sql`, `sink`) do not import each other: `engine` connects them.

pub mod fault_point;
mod panics;
pub mod diagnostic;
mod nearest;
mod moment;
pub mod memory;
pub mod mask;
pub mod batch;
pub mod telemetry;
pub mod database;
pub mod print;
mod yaml;
pub mod config;
pub mod avro;
pub mod registry;
pub mod source;
pub mod decode;
pub mod tables;
pub mod sql;
pub mod sink;
pub mod engine;
pub mod testing;
pub mod check;
pub mod job_client;
pub mod prompt;
pub mod watch;
pub mod cli;
