//! Requests without an answer: why there is none, in words that name neither a secret nor an address that may hold one, and
//! whether waiting may help.

use std::error::Error;

use reqwest::Response;
use rustls::{AlertDescription, CertificateError};

use super::RegistryError;
use crate::diagnostic::Finding;

/// The most that an answer may hold.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The error of a request that failed; `asked` names the server, without credentials.
pub(super) fn failed(asked: &str, error: &reqwest::Error) -> RegistryError {
    let found = |what: &str| Finding::new(format!("{asked} {what}"));
    match tls_error(error) {
        Some(rustls::Error::AlertReceived(alert)) => {
            let refusal = refusal(*alert).map(|why| format!("refuses the client certificate: {why}"));
            let hint = "see certificate and key of schema_registry";
            match refusal {
                Some(what) => RegistryError::Refused(found(&what).with_hint(hint)),
                None => RegistryError::Unavailable(
                    found(&cause(error)).with_hint(format!("does it want a client certificate? {hint}")),
                ),
            }
        }
        Some(rustls::Error::InvalidCertificate(problem)) => {
            let what = format!("has a certificate that is not trusted: {}", distrust(problem));
            let hint = "`ca` of schema_registry names the certificates that may sign it";
            RegistryError::Unavailable(found(&what).with_hint(hint))
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            RegistryError::Unavailable(found("does not speak TLS").with_hint("is `http://` meant?"))
        }
        _ => RegistryError::Unavailable(found(&cause(error))),
    }
}

/// The whole body of an answer.
///
/// # Errors
/// It is too long, or ends early.
pub(super) async fn body(asked: &str, mut response: Response) -> Result<Vec<u8>, RegistryError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                let message = format!("{asked} answers with more than {ANSWER_BYTES_MAX} bytes");
                return Err(RegistryError::Unavailable(message.into()));
            }
            Err(error) => return Err(failed(asked, &error)),
        }
    }
}

/// What happened to a request, without its address.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "does not answer in time".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let what = if error.is_connect() { "cannot be reached" } else { "does not answer as it should" };
    format!("{what}: {cause}")
}

/// The error of TLS among the causes of this one.
pub(super) fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // Why: what an I/O error holds is not its source.
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

/// Why a server refuses a client certificate, if that is what this alert says.
fn refusal(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired => "it wants one, and none is configured",
        AlertDescription::CertificateExpired => "it has expired",
        AlertDescription::CertificateRevoked => "it was revoked",
        AlertDescription::UnknownCA => "its issuer is not known to the server",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it is not accepted",
        _ => return None,
    })
}

/// Why the certificate of a server is not trusted.
fn distrust(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => "its issuer is not known".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        other => other.to_string(),
    }
}
