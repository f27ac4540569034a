//! The other instances of the job: each keeps a row of itself in the database, with its partitions and its page, and reads
//! those of the others. A database that is away, or that lets nobody create the table, costs this view and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::Shared;
use super::json::{partition_json, time};
use super::letters::utc;
use crate::batch::TopicPartition;
use crate::config::CreateTables;
use crate::sink::{Instance, Instances, Selection, SinkError, StoredLetters};
use crate::telemetry::Partition;

/// How often the row is written and the others are read.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often it is looked whether the partitions have changed, which is written at once.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// An instance that was not seen for longer is not shown.
const GONE_SECONDS: i64 = 35;
/// How long the database may take.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// What is known of the others.
#[derive(Debug, Default)]
pub(super) struct Others {
    instances: Vec<Instance>,
    /// All partitions of the job with their stored offsets.
    stored: Vec<(TopicPartition, i64)>,
}

/// A partition as an instance announces it: topic, number, end, message time.
type Announced = (String, i32, Option<i64>, Option<i64>);

fn announced(partitions: &str) -> Vec<Announced> {
    serde_json::from_str(partitions).unwrap_or_default()
}

pub(super) fn lock(others: &Mutex<Others>) -> MutexGuard<'_, Others> {
    others.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Others {
    /// All partitions of the job that `me` does not have, as the page is told.
    pub fn partitions(&self, me: &str, now: SystemTime) -> BTreeMap<TopicPartition, Value> {
        let others = self.instances.iter().filter(|instance| instance.name != me);
        let owned: Vec<(&str, Announced)> = others
            .flat_map(|instance| {
                let partitions = announced(&instance.partitions).into_iter();
                partitions.map(|announced| (instance.name.as_str(), announced))
            })
            .collect();
        let other = |(partition, committed): &(TopicPartition, i64)| {
            let is_it = |(_, (topic, number, ..)): &&(&str, Announced)| {
                **topic == *partition.topic && *number == partition.partition
            };
            let found = owned.iter().find(is_it);
            let (end, message_time_ms) = found.map_or((None, None), |(_, (.., end, time))| (*end, *time));
            // The owner's row may be older than the stored offset.
            let end = end.map(|end| end.max(*committed));
            let place =
                Partition { committed: Some(*committed), end, message_time_ms, ..Partition::default() };
            let owner = found.map(|(owner, _)| *owner);
            (partition.clone(), partition_json(partition, owner, false, &place, now))
        };
        self.stored.iter().map(other).collect()
    }

    /// All instances; the row of `me` is replaced by what is known of it now.
    pub fn json(&self, me: &str, my_partitions: usize, my_state: &str, now: SystemTime) -> Value {
        let is_there = |instance: &&Instance| instance.age_seconds <= GONE_SECONDS && instance.name != me;
        let others = self.instances.iter().filter(is_there).map(|instance| {
            json!({
                "instance": instance.name,
                "page": instance.page,
                "partitions": announced(&instance.partitions).len(),
                "seen_at": utc(&instance.seen_at),
                "state": instance.state,
                "mine": false,
            })
        });
        let page =
            self.instances.iter().find(|instance| instance.name == me).and_then(|row| row.page.clone());
        let mine = json!({
            "instance": me,
            "page": page,
            "partitions": my_partitions,
            "seen_at": time(now),
            "state": my_state,
            "mine": true,
        });
        std::iter::once(mine).chain(others).collect()
    }
}

/// Writes the row of this instance, and reads those of the others.
pub(super) struct Announcer {
    shared: Arc<Shared>,
    page: Option<String>,
    table: Instances,
    /// What was announced last, and when.
    announced: Option<(String, Instant)>,
    /// Whether a failure was logged.
    is_told: bool,
}

impl Announcer {
    pub fn new(shared: &Arc<Shared>, page: Option<String>) -> Self {
        let config = &shared.config;
        let table = Instances::new(&config.database, &config.job, config.create_tables != CreateTables::None);
        Self { shared: Arc::clone(shared), page, table, announced: None, is_told: false }
    }

    /// Announces this instance for ever.
    pub async fn run(&mut self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let me = self.me();
            let is_due = self.announced.as_ref().is_none_or(|(partitions, at)| {
                at.elapsed() >= INTERVAL || *partitions != names_of(&me.partitions)
            });
            if !is_due {
                continue;
            }
            self.announced = Some((names_of(&me.partitions), Instant::now()));
            let told = tokio::time::timeout(ANSWER_WAIT_MAX, self.exchange(&me)).await;
            match told {
                Ok(Ok(())) => self.is_told = false,
                Ok(Err(error)) if !self.is_told => {
                    self.is_told = true;
                    tracing::info!("this instance cannot announce itself in the database: {error}");
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    async fn exchange(&mut self, me: &Instance) -> Result<(), SinkError> {
        self.table.announce(me).await?;
        let instances = self.table.all().await?;
        let stored = self.table.offsets().await?;
        *lock(&self.shared.others) = Others { instances, stored };
        if let Some(mut letters) = StoredLetters::look(&self.shared.config).await? {
            let waiting = Selection { is_replayed: Some(false), ..Selection::default() };
            self.shared.telemetry.dead_letters_waiting(letters.count(&waiting).await?);
        }
        Ok(())
    }

    fn me(&self) -> Instance {
        let job = &self.shared.job;
        let state = job.sentence(self.shared.is_stopping()).state.name().to_owned();
        let standing = job.standing();
        let partitions = standing.partitions.iter().map(|(partition, place)| {
            (partition.topic.to_string(), partition.partition, place.end, place.message_time_ms)
        });
        let partitions: Vec<Announced> = partitions.collect();
        let partitions = serde_json::to_string(&partitions).unwrap_or_default();
        let (name, page) = (job.about.instance.clone(), self.page.clone());
        Instance { name, page, state, partitions, seen_at: String::new(), age_seconds: 0 }
    }

    /// Takes the row out of the database.
    pub async fn leave(&mut self) {
        if let Err(error) = self.table.leave(&self.shared.job.about.instance).await {
            tracing::debug!("the row of this instance stays: {error}");
        }
    }
}

/// The partitions alone, without what changes with each message.
fn names_of(partitions: &str) -> String {
    announced(partitions).iter().map(|(topic, partition, ..)| format!("{topic}[{partition}] ")).collect()
}
