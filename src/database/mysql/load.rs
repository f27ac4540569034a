//! LOAD DATA LOCAL: rows as text that the server asks for and this connection sends. It serves only what was prepared
//! for the current statement; a server that asks for a file at any other time gets nothing.

use std::pin::pin;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{self, Either};
use futures::{SinkExt as _, StreamExt as _};

use super::MySqlConnection;
use crate::database::value::{self, MICROS_A_SECOND};
use crate::database::{Interrupted, Statement, Value};

/// Packets in flight from the code that encodes them to the server. The sink cuts 64 KiB each, so these are two MiB.
const PACKETS_AHEAD_MAX: usize = 32;

/// How the text of [`write_row`] is to be read.
pub const LOAD_FORMAT: &str =
    "CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n'";

/// Gives the text of the rows, one packet after the other, as long as they are taken; `None` behind the last.
pub type NextPacket<'p> = dyn FnMut() -> Option<Bytes> + Send + 'p;

/// What the server made of rows that were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub rows: u64,
    /// Any at all means that values were changed, or rows left out.
    pub warnings: u16,
}

impl MySqlConnection {
    /// Whether the server lets clients send files.
    pub fn can_load(&self) -> bool {
        self.can_load
    }

    /// Runs statements in one packet, the last of which is LOAD DATA LOCAL: it gets the packets that `next_packet` gives,
    /// until it gives none.
    ///
    /// # Errors
    /// As [`MySqlConnection::execute_together`]; the connection is of no more use where LOAD DATA was broken off.
    pub async fn load(
        &mut self,
        statements: &[Statement<'_>],
        next_packet: &mut NextPacket<'_>,
    ) -> Result<Loaded, Interrupted> {
        let (mut sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(PACKETS_AHEAD_MAX);
        self.connection.set_infile_handler(async move { Ok(receiver.boxed()) });
        let send = async move {
            while let Some(packet) = next_packet() {
                // The server has given up where nobody receives any more; its answer says why.
                if sender.send(Ok(packet)).await.is_err() {
                    break;
                }
                // Why: this packet is sent while the next one is encoded.
                tokio::task::yield_now().await;
            }
        };
        let run = self.execute_together(statements);
        // Why not both to their ends: a server that refuses a statement asks for no rows, and nobody takes them.
        match future::select(pin!(run), pin!(send)).await {
            Either::Left((ran, _)) => ran?,
            Either::Right(((), run)) => run.await?,
        }
        Ok(Loaded { rows: self.connection.affected_rows(), warnings: self.connection.get_warnings() })
    }
}

/// Rows as the text that LOAD DATA reads as [`LOAD_FORMAT`] says. Values come column by column, as Arrow has them, and
/// are put together to lines when all of them are there.
#[derive(Debug)]
pub struct LoadText {
    columns: Vec<Cells>,
}

/// The texts of one column, one behind the other.
#[derive(Debug, Default)]
struct Cells {
    /// Whether values are written as hexadecimal digits.
    is_hex: bool,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl LoadText {
    /// `is_hex`: for each column, whether its values are written as hexadecimal digits.
    pub fn new(is_hex: impl Iterator<Item = bool>) -> Self {
        Self { columns: is_hex.map(|is_hex| Cells { is_hex, ..Cells::default() }).collect() }
    }

    /// Adds the value of a column's next row.
    pub fn put(&mut self, column: usize, value: &Value<'_>) {
        let Cells { is_hex, text, ends } = &mut self.columns[column];
        write_value(text, value, *is_hex);
        ends.push(text.len());
    }

    /// The lines of all rows that every column has a value for; none of them is left.
    pub fn take_lines(&mut self) -> Vec<u8> {
        let rows = self.columns.iter().map(|cells| cells.ends.len()).min().unwrap_or(0);
        let bytes: usize = self.columns.iter().map(|cells| cells.text.len() + rows).sum();
        let mut lines = Vec::with_capacity(bytes);
        for row in 0..rows {
            for (index, cells) in self.columns.iter().enumerate() {
                if index > 0 {
                    lines.push(b'\t');
                }
                let start = if row > 0 { cells.ends[row - 1] } else { 0 };
                lines.extend_from_slice(&cells.text[start..cells.ends[row]]);
            }
            lines.push(b'\n');
        }
        for Cells { text, ends, .. } in &mut self.columns {
            text.clear();
            ends.clear();
        }
        lines
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>, is_hex: bool) {
    let mut integer = itoa::Buffer::new();
    // The shortest digits that are read back as the same number.
    let mut double = ryu::Buffer::new();
    match value {
        Value::Null => out.extend_from_slice(b"\\N"),
        Value::Int(value) => out.extend_from_slice(integer.format(*value).as_bytes()),
        Value::UInt(value) => out.extend_from_slice(integer.format(*value).as_bytes()),
        Value::Float(value) => out.extend_from_slice(double.format(*value).as_bytes()),
        Value::Double(value) => out.extend_from_slice(double.format(*value).as_bytes()),
        Value::Text(text) if is_hex => write_hex(out, text.as_bytes()),
        Value::Bytes(bytes) if is_hex => write_hex(out, bytes),
        Value::Text(text) => write_escaped(out, text.as_bytes()),
        Value::Bytes(bytes) => write_escaped(out, bytes),
        Value::Date(days) => {
            out.extend_from_slice(value::date_text(*days).unwrap_or_default().as_bytes());
        }
        Value::DateTime(micros) => value::write_date_time(out, *micros),
        Value::Time(micros) => out.extend_from_slice(time_text(*micros).as_bytes()),
    }
}

/// A span of microseconds as `-25:00:00.000001`.
pub(super) fn time_text(micros: i64) -> String {
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (seconds, fraction) = (micros / MICROS_A_SECOND as u64, micros % MICROS_A_SECOND as u64);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}")
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | 0)) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(match rest[at] {
            b'\t' => b't',
            b'\n' => b'n',
            0 => b'0',
            other => other,
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_so_that_the_server_reads_the_same() {
        let values = [
            (Value::Null, false),
            (Value::Int(-7), false),
            (Value::Double(0.1), false),
            (Value::Double(-1.5e300), false),
            (Value::text("a\tb\\c\nd\0e'\"é"), false),
            (Value::bytes(&[0_u8, 255, 9][..]), true),
            (Value::Date(0), false),
            (Value::DateTime(1_704_164_645_000_006), false),
            (Value::Time(-90_000_000_001), false),
            (Value::text(""), false),
        ];
        let mut text = LoadText::new(values.iter().map(|(_, is_hex)| *is_hex));
        for (column, (value, _)) in values.iter().enumerate() {
            text.put(column, value);
        }
        let out = text.take_lines();
        let text = String::from_utf8(out).expect("UTF-8");
        let expected = "\\N\t-7\t0.1\t-1.5e300\ta\\tb\\\\c\\nd\\0e'\"é\t00FF09\t1970-01-01\t\
            2024-01-02 03:04:05.000006\t-25:00:00.000001\t\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn columns_are_put_together_to_lines() {
        let mut text = LoadText::new([false, true].into_iter());
        for part in [1..3, 3..4] {
            for n in part.clone() {
                text.put(0, &Value::Int(n));
            }
            for n in part {
                text.put(1, &Value::bytes(vec![n as u8]));
            }
        }
        assert_eq!(text.take_lines(), b"1\t01\n2\t02\n3\t03\n");
        assert_eq!(text.take_lines(), b"", "they are taken once");
    }
}
