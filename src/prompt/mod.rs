//! The SQL prompt: questions over one batch, with the tables and the views that a job sees.
//!
//! A [`Session`] holds the batch, the views and the tables; [`Shell::execute`] is the one way in which a person's
//! words are carried out, whether they were typed, given on the command line, in a file or through a pipe. Everything
//! is only read: the prompt is no member of a consumer group, stores no offset and creates no table.

mod batch;
mod command;
mod complete;
mod describe;
mod diff;
mod drafts;
mod execute;
mod file;
mod functions;
mod history;
mod job;
mod left_out;
mod load;
mod masks;
mod moment;
mod output;
mod progress;
mod rows_file;
mod refusal;
mod rows;
mod script;
mod seek;
mod session;
mod terminal;
mod views;
mod whole;

pub use execute::{Flow, Shell};
pub use job::RunningJob;
pub use moment::StateOf;
pub use refusal::Refusal;
pub use script::is_complete;
pub use seek::Seek;
pub use session::{Session, SessionOptions};
pub use terminal::run;
