//! A columnar micro-batch engine: Kafka messages in Avro become Arrow batches, DataFusion SQL enriches and
//! classifies them, and the rows stand in MySQL exactly once.
//!
//! The modules stand in the order data flows; each depends only on those above it, and the stages (`source`,
//! `decode`, `tables`, `sql`, `sink`) do not know each other: `engine` ties them.
#![forbid(unsafe_code)]

pub mod fault_point;
mod panics;
pub mod diagnostic;
pub mod batch;
pub mod telemetry;
pub mod database;
pub mod config;
pub mod avro;
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
