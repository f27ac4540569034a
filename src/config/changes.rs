//! What of a configuration a running job can take over, and what needs a restart.

use super::{Config, OutputConfig, StateTableConfig};

impl Config {
    /// The keys that differ and that a running job cannot take over: all but `reference_tables`, `dead_letters_max_ratio`,
    /// `dead_letters_window`, and outputs and state tables that are new.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let (kafka, new_kafka) = (&self.kafka, &new.kafka);
        let (trigger, new_trigger) = (&self.trigger, &new.trigger);
        let differs = [
            ("kafka_server", kafka.server != new_kafka.server),
            ("kafka_topic", kafka.topics != new_kafka.topics),
            ("avro_schema", self.avro.schema != new.avro.schema),
            ("avro_framing or the writers' schemas", self.avro.framing != new.avro.framing),
            ("schema_registry", self.registry != new.registry),
            ("tombstones", self.avro.tombstones != new.avro.tombstones),
            ("job", self.job != new.job),
            ("instance", kafka.instance != new_kafka.instance),
            ("database", self.database != new.database),
            ("create_tables", self.create_tables != new.create_tables),
            ("bulk_load", self.bulk_load != new.bulk_load),
            ("write_connections", self.write_connections != new.write_connections),
            ("sql", self.sql != new.sql),
            ("trigger_interval", trigger.interval != new_trigger.interval),
            ("batch_rows_max", trigger.rows_max != new_trigger.rows_max),
            ("batch_bytes_max", trigger.bytes_max != new_trigger.bytes_max),
            ("memory_max", self.memory_max != new.memory_max),
            ("starting_offsets", kafka.starting_offsets != new_kafka.starting_offsets),
            ("lost_data", kafka.lost_data != new_kafka.lost_data),
            ("reload", self.reload != new.reload),
            ("http or http_token", self.http != new.http),
            ("kafka_properties", kafka.properties != new_kafka.properties),
            ("state_tables", !keeps(&self.state_tables, &new.state_tables, StateTableConfig::as_written)),
            ("outputs", {
                let (old, new) = (self.outputs.as_deref(), new.outputs.as_deref());
                old.is_some() != new.is_some()
                    || !keeps(old.unwrap_or_default(), new.unwrap_or_default(), OutputConfig::as_written)
            }),
        ];
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

impl StateTableConfig {
    /// What decides how its rows are computed and written.
    fn as_written(&self) -> Self {
        Self { fill: false, ..self.clone() }
    }
}

impl OutputConfig {
    /// What decides how its rows are written.
    fn as_written(&self) -> Self {
        Self { fill: false, ..self.clone() }
    }
}

/// Whether everything old is in the new list, wherever in the file.
fn keeps<T: PartialEq>(old: &[T], new: &[T], normal: impl Fn(&T) -> T) -> bool {
    let new: Vec<T> = new.iter().map(&normal).collect();
    old.iter().all(|old| new.contains(&normal(old)))
}
