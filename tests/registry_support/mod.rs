//! A schema registry that behaves as badly as it is told: it is slow, answers with errors, cuts connections, sends HTML
//! or lies about ids. It notes every request.

#![allow(dead_code)] // Why: each test file uses its part.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How one request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    Slow(Duration),
    Status(u16),
    /// The connection is closed instead of an answer.
    Cut,
    /// It is closed in the middle of one.
    CutHalfWay,
    Html,
    /// It answers with another id than was asked for.
    Lies,
    Redirects,
}

#[derive(Default)]
pub struct State {
    /// Bodies of answers by their paths; all others are 404.
    answers: HashMap<String, String>,
    /// For the next requests, then `otherwise`.
    moods: VecDeque<Mood>,
    /// For all paths that end so, before anything else.
    ill: Vec<(String, Mood)>,
    otherwise: Option<Mood>,
    /// Requests without this header get 401.
    authorization: Option<String>,
    /// Path and body of each.
    requests: Vec<(String, String)>,
}

/// A registry on a port of its own. It ends with the process.
#[derive(Clone)]
pub struct FakeRegistry {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(&stream.expect("a connection"), &shared));
            }
        });
        Self { url, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panicked")
    }

    /// A schema under an id, with references as JSON.
    pub fn schema(&self, id: u32, schema: &str, references: &str) {
        let schema = serde_json::Value::from(schema);
        let body = match references {
            "" => format!(r#"{{"schema": {schema}}}"#),
            references => format!(r#"{{"schema": {schema}, "references": {references}, "maxId": 9}}"#),
        };
        self.answer(&format!("/schemas/ids/{id}"), &body);
    }

    /// A version of a subject.
    pub fn version(&self, subject: &str, version: u32, schema: &str, references: &str) {
        let schema = serde_json::Value::from(schema);
        let body = format!(
            r#"{{"subject": "{subject}", "version": {version}, "id": 1, "schema": {schema}, "references": {references}}}"#
        );
        self.answer(&format!("/subjects/{subject}/versions/{version}"), &body);
    }

    pub fn answer(&self, path: &str, body: &str) {
        self.lock().answers.insert(path.to_owned(), body.to_owned());
    }

    pub fn is(&self, mood: Mood) {
        self.lock().otherwise = Some(mood);
    }

    pub fn is_first(&self, moods: &[Mood]) {
        self.lock().moods.extend(moods);
    }

    /// How requests of paths that end so are answered, whatever else is said.
    pub fn is_ill_for(&self, end: &str, mood: Option<Mood>) {
        let mut state = self.lock();
        state.ill.retain(|(known, _)| known != end);
        state.ill.extend(mood.map(|mood| (end.to_owned(), mood)));
    }

    pub fn wants(&self, authorization: &str) {
        self.lock().authorization = Some(authorization.to_owned());
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.lock().requests.iter().filter(|(asked, _)| asked == path).count()
    }

    pub fn requests(&self) -> usize {
        self.lock().requests.len()
    }

    /// What was sent to a path last.
    pub fn sent(&self, path: &str) -> Option<String> {
        self.lock().requests.iter().rev().find(|(asked, _)| asked == path).map(|(_, body)| body.clone())
    }
}

fn answer(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let Some((path, authorization, body)) = read(&mut reader) else { return };
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let (mood, found) = {
        let mut state = state.lock().expect("no thread panicked");
        let is_refused =
            state.authorization.as_ref().is_some_and(|wanted| authorization.as_ref() != Some(wanted));
        let is_token = path == "/token";
        let ill = state.ill.iter().find(|(end, _)| path.ends_with(end)).map(|(_, mood)| *mood);
        let mood = if is_refused && !is_token {
            Mood::Status(401)
        } else {
            ill.or_else(|| state.moods.pop_front()).or(state.otherwise).unwrap_or(Mood::Good)
        };
        let found = state.answers.get(&path).cloned();
        state.requests.push((path, body));
        (mood, found)
    };
    // Servers repeat what they were sent.
    let by = authorization.map(|header| format!(" for {header}")).unwrap_or_default();
    let unknown = format!(r#"{{"error_code": 40403, "message": "Schema not found{by}"}}"#);
    let (status, body) = match found {
        Some(body) => (200, body),
        None => (404, unknown),
    };
    match mood {
        Mood::Good => write(stream, status, "application/json", &body),
        Mood::Slow(wait) => {
            std::thread::sleep(wait);
            write(stream, status, "application/json", &body);
        }
        Mood::Status(status) => write(stream, status, "application/json", r#"{"message": "no"}"#),
        Mood::Cut => {}
        Mood::CutHalfWay => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{\"sch", body.len() + 10);
            let _ = { stream }.write_all(head.as_bytes());
        }
        Mood::Html => write(stream, 200, "text/html", "<html>Please log in</html>"),
        Mood::Lies => {
            let body = body.replacen('{', r#"{"id": 4711, "#, 1);
            write(stream, status, "application/json", &body);
        }
        Mood::Redirects => {
            let head = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
            let _ = { stream }.write_all(head.as_bytes());
        }
    }
}

/// Path, authorization and body of a request.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<(String, Option<String>, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, authorization, String::from_utf8(body).ok()?))
}

fn write(mut stream: &TcpStream, status: u16, kind: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} Reason\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // Whoever asked may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}
