//! Requests to a registry: one address after the other until one answers, with bounded answers and times.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use reqwest::header::{ACCEPT, AUTHORIZATION};
use reqwest::{Certificate, Method, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::Url;

use super::RegistryError;
use super::answer::{self, Compatibility, Found, Reference, Registered, Stored};
use super::failure::{body, cause, failed, tls_error};
use super::login::{Authorizer, Credentials};
use super::references::inline;
use crate::avro::SchemaId;
use crate::config::{Identity, RegistryConfig};
use crate::diagnostic::Finding;

/// Schemas that one schema may refer to, directly or by others.
const REFERENCES_MAX: usize = 200;
/// Schemas that are kept because others refer to them.
const REFERRED_MAX: usize = 1_000;
/// Confluent's ids are positive and have 32 bits, with sign.
const ID_MAX: u32 = i32::MAX as u32;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Asks a registry.
pub struct Client {
    config: RegistryConfig,
    authorizer: Authorizer,
    http: Mutex<Option<Http>>,
    /// The place of the address that answered last.
    preferred: AtomicUsize,
    /// Schemas that others refer to. A version never changes, and many schemas may refer to it.
    referred: Mutex<HashMap<Reference, Stored>>,
}

/// The HTTP client, as long as the files of certificates stay as they are.
#[derive(Clone)]
struct Http {
    client: reqwest::Client,
    files: Vec<Option<SystemTime>>,
}

/// What a registry said.
struct Answer {
    status: StatusCode,
    body: Value,
    /// What it was asked with.
    credentials: Option<Credentials>,
}

impl Client {
    pub fn new(config: &RegistryConfig) -> Self {
        // Why ignored: another part of the program may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            authorizer: Authorizer::new(config.login.clone()),
            config: config.clone(),
            http: Mutex::new(None),
            preferred: AtomicUsize::new(0),
            referred: Mutex::default(),
        }
    }

    /// The addresses, for messages.
    pub fn shown(&self) -> String {
        self.config.shown()
    }

    /// The schema that messages name by this id, with everything that it refers to.
    ///
    /// # Errors
    /// [`RegistryError::Unusable`] if the registry has it, and it is no schema of Avro.
    pub async fn schema(&self, id: SchemaId) -> Result<Found<String>, RegistryError> {
        let number = match id {
            SchemaId::Number(number) if number > ID_MAX => {
                return Ok(Found::Unknown(format!("ids of a registry are at most {ID_MAX}")));
            }
            SchemaId::Number(number) => Some(number),
            SchemaId::Guid(_) => None,
        };
        let name = id.to_string();
        let path = if number.is_some() { ["schemas", "ids", &name] } else { ["schemas", "guids", &name] };
        let answer = match self.request(Method::GET, &path, &[], None).await {
            Err(RegistryError::NoSuchRequest(_)) if number.is_none() && self.is_registry().await => {
                return Ok(Found::Unknown("this registry knows no GUIDs".to_owned()));
            }
            answer => answer?,
        };
        if let Some(reason) = answer.unknown(&self.shown())? {
            return Ok(Found::Unknown(reason));
        }
        let stored = stored(&answer.body)?;
        if let (Some(asked), Some(given)) = (number, stored.id)
            && u64::from(asked) != given
        {
            let message = format!("answers with schema {given} when it is asked for schema {asked}");
            return Err(RegistryError::Unavailable(message.into()));
        }
        let unusable =
            |problem| RegistryError::Unusable(format!("schema {id} of the registry: {problem}").into());
        self.whole(stored).await?.map(Found::Known).map_err(unusable)
    }

    /// A version of a subject; the latest where `None`.
    ///
    /// # Errors
    /// As for all requests.
    pub async fn version(
        &self,
        subject: &str,
        version: Option<u32>,
    ) -> Result<Found<Registered>, RegistryError> {
        let version = version.map_or("latest".to_owned(), |version| version.to_string());
        let answer =
            self.request(Method::GET, &["subjects", subject, "versions", &version], &[], None).await?;
        self.registered(answer, subject).await
    }

    /// The version of a subject that has this schema.
    ///
    /// # Errors
    /// As for all requests.
    pub async fn find(&self, subject: &str, schema: &str) -> Result<Found<Registered>, RegistryError> {
        let body = json!({ "schema": schema });
        let answer = self.request(Method::POST, &["subjects", subject], &[], Some(&body)).await?;
        self.registered(answer, subject).await
    }

    /// Makes a schema the next version of a subject, or finds the version that has it. Returns its id.
    ///
    /// # Errors
    /// [`RegistryError::Rejected`] if it is not compatible with the versions before it.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let body = json!({ "schema": schema });
        let answer = self.request(Method::POST, &["subjects", subject, "versions"], &[], Some(&body)).await?;
        if answer.status.is_client_error() {
            let message = format!("does not register the schema: {}", answer.said());
            return Err(RegistryError::Rejected(message.into()));
        }
        answer::id(&answer.body).ok_or_else(|| self.nonsense("an answer without `id`"))
    }

    /// Whether a schema may become the next version of a subject, by the rule of that subject.
    ///
    /// # Errors
    /// As for all requests.
    pub async fn compatibility(
        &self,
        subject: &str,
        schema: &str,
    ) -> Result<Found<Compatibility>, RegistryError> {
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        let body = json!({ "schema": schema });
        let answer = self.request(Method::POST, &path, &[("verbose", "true")], Some(&body)).await?;
        if let Some(reason) = answer.unknown(&self.shown())? {
            return Ok(Found::Unknown(reason));
        }
        let read = answer::compatibility(&answer.body);
        read.map(Found::Known).ok_or_else(|| self.nonsense("an answer without `is_compatible`"))
    }

    /// The names of all subjects.
    ///
    /// # Errors
    /// As for all requests.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        let answer = self.request(Method::GET, &["subjects"], &[], None).await?;
        answer::names(&answer.body).ok_or_else(|| self.nonsense("an answer that is no list of names"))
    }

    /// Whether it answers what every registry does.
    async fn is_registry(&self) -> bool {
        let answer = self.request(Method::GET, &["schemas", "types"], &[], None).await;
        answer.is_ok_and(|answer| answer::names(&answer.body).is_some())
    }

    async fn registered(&self, answer: Answer, subject: &str) -> Result<Found<Registered>, RegistryError> {
        if let Some(reason) = answer.unknown(&self.shown())? {
            return Ok(Found::Unknown(reason));
        }
        let stored = stored(&answer.body)?;
        let number = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let (Some(id), Some(version)) = (number(stored.id), number(stored.version)) else {
            return Err(self.nonsense("an answer without `id` or `version`"));
        };
        let unusable = |problem| {
            RegistryError::Unusable(format!("subject {subject}, version {version}: {problem}").into())
        };
        let schema = self.whole(stored).await?.map_err(unusable)?;
        Ok(Found::Known(Registered { id, version, schema }))
    }

    /// A schema with everything that it refers to; the inner error says why it cannot be used.
    async fn whole(&self, stored: Stored) -> Result<Result<String, String>, RegistryError> {
        let mut seen: Vec<Reference> = Vec::new();
        let mut waiting = stored.references;
        let mut others = Vec::new();
        while let Some(reference) = waiting.pop() {
            if seen.contains(&reference) {
                continue;
            }
            if seen.len() == REFERENCES_MAX {
                return Ok(Err(format!("it refers to more than {REFERENCES_MAX} schemas")));
            }
            let found = match self.referred(&reference).await? {
                Found::Known(found) => found,
                Found::Unknown(reason) => {
                    let Reference { subject, version } = &reference;
                    return Ok(Err(format!("it refers to subject {subject}, version {version}: {reason}")));
                }
            };
            waiting.extend(found.references);
            others.push(found.schema);
            seen.push(reference);
        }
        Ok(inline(&stored.schema, &others))
    }

    /// A schema that another one refers to, asked for once.
    async fn referred(&self, reference: &Reference) -> Result<Found<Stored>, RegistryError> {
        if let Some(known) = self.referred.lock().await.get(reference) {
            return Ok(Found::Known(known.clone()));
        }
        let path = ["subjects", &reference.subject, "versions", &reference.version.to_string()];
        // A version that was deleted is still what the schema means.
        let answer = self.request(Method::GET, &path, &[("deleted", "true")], None).await?;
        if let Some(reason) = answer.unknown(&self.shown())? {
            return Ok(Found::Unknown(reason));
        }
        let found = answer::stored(&answer.body).map_err(|problem| self.nonsense(&problem))?;
        let mut known = self.referred.lock().await;
        if known.len() >= REFERRED_MAX {
            known.clear();
        }
        known.insert(reference.clone(), found.clone());
        Ok(Found::Known(found))
    }

    /// Asks the address that answered last, then the others.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] and [`RegistryError::Rejected`] from the first that answers; otherwise what the last one
    /// did in place of an answer.
    async fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, RegistryError> {
        let count = self.config.urls.len();
        let first = self.preferred.load(Ordering::Relaxed);
        let (mut failures, mut is_unknown_to_all) = (Vec::new(), true);
        for place in (first..first + count).map(|place| place % count) {
            let url = &self.config.urls[place];
            match self.ask(url, &method, path, query, body).await {
                Err(RegistryError::NoSuchRequest(failure)) => failures.push(failure),
                Err(RegistryError::Unavailable(failure)) => {
                    is_unknown_to_all = false;
                    failures.push(failure);
                }
                answered => {
                    self.preferred.store(place, Ordering::Relaxed);
                    return answered;
                }
            }
        }
        let failures = Finding::joined(failures);
        Err(if is_unknown_to_all {
            RegistryError::NoSuchRequest(failures)
        } else {
            RegistryError::Unavailable(failures)
        })
    }

    async fn ask(
        &self,
        base: &Url,
        method: &Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, RegistryError> {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut is_second_try = false;
        loop {
            let http = self.http().await?;
            let mut request = http.request(method.clone(), url.clone()).header(ACCEPT, MEDIA_TYPE_ACCEPTED);
            if !query.is_empty() {
                request = request.query(query);
            }
            if let Some(body) = body {
                request = request.header(reqwest::header::CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
            }
            let credentials = self.authorizer.credentials(&http).await?;
            if let Some(credentials) = &credentials {
                request = request.header(AUTHORIZATION, credentials.header.clone());
            }
            let answer = request.send().await.map_err(|error| failed(base.as_str(), &error))?;
            if answer.status() == StatusCode::UNAUTHORIZED
                && !is_second_try
                && let Some(credentials) = &credentials
                && self.authorizer.refused(credentials).await
            {
                is_second_try = true;
                continue;
            }
            return Answer::read(base, answer, credentials).await;
        }
    }

    /// The HTTP client, made again when a file of certificates has changed.
    async fn http(&self) -> Result<reqwest::Client, RegistryError> {
        let RegistryConfig { ca, identity, .. } = &self.config;
        let key_files = identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        let files: Vec<Option<SystemTime>> =
            ca.iter().chain(key_files).map(|file| changed_at(file)).collect();
        let mut current = self.http.lock().await;
        if let Some(http) = current.as_ref().filter(|http| http.files == files) {
            return Ok(http.client.clone());
        }
        let client = build(&self.config).map_err(|problem| {
            let found = Finding::new(format!("cannot be asked: {problem}"));
            let found = found.with_hint("see ca, certificate and key of schema_registry");
            // Why: files that were sound are being replaced, one after the other.
            let is_replaced = current.is_some();
            if is_replaced { RegistryError::Unavailable(found) } else { RegistryError::Refused(found) }
        })?;
        Ok(current.insert(Http { client, files }).client.clone())
    }

    fn nonsense(&self, what: &str) -> RegistryError {
        RegistryError::Unavailable(format!("{} gives {what}", self.shown()).into())
    }
}

/// Proxies in front of a registry may know only JSON.
const MEDIA_TYPE_ACCEPTED: &str = "application/vnd.schemaregistry.v1+json, application/json;q=0.9";

impl Answer {
    /// Tells answers of a registry from those of something else.
    async fn read(
        base: &Url,
        response: Response,
        credentials: Option<Credentials>,
    ) -> Result<Self, RegistryError> {
        let status = response.status();
        let found = |what: &str| Finding::new(format!("{base} {what}"));
        let unavailable = |what: &str| RegistryError::Unavailable(found(what));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let found = found(&format!("refuses access (status {})", status.as_u16()));
                return Err(RegistryError::Refused(
                    found.with_hint("see the credentials of schema_registry"),
                ));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                return Err(unavailable(&format!("answers with status {}", status.as_u16())));
            }
            status if status.is_redirection() => {
                let found = found("answers that it is elsewhere");
                return Err(RegistryError::Unavailable(
                    found.with_hint("`url` names the address it redirects to"),
                ));
            }
            status if status.is_success() || status.is_client_error() => {}
            status => return Err(unavailable(&format!("answers with status {}", status.as_u16()))),
        }
        let body = body(base.as_str(), response).await?;
        let body: Result<Value, _> = serde_json::from_slice(&body);
        if status == StatusCode::NOT_FOUND && !body.as_ref().is_ok_and(is_of_registry) {
            let hint = "is it a registry's address? Apicurio has this API at /apis/ccompat/v7";
            let found = found("does not know this request (status 404)").with_hint(hint);
            return Err(RegistryError::NoSuchRequest(found));
        }
        let body = body.map_err(|_| {
            let found = found(&format!("answers with status {} and no JSON", status.as_u16()));
            RegistryError::Unavailable(found.with_hint("is it a registry's address?"))
        })?;
        Ok(Self { status, body, credentials })
    }

    /// Why the registry does not have what it was asked for; `None` if it has it.
    ///
    /// # Errors
    /// The request was refused by something else, such as a proxy, which says nothing about the registry.
    fn unknown(&self, asked: &str) -> Result<Option<String>, RegistryError> {
        if !self.status.is_client_error() {
            return Ok(None);
        }
        if is_of_registry(&self.body) {
            return Ok(Some(self.said()));
        }
        let message = format!("{asked} answers with status {}", self.status.as_u16());
        Err(RegistryError::Unavailable(message.into()))
    }

    /// What the registry says about an error.
    fn said(&self) -> String {
        let code = answer::error_code(&self.body).unwrap_or(self.status.as_u16().into());
        let message = answer::error_message(&self.body).unwrap_or("no message");
        // Invariant: a registry that repeats what it was sent shows no secret.
        if self.credentials.as_ref().is_some_and(|credentials| credentials.are_in(message)) {
            return format!("a message that repeats the credentials ({code})");
        }
        format!("{} ({code})", shortened(message))
    }
}

/// Whether an error has a number of the registry's own. A path that a server does not know has 404, a schema or a subject
/// that the registry does not know 404xx.
fn is_of_registry(body: &Value) -> bool {
    answer::error_code(body).is_some_and(|code| code >= 1_000)
}

fn shortened(message: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    let line = message.lines().next().unwrap_or_default();
    line.chars().filter(|character| !character.is_control()).take(CHARACTERS_MAX).collect()
}

fn stored(body: &Value) -> Result<Stored, RegistryError> {
    answer::stored(body).map_err(|problem| match body.get("schema") {
        // It is a schema, of something else.
        Some(_) => RegistryError::Unusable(format!("the registry has {problem}").into()),
        None => RegistryError::Unavailable(format!("gives {problem}").into()),
    })
}

fn changed_at(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn build(config: &RegistryConfig) -> Result<reqwest::Client, String> {
    let read = |file: &Path| {
        std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("realtime-processor/", env!("CARGO_PKG_VERSION")))
        .timeout(config.timeout)
        // Why: credentials go to the configured address and nowhere else.
        .redirect(redirect::Policy::none());
    let is_encrypted = |url: &Url| url.scheme() == "https";
    if let Some(file) = &config.ca {
        let certificates = Certificate::from_pem_bundle(&read(file)?);
        let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
        let certificates = certificates.ok_or_else(|| format!("{} holds no certificate", file.display()))?;
        builder = builder.tls_certs_only(certificates);
    } else if !config.urls.iter().any(is_encrypted) && !config.login.token_url().is_some_and(is_encrypted) {
        // Why: without TLS, a system without certificates is no fault.
        builder = builder.tls_certs_only([]);
    }
    if let Some(identity) = &config.identity {
        let pem = [read(&identity.certificate)?, vec![b'\n'], read(&identity.key)?].concat();
        let pem = reqwest::Identity::from_pem(&pem).map_err(|_| no_identity(identity))?;
        builder = builder.identity(pem);
    }
    builder.build().map_err(|error| match (tls_error(&error), &config.identity) {
        (Some(rustls::Error::InconsistentKeys(_)), Some(identity)) => no_identity(identity),
        _ => cause(&error),
    })
}

fn no_identity(Identity { certificate, key }: &Identity) -> String {
    format!("{} and {} are no certificate and its key", certificate.display(), key.display())
}
