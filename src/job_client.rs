//! Questions to a running job by HTTP.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The header with the number of the last batch in an answer: `after=N` asks for those after it.
pub(crate) const NUMBER_HEADER: &str = "x-batch-number";

/// What a job answers.
#[derive(Debug)]
pub struct Answer {
    pub is_success: bool,
    /// For people: `503 Service Unavailable`.
    pub status: String,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

/// Asks for a URL. Proxies of the environment are not asked: a job is near.
///
/// # Errors
/// The URL is none; nobody answers in time.
pub async fn get(url: &str, token: Option<&str>, wait_max: Duration) -> Result<Answer, String> {
    let failed = |error: reqwest::Error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{url} does not answer: {}{cause}", error.without_url())
    };
    // Why the result does not matter: another part of the program may have chosen already, the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().timeout(wait_max).build().map_err(failed)?;
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(failed)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.map_err(failed)?.to_vec();
    Ok(Answer { is_success: status.is_success(), status: status.to_string(), headers, body })
}

/// Where an address that a job listens on is reached from this machine.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
