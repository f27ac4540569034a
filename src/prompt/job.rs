//! The last batches of a running job, by HTTP, as the batch of the prompt; and the SQL that the job computes them with. If the
//! project has other SQL, the job's is put into a folder of its own, so that the views are those of the job.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::time::Duration;

use arrow::ipc::reader::StreamReader;

use super::batch::{Batch, Origin};
use super::drafts::new_folder;
use super::file::batch_of;
use super::refusal::Refusal;
use super::session::{Session, SessionOptions};
use crate::batch::TopicPartition;
use crate::config::Config;
use crate::job_client::{self, Answer, NUMBER_HEADER};
use crate::source::Range;
use crate::sql::ViewFiles;

/// How long the job may take to answer; it may wait for its next batch.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A job that is asked for its batches.
#[derive(Debug)]
pub struct RunningJob {
    url: String,
    token: Option<String>,
    /// The number of the last batch that was taken.
    taken: u64,
    /// Batches up to this number are left out.
    pub(super) after: u64,
    /// Where those that were taken ended.
    ends: BTreeMap<TopicPartition, i64>,
    /// The job's SQL, if the project has another.
    folder: Option<PathBuf>,
}

impl RunningJob {
    /// The job at an address such as `http://127.0.0.1:9464`.
    pub fn new(url: &str, token: Option<String>) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            token,
            taken: 0,
            after: 0,
            ends: BTreeMap::new(),
            folder: None,
        }
    }

    async fn get(&self, path: &str) -> Result<Answer, Refusal> {
        let url = format!("{}{path}", self.url);
        let answer = job_client::get(&url, self.token.as_deref(), ANSWER_WAIT_MAX).await;
        let answer = answer.map_err(Refusal::error)?;
        if !answer.is_success {
            let text = String::from_utf8_lossy(&answer.body);
            return Err(Refusal::error(format!("{url} answers {}: {}", answer.status, text.trim())));
        }
        Ok(answer)
    }

    /// Takes the SQL from the job: where the project has the same, its folder stays. Returns the views that differ.
    async fn lead(&mut self, config: &mut Config) -> Result<Vec<String>, Refusal> {
        let answer = self.get("/api/sql").await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).map_err(Refusal::error)?;
        let texts: BTreeMap<String, String> =
            serde_json::from_value(answer["files"].clone()).map_err(Refusal::error)?;
        let files = ViewFiles::read_some(&config.sql);
        let names = files.names().map(str::to_owned).chain(texts.keys().cloned());
        let mut differing: Vec<String> =
            names.filter(|name| files.text(name) != texts.get(name).map(String::as_str)).collect();
        differing.sort();
        differing.dedup();
        if !differing.is_empty() {
            let folder = new_folder().map_err(Refusal::error)?;
            for (name, text) in &texts {
                std::fs::write(folder.join(format!("{name}.sql")), text).map_err(Refusal::error)?;
            }
            config.sql.clone_from(&folder);
            self.folder = Some(folder);
        }
        Ok(differing)
    }

    /// Whether the views are the job's and not those of the project.
    pub(super) fn has_other_sql(&self) -> bool {
        self.folder.is_some()
    }

    /// The configuration with the folder of the job's SQL.
    pub(super) fn leads(&self, config: &mut Config) {
        if let Some(folder) = &self.folder {
            config.sql.clone_from(folder);
        }
    }

    /// The batches that come next go on behind the last one that was taken.
    pub(super) fn go_on(&mut self) {
        self.after = self.taken;
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // Why: a folder of temporary files that is left harms nobody.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Session {
    /// A session over the last batches of a running job, with the job's SQL. Returns what a person should know of that SQL.
    ///
    /// # Errors
    /// The job does not answer; a schema that is wrong.
    pub async fn beside(
        mut config: Config,
        options: SessionOptions,
        mut job: RunningJob,
    ) -> Result<(Self, Option<String>), Refusal> {
        let differing = job.lead(&mut config).await?;
        let mut session = Self::open(config, options).await?;
        session.job = Some(job);
        session.is_of_job = true;
        let note = (!differing.is_empty()).then(|| {
            let names: Vec<String> = differing.iter().map(|name| format!("`{name}`")).collect();
            format!("note: the job's SQL is used; the project has another text of {}", names.join(", "))
        });
        Ok((session, note))
    }

    /// The last batches of the job.
    pub(super) async fn load_job(&mut self) -> Result<Batch, Refusal> {
        let schema = self.decoder.schema();
        let Some(job) = &mut self.job else { return Err(Refusal::error("there is no job to ask")) };
        let answer = job.get(&format!("/api/batch?after={}", job.after)).await?;
        let number = answer.headers.get(NUMBER_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let read = || -> Result<Batch, String> {
            let reader =
                StreamReader::try_new(Cursor::new(answer.body), None).map_err(|error| error.to_string())?;
            batch_of(reader, &schema)
        };
        let batch =
            read().map_err(|error| Refusal::error(format!("the batch of {}: it {error}", job.url)))?;
        job.taken = number.unwrap_or(job.taken);
        let next = std::mem::take(&mut job.ends);
        let between = |range: &Range| range.from - next.get(&range.partition).copied().unwrap_or(range.from);
        let missing: i64 = batch.ranges.iter().map(between).filter(|count| *count > 0).sum();
        job.ends = batch.ranges.iter().map(|range| (range.partition.clone(), range.to)).collect();
        if job.after > 0 && missing > 0 {
            self.notes
                .push(format!("the job has not kept {missing} messages between the last batch and this one"));
        }
        Ok(Batch { origin: Origin::Job(job.url.clone()), ..batch })
    }
}
