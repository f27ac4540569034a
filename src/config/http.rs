//! Where the job can be watched by HTTP: `http` is an address, and `http_token` what a caller from elsewhere must say.

use std::fmt;
use std::net::SocketAddr;

use crate::yaml::{Fault, Section};

/// A token that could be guessed is none.
const TOKEN_CHARACTERS_MIN: usize = 16;

/// See the module.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpConfig {
    pub address: SocketAddr,
    /// Always there if the address is not a loopback address.
    pub token: Option<String>,
}

/// Why: the token is a secret.
impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpConfig({}, token: {})", self.address, self.token.is_some())
    }
}

pub(super) fn read_http(section: &mut Section<'_>) -> Option<HttpConfig> {
    let read = |text: &str| text.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>().ok();
    let address = section.value("http", "an address and a port, such as 127.0.0.1:9464", read);
    let token = section.text("http_token");
    if let Some(token) = &token {
        let is_plain = token.chars().all(|c| c.is_ascii_graphic());
        if !is_plain || token.len() < TOKEN_CHARACTERS_MIN {
            let message = format!(
                "http_token: found {} characters, expected at least {TOKEN_CHARACTERS_MIN} letters, digits and signs",
                token.chars().count()
            );
            let hint = "for example the output of `openssl rand -hex 16`, by a variable of the environment";
            section.fault(Fault::new(section.spot("http_token"), message).hint(hint).without_line());
        }
    }
    let address = address?;
    if !address.ip().is_loopback() && token.is_none() {
        let message =
            format!("http: {address} can be reached from other machines, so `http_token` is needed");
        let hint = "write `http_token: ${HTTP_TOKEN}`, or listen on 127.0.0.1 only";
        section.fault(Fault::new(section.spot("http"), message).hint(hint));
        return None;
    }
    Some(HttpConfig { address, token })
}
