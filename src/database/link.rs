//! A [`Link`] opens its connection again when it is broken or was idle too long, and a [`Home`] keeps several links on
//! one server.
//!
//! An address may move: a failover lets a name or a proxy lead to another server. A batch that reads state from one
//! server and is written to another loses updates, so all links of a lane share a [`Home`]. The first link that is led
//! elsewhere says so with an error of [`crate::batch::Fault::Fenced`]; from then on the others leave the old server too.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{Connection, Purpose};
use super::{Address, DatabaseError};

/// A connection that was idle for longer is asked whether it is still there. Below `wait_timeout`.
const IDLE_BEFORE_PING: Duration = Duration::from_secs(10);
/// Connections that are opened to find the same server again. A balancer that takes turns leads back to it soon; an
/// address that moved does not.
const HOME_TRIES_MAX: u32 = 5;

/// The server that several links lead to, once one of them has connected.
#[derive(Clone, Debug, Default)]
pub struct Home(Arc<Mutex<Option<String>>>);

impl Home {
    /// Whether a connection to this server may be used. The first server becomes the home.
    fn takes(&self, server: Option<&str>) -> bool {
        let Some(server) = server else { return true };
        let mut home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        home.get_or_insert_with(|| server.to_owned()) == server
    }

    /// This server is the home from now on; returns the one before.
    fn moves_to(&self, server: Option<&str>) -> Option<String> {
        let mut home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut home, server.map(str::to_owned))
    }
}

/// An address with at most one connection to it, opened when it is needed.
pub struct Link {
    address: Address,
    purpose: Purpose,
    home: Home,
    connection: Option<Connection>,
    last_used: Instant,
    /// True from [`Link::ready`] to [`Link::done`]: a connection whose use was dropped half-way is not used again.
    is_in_use: bool,
}

impl Link {
    /// A link that has not connected yet, with a home of its own.
    pub fn new(address: Address, purpose: Purpose) -> Self {
        let home = Home::default();
        Self { address, purpose, home, connection: None, last_used: Instant::now(), is_in_use: false }
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// A link to the same database, for the same purpose and with the same home, that has not connected yet.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { home: self.home.clone(), ..Self::new(self.address.clone(), self.purpose) }
    }

    /// Leads to the same server as all links that share this home.
    pub fn share(&mut self, home: &Home) {
        self.home = home.clone();
    }

    /// The connection, opened if there is none that works. [`Link::done`] gives it back.
    ///
    /// # Errors
    /// Infrastructure if the server is away; [`crate::batch::Fault::Fenced`] if the address leads to another server than
    /// the home, which then is the home.
    pub async fn ready(&mut self) -> Result<&mut Connection, DatabaseError> {
        let kept = self.connection.take().filter(|_| !self.is_in_use);
        // Invariant: a connection to a server that another link has left is not used again.
        let mut kept = kept.filter(|connection| self.home.takes(connection.server()));
        if let Some(connection) = &mut kept
            && self.last_used.elapsed() > IDLE_BEFORE_PING
            && !connection.is_alive().await
        {
            tracing::debug!(database = %self.address.redacted(), "the idle connection was closed, connecting again");
            kept = None;
        }
        let connection = match kept {
            Some(connection) => connection,
            None => self.open().await?,
        };
        self.is_in_use = true;
        Ok(self.connection.insert(connection))
    }

    async fn open(&self) -> Result<Connection, DatabaseError> {
        let mut connection = Connection::open(&self.address, self.purpose).await?;
        for _ in 1..HOME_TRIES_MAX {
            if self.home.takes(connection.server()) {
                return Ok(connection);
            }
            connection = Connection::open(&self.address, self.purpose).await?;
        }
        if self.home.takes(connection.server()) {
            return Ok(connection);
        }
        let before = self.home.moves_to(connection.server()).unwrap_or_default();
        let (address, now) = (self.address.redacted(), connection.server().unwrap_or_default());
        Err(DatabaseError::moved(format!("{address} leads to another server now: {now}, it was {before}")))
    }

    /// The connection that [`Link::ready`] gave and [`Link::done`] has not ended yet.
    ///
    /// # Errors
    /// It was closed, and what it held is rolled back.
    pub fn in_use(&mut self) -> Result<&mut Connection, DatabaseError> {
        let connection = self.connection.as_mut().filter(|_| self.is_in_use);
        connection.ok_or_else(|| DatabaseError::lost("the connection to the database was closed"))
    }

    /// Ends a use of the connection. After a failure the state of the connection or of its server may be unknown. Then
    /// it is closed, so the server rolls back what it holds.
    pub fn done<T>(&mut self, result: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        match &result {
            Err(error) if error.ends_connection() => self.close(),
            _ => {
                self.is_in_use = false;
                self.last_used = Instant::now();
            }
        }
        result
    }

    /// Closes the connection; the next use opens another.
    pub fn close(&mut self) {
        self.connection = None;
        self.is_in_use = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_the_first_server_until_it_moves() {
        let (home, other) = (Home::default(), Home::default());
        let shared = home.clone();
        assert!(home.takes(Some("a")) && shared.takes(Some("a")));
        assert!(!shared.takes(Some("b")), "another server");
        assert!(other.takes(Some("b")), "it is not shared");
        assert_eq!(shared.moves_to(Some("b")).as_deref(), Some("a"));
        assert!(home.takes(Some("b")) && !home.takes(Some("a")));
        assert!(home.takes(None), "a server that cannot be told apart");
    }
}
