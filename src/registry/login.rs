//! What proves to a registry who asks: credentials for each request. Secrets are read for each use, and a token of an OAuth
//! server is kept until shortly before it expires.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::header::HeaderValue;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use super::RegistryError;
use super::failure::{body, failed};
use crate::config::{Login, Secret};
use crate::diagnostic::Finding;

/// A token is not used any more this long before it expires.
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// What a token is taken to be good for where its server says nothing.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// How requests are authorized, and the token that is current.
pub(super) struct Authorizer {
    login: Login,
    token: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    expires_at: Instant,
}

/// What a request proves with who asks.
pub(super) struct Credentials {
    /// The value of the header `Authorization`.
    pub header: HeaderValue,
    /// The password or token in it.
    secret: String,
}

impl Credentials {
    fn new(scheme: &str, coded: &str, secret: String) -> Result<Self, RegistryError> {
        let header = HeaderValue::from_str(&format!("{scheme} {coded}"));
        let mut header = header.map_err(|_| {
            RegistryError::Refused(
                "gets no credentials: they hold a character that HTTP does not allow".into(),
            )
        })?;
        header.set_sensitive(true);
        Ok(Self { header, secret })
    }

    fn bearer(token: String) -> Result<Self, RegistryError> {
        Self::new("Bearer", &token.clone(), token)
    }

    /// Whether a text repeats them, as they were sent or as they are.
    pub fn are_in(&self, text: &str) -> bool {
        let sent = self.header.to_str().ok().and_then(|header| header.split_once(' '));
        text.contains(&self.secret) || sent.is_some_and(|(_, coded)| text.contains(coded))
    }
}

impl Authorizer {
    pub fn new(login: Login) -> Self {
        Self { login, token: Mutex::new(None) }
    }

    /// What the next request is authorized by.
    ///
    /// # Errors
    /// A file that cannot be read; an OAuth server that refuses, or does not answer.
    pub async fn credentials(&self, http: &Client) -> Result<Option<Credentials>, RegistryError> {
        match &self.login {
            Login::Nobody => Ok(None),
            Login::Basic { username, password } => {
                let password = read(password)?;
                let coded = BASE64.encode(format!("{username}:{password}"));
                Credentials::new("Basic", &coded, password).map(Some)
            }
            Login::Bearer(token) => Credentials::bearer(read(token)?).map(Some),
            Login::OAuth { .. } => Credentials::bearer(self.token(http).await?).map(Some),
        }
    }

    /// The registry has refused these credentials; whether another try with another token may help. A token that has
    /// replaced the refused one since then is kept: another request has asked for it.
    pub async fn refused(&self, credentials: &Credentials) -> bool {
        if !matches!(self.login, Login::OAuth { .. }) {
            return false;
        }
        let mut current = self.token.lock().await;
        drop(current.take_if(|token| token.text == credentials.secret));
        true
    }

    async fn token(&self, http: &Client) -> Result<String, RegistryError> {
        // Why held while it asks: all that wait for a token need the same one.
        let mut current = self.token.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.expires_at > Instant::now()) {
            return Ok(token.text.clone());
        }
        let token = self.ask(http).await?;
        Ok(current.insert(token).text.clone())
    }

    async fn ask(&self, http: &Client) -> Result<Token, RegistryError> {
        let Login::OAuth { token_url, client_id, secret, scope } = &self.login else {
            return Err(RegistryError::Refused("needs no token".into()));
        };
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(scope.as_deref().map(|scope| ("scope", scope)));
        let request = http.post(token_url.clone()).basic_auth(client_id, Some(read(secret)?)).form(&form);
        let asked = format!("needs a token, and the token server {token_url}");
        let unavailable = |what: &str| RegistryError::Unavailable(format!("{asked} {what}").into());
        let answer = request.send().await.map_err(|error| failed(&asked, &error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let status = answer.status().as_u16();
                let found = Finding::new(format!("{asked} refuses the client (status {status})"));
                let hint = "see client_id, client_secret and scope of schema_registry";
                return Err(RegistryError::Refused(found.with_hint(hint)));
            }
            status => return Err(unavailable(&format!("answers with status {}", status.as_u16()))),
        }
        let body = body(&asked, answer).await?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| unavailable("does not answer with JSON"))?;
        let text = body.get("access_token").and_then(Value::as_str);
        let text = text.ok_or_else(|| unavailable("answers without access_token"))?.to_owned();
        let lifetime =
            body.get("expires_in").and_then(Value::as_u64).map_or(LIFETIME_DEFAULT, Duration::from_secs);
        let expires_at =
            Instant::now() + lifetime.saturating_sub(EXPIRY_MARGIN).min(Duration::from_secs(86_400));
        Ok(Token { text, expires_at })
    }
}

fn read(secret: &Secret) -> Result<String, RegistryError> {
    secret.read().map_err(|problem| RegistryError::Refused(format!("gets no credentials: {problem}").into()))
}
