//! Who may ask, and for what: only GET and HEAD, only by a name of this machine, and from elsewhere only with the token.

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request, StatusCode};

use crate::config::HttpConfig;

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: StatusCode,
    pub text: &'static str,
}

const WRONG_METHOD: Refused = Refused {
    status: StatusCode::METHOD_NOT_ALLOWED,
    text: "only GET and HEAD: nothing can be changed here",
};
/// Why refused: a page of another site could make a browser ask under a name that leads here (DNS rebinding).
const WRONG_HOST: Refused = Refused {
    status: StatusCode::FORBIDDEN,
    text: "the Host header is none of this machine: ask localhost or 127.0.0.1, or configure `http_token`",
};
const NO_TOKEN: Refused = Refused {
    status: StatusCode::UNAUTHORIZED,
    text: "the token is missing or wrong: send `Authorization: Bearer TOKEN` (http_token of the configuration)",
};

/// Lets a request pass, or says why not.
pub(super) fn check(request: &Request<Incoming>, http: &HttpConfig) -> Result<(), Refused> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(WRONG_METHOD);
    }
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(token) = &http.token else {
        return match header(HOST).is_some_and(is_local) {
            true => Ok(()),
            false => Err(WRONG_HOST),
        };
    };
    let bearer = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    // Why these paths: a browser opens the page, and its stream of events, without a header.
    let takes_parameter = matches!(request.uri().path(), "/" | "/api/events");
    let parameter = parameter(request.uri().query(), "token").filter(|_| takes_parameter);
    let is_right =
        [bearer.map(str::to_owned), parameter].into_iter().flatten().any(|found| is_same(&found, token));
    if is_right { Ok(()) } else { Err(NO_TOKEN) }
}

/// Whether a Host header names this machine, with any port: one may be forwarded.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            return rest.split_once(']').is_some_and(|(address, port)| address == "::1" && is_port(port));
        }
        None => host,
    };
    let (name, port) = name.split_once(':').map_or((name, ""), |(name, port)| (name, port));
    let is_loopback = name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    (is_loopback || name.eq_ignore_ascii_case("localhost")) && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_port(port: &str) -> bool {
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Compares in the same time wherever they differ, so that a token cannot be guessed letter by letter.
fn is_same(found: &str, token: &str) -> bool {
    let differences = found.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    found.len() == token.len() && differences == 0
}

/// A parameter of a query string.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query?.as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.9.9:9464",
            "[::1]",
            "[::1]:9464",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "bank.example",
            "localhost.bank.example",
            "127.0.0.1.bank.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]:1",
            "[::1]x",
            "localhost:80@evil",
            "127.0.0.1 evil",
            "[::1",
            "2130706433",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(is_same("0123456789abcdef", "0123456789abcdef"));
        for found in ["", "0", "0123456789abcdeg", "0123456789abcdef0", "1123456789abcdef"] {
            assert!(!is_same(found, "0123456789abcdef"), "{found}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(
            parameter(Some("a=1&sql=SELECT%20a%2Bb+FROM+t"), "sql").as_deref(),
            Some("SELECT a+b FROM t")
        );
        assert_eq!(parameter(Some("sqlx=1"), "sql"), None);
        assert_eq!(parameter(None, "sql"), None);
    }
}
