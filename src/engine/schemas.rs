//! The schemas of writers, as a registry has them: each is asked for once and kept for good, in memory and in
//! the database. All lanes of a job share them.
//!
//! A registry that does not answer is waited for, for each id by itself, so one that it cannot tell holds up no other. An
//! id that it does not know may be registered later: what it said about it counts for a while.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::error::EngineError;
use super::stop::{Patience, Stop};
use crate::avro::SchemaId;
use crate::batch::{Fault, Messages};
use crate::config::Config;
use crate::decode::{Decoder, WriterSchema};
use crate::diagnostic::Finding;
use crate::registry::{Client, Found, RegistryError};
use crate::sink::{SinkError, StoredSchemas};

/// How long it counts that a registry does not know an id.
const UNKNOWN_KEPT: Duration = Duration::from_secs(30);
/// Requests at the same time.
const REQUESTS_MAX: usize = 8;
/// Ids that are asked for at once because messages of one batch name them. They may be bytes of garbage.
pub(super) const IDS_ASKED_MAX: usize = 64;
/// Ids of which it is kept that the registry does not know them.
const UNKNOWN_IDS_MAX: usize = 10_000;
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// While something is waited for, the wish to stop is looked at in steps of this length.
const STOP_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A registry, and all that it has said so far. Clones share both.
#[derive(Clone)]
pub struct Schemas {
    shared: Arc<Shared>,
    /// Sees each change of what is known.
    changes: watch::Receiver<u64>,
}

struct Shared {
    client: Client,
    /// `None`: nothing is stored.
    store: Option<tokio::sync::Mutex<StoredSchemas>>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    requests: Semaphore,
}

#[derive(Default)]
struct State {
    known: HashMap<SchemaId, WriterSchema>,
    /// Ids that are being asked for.
    asked: HashSet<SchemaId>,
    /// What was logged about failures, and how many ids wait because of it.
    said: HashMap<String, usize>,
    /// Requests that failed and were made again.
    retries: u64,
    /// Why no schema can be had any more.
    failure: Option<Finding>,
}

impl Schemas {
    /// Those of the configured registry, which are stored, and the ones that are stored already. `None`: there is no registry.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement.
    pub async fn of_job(config: &Config) -> Result<Option<Self>, SinkError> {
        let Some(registry) = &config.registry else { return Ok(None) };
        let mut store = StoredSchemas::open(&config.database, &config.job, config.create_tables).await?;
        let known = known(store.all().await?);
        Ok(Some(Self::new(Client::new(registry), Some(store), known)))
    }

    /// The same for looking only: nothing is stored, and a database that is away is no fault.
    pub async fn for_reading(config: &Config) -> Option<Self> {
        let registry = config.registry.as_ref()?;
        let stored = match StoredSchemas::look(&config.database, &config.job).await {
            Ok(Some(mut store)) => store.all().await.unwrap_or_default(),
            Ok(None) | Err(_) => Vec::new(),
        };
        Some(Self::new(Client::new(registry), None, known(stored)))
    }

    fn new(client: Client, store: Option<StoredSchemas>, known: HashMap<SchemaId, WriterSchema>) -> Self {
        let (changed, changes) = watch::channel(0);
        let shared = Shared {
            client,
            store: store.map(tokio::sync::Mutex::new),
            state: Mutex::new(State { known, ..State::default() }),
            changed,
            requests: Semaphore::new(REQUESTS_MAX),
        };
        Self { shared: Arc::new(shared), changes }
    }

    /// What the registry did not know before this time is asked again.
    pub(super) fn asked_before() -> Option<Instant> {
        Instant::now().checked_sub(UNKNOWN_KEPT)
    }

    /// What is known of an id; `None` also if the registry should be asked again.
    pub(super) fn answer(&self, id: SchemaId) -> Option<WriterSchema> {
        let state = self.shared.lock();
        let known = state.known.get(&id)?;
        let is_old = |asked_at: &Instant| Self::asked_before().is_some_and(|before| *asked_at < before);
        match known {
            WriterSchema::Unknown { asked_at, .. } if is_old(asked_at) => None,
            known => Some(known.clone()),
        }
    }

    /// Asks for an id, unless it is being asked for.
    pub(super) fn ask(&self, id: SchemaId) {
        if self.shared.lock().asked.insert(id) {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { shared.fetch(id).await });
        }
    }

    /// Returns when more is known than when it returned last.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // Invariant: the sender lives as long as this.
            std::future::pending::<()>().await;
        }
    }

    /// Why no schema can be had any more.
    ///
    /// # Errors
    /// The registry refuses the credentials, or the database does not keep the schemas.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.shared.lock().failure.clone().map_or(Ok(()), |failure| Err(EngineError::Schemas(failure)))
    }

    /// Requests that failed so far and were made again.
    pub fn retries(&self) -> u64 {
        self.shared.lock().retries
    }

    /// Lets `decoder` know all that is known already, and asks nobody.
    pub fn teach_known(&self, decoder: &mut Decoder) {
        self.shared.lock().known.iter().for_each(|(id, schema)| decoder.learn(*id, schema));
    }

    /// Lets `decoder` know the ids that these messages name, and waits for nothing.
    ///
    /// # Errors
    /// The registry has no answer; the error says why.
    pub async fn teach_now(&self, decoder: &mut Decoder, messages: &Messages) -> Result<(), EngineError> {
        for (_, id) in decoder.unknown_ids(messages, None).into_iter().take(IDS_ASKED_MAX) {
            let schema = match self.answer(id) {
                Some(schema) => schema,
                None => {
                    let found = self.shared.attempt(id, &mut None).await;
                    found.map_err(|(_, failure)| EngineError::Schemas(failure))?
                }
            };
            self.shared.lock().learn(id, schema.clone());
            decoder.learn(id, &schema);
        }
        Ok(())
    }

    /// Lets `decoder` know all ids that these messages name, and waits for the registry where it must.
    ///
    /// # Errors
    /// As [`Schemas::check`]; the end of patience of a job that was asked to stop.
    pub async fn teach(
        &mut self,
        decoder: &mut Decoder,
        messages: &Messages,
        stop: &mut Stop,
    ) -> Result<(), EngineError> {
        let mut ids = decoder.unknown_ids(messages, None);
        loop {
            ids.retain(|(_, id)| match self.answer(*id) {
                Some(schema) => {
                    decoder.learn(*id, &schema);
                    false
                }
                None => true,
            });
            if ids.is_empty() {
                return Ok(());
            }
            self.check()?;
            ids.iter().take(IDS_ASKED_MAX).for_each(|(_, id)| self.ask(*id));
            tokio::select! {
                () = self.changed() => {}
                patience = stop.sleep(STOP_LOOK_INTERVAL) => if patience == Patience::Over {
                    return Err(EngineError::gave_up(format!("no answer from {}", self.shared.client.shown())));
                },
            }
        }
    }
}

/// What is stored, by id.
fn known(stored: Vec<(String, String)>) -> HashMap<SchemaId, WriterSchema> {
    let read =
        |(id, text): (String, String)| Some((SchemaId::of_text(&id)?, WriterSchema::Text(text.into())));
    stored.into_iter().filter_map(read).collect()
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Why: no code panics while it holds this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until there is an answer, and stores it.
    async fn fetch(&self, id: SchemaId) {
        let found = self.persist(id).await;
        let mut state = self.lock();
        state.asked.remove(&id);
        match found {
            Ok(schema) => state.learn(id, schema),
            Err(failure) => state.failure = Some(failure),
        }
        drop(state);
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Tries until it works, or until waiting does not help.
    async fn persist(&self, id: SchemaId) -> Result<WriterSchema, Finding> {
        let (mut text, mut said) = (None, None);
        let mut pause = PAUSE_FIRST;
        loop {
            let (fault, failure) = match self.attempt(id, &mut text).await {
                Ok(schema) => {
                    self.works(&mut said);
                    return Ok(schema);
                }
                Err(failed) => failed,
            };
            // The stored schemas may be on another server than before, which is no fault of anybody.
            if !matches!(fault, Fault::Infrastructure | Fault::Fenced) {
                self.works(&mut said);
                return Err(failure);
            }
            self.fails(&failure, &mut said);
            // Why: jitter keeps instances that failed together apart.
            tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Asks, unless `text` is the answer, and stores it. So a database that is away costs no other request.
    async fn attempt(
        &self,
        id: SchemaId,
        text: &mut Option<Arc<str>>,
    ) -> Result<WriterSchema, (Fault, Finding)> {
        let found = match text.take() {
            Some(found) => found,
            None => match self.look_up(id).await? {
                WriterSchema::Text(found) => found,
                other => return Ok(other),
            },
        };
        let stored = self.store(id, &found).await;
        *text = Some(found);
        stored.map(WriterSchema::Text)
    }

    async fn look_up(&self, id: SchemaId) -> Result<WriterSchema, (Fault, Finding)> {
        // Invariant: it is never closed.
        let _place = self.requests.acquire().await;
        match self.client.schema(id).await {
            Ok(Found::Known(text)) => Ok(WriterSchema::Text(text.into())),
            Ok(Found::Unknown(reason)) => Ok(WriterSchema::Unknown { reason, asked_at: Instant::now() }),
            Err(RegistryError::Unusable(reason)) => Ok(WriterSchema::Unusable(reason)),
            Err(error) => Err((error.fault(), error.found())),
        }
    }

    /// The schema that the job has for the id: this one, if it has none yet.
    async fn store(&self, id: SchemaId, text: &Arc<str>) -> Result<Arc<str>, (Fault, Finding)> {
        let Some(store) = &self.store else { return Ok(Arc::clone(text)) };
        let stored = store.lock().await.store(&id.to_string(), text).await;
        stored.map(Arc::from).map_err(|error| (error.fault(), error.found()))
    }

    /// Logs a failure, unless it was logged because of another id.
    fn fails(&self, failure: &Finding, said: &mut Option<String>) {
        self.lock().retries += 1;
        if said.as_ref() == Some(&failure.message) {
            return;
        }
        let mut state = self.lock();
        state.unsay(said);
        let waiting = state.said.entry(failure.message.clone()).or_default();
        if *waiting == 0 {
            let told = failure.clone().reworded(|message| {
                format!("{message}; messages whose schema is not known yet wait, all others go on")
            });
            tracing::warn!("{told}");
        }
        *waiting += 1;
        *said = Some(failure.message.clone());
    }

    /// What was logged is over for one id. It answers again if no other waits.
    fn works(&self, said: &mut Option<String>) {
        let mut state = self.lock();
        if state.unsay(said) && state.said.is_empty() {
            tracing::info!(
                "the schema registry answers again; {} requests have failed so far",
                state.retries
            );
        }
    }
}

impl State {
    /// Takes back what was logged for one id, if anything was.
    fn unsay(&mut self, said: &mut Option<String>) -> bool {
        let Some(failure) = said.take() else { return false };
        if let Some(waiting) = self.said.get_mut(&failure) {
            *waiting -= 1;
            if *waiting == 0 {
                self.said.remove(&failure);
            }
        }
        true
    }

    fn learn(&mut self, id: SchemaId, schema: WriterSchema) {
        let is_unknown = |schema: &WriterSchema| matches!(schema, WriterSchema::Unknown { .. });
        if is_unknown(&schema)
            && self.known.values().filter(|schema| is_unknown(schema)).count() >= UNKNOWN_IDS_MAX
        {
            self.known.retain(|_, schema| !is_unknown(schema));
        }
        self.known.insert(id, schema);
    }
}
