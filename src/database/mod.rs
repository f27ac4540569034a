//! Connections, dialects, column types and error classes of the databases: MySQL (and MariaDB) and SQLite.
//!
//! What the sink writes and the reference tables read goes through one [`Connection`], which speaks in
//! [`Value`]s. Column types stand in one place ([`ColumnType`]): what a table declares, what Arrow type is
//! read from it and what Arrow types may be written to it. So does the meaning of error codes
//! ([`DatabaseError::fault`]).
//!
//! Each database has one driver: `mysql_async` and `sqlx`'s SQLite. So there is one set of TLS options, one
//! way to authenticate and one table of error codes for each.

mod address;
mod error;
mod value;
mod spelling;
mod column;
mod fit;
mod rows;
mod connection;
mod link;
mod mysql;
mod sqlite;
mod catalogue;
mod constraints;
mod reader;
mod scan;
pub mod json;

pub use address::{Address, MySqlAddress, TlsMode};
pub(crate) use address::{TLS_OPTIONS, encode_inserted};
pub use catalogue::{Key, Table, TableColumn, TableKind, table, table_names};
pub use column::{ColumnType, Dialect, Equality, KeyShape, quote, quote_table};
pub use connection::{Connection, Interrupted, Purpose, Statement, StatementLimits, begin};
pub use constraints::{Check, Constraints, ForeignKey, constraints};
pub(crate) use error::ANOTHER_KEY;
pub use error::{DatabaseError, DuplicateKey};
pub use fit::{Fit, Misfit, shorten};
pub use link::{Home, Link};
pub use mysql::{LOAD_FORMAT, LoadText, Loaded, NextPacket};
pub use reader::{Origin, Reader, Relation};
pub use scan::{Comparison, Scan};
pub use value::Value;
