//! `health`: asks a running job how it is, for probes in images without curl.

use std::path::Path;
use std::time::Duration;

use super::failure::Failure;
use crate::config::Config;
use crate::diagnostic::Finding;
use crate::job_client;

/// Ask a running job whether it is doing its work.
///
/// The exit code is 0 if it is. It is 1 if it is not, and the reasons are printed; or if the job does not answer within
/// 5 seconds. The job must have `http` in its configuration.
///
/// `/readyz` (the default) is about the work: it succeeds if the job runs, is in its consumer group and is not waiting for a
/// server. `/livez` is about the process: it fails only if the process should be restarted, not while a server is unavailable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = super::help_end(&[
    "realtime-processor health",
    "realtime-processor health --url http://127.0.0.1:9464/livez",
]))]
pub(super) struct Arguments {
    /// The address to ask [default: /readyz at the address of the configuration].
    #[arg(long, value_name = "U")]
    url: Option<String>,
}

/// How long the job may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
const READY: &str = "/readyz";

pub(super) async fn run(config: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let http = match &arguments.url {
        // Why not a fault: an address alone needs no configuration.
        Some(_) => Config::load(config).ok().and_then(|config| config.http),
        None => Config::load(config)?.http,
    };
    let url = match (&arguments.url, &http) {
        (Some(url), _) if url.splitn(4, '/').nth(3).is_none_or(str::is_empty) => {
            format!("{}{READY}", url.trim_end_matches('/'))
        }
        (Some(url), _) => url.clone(),
        (None, Some(http)) => format!("http://{}{READY}", job_client::reachable(http.address)),
        (None, None) => {
            let found = Finding::new("the configuration has no `http`");
            return Err(Failure::bad_command_line(
                found.with_hint("name the job's address with --url http://127.0.0.1:9464"),
            ));
        }
    };
    let token = http.and_then(|http| http.token);
    let answer = job_client::get(&url, token.as_deref(), ANSWER_WAIT_MAX).await.map_err(Failure::failed)?;
    let reasons: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let reasons = reasons["reasons"].as_array().cloned().unwrap_or_default();
    let reasons: Vec<&str> = reasons.iter().filter_map(serde_json::Value::as_str).collect();
    match answer.is_success {
        true => Ok(()),
        false if reasons.is_empty() => Err(Failure::failed(format!("{url} answers {}", answer.status))),
        false => Err(Failure::failed(reasons.join("\n"))),
    }
}
