//! What of a configuration a running job can take over, and what needs a restart.

use super::{AvroConfig, Config, KafkaConfig, OutputConfig, StateTableConfig, TriggerConfig};

impl Config {
    /// The keys that differ and that a running job cannot take over.
    ///
    /// Why no `..` below: a field that is new must be compared, or named as one that a job takes over.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let Self {
            file: _,
            kafka,
            avro,
            job,
            database,
            create_tables,
            bulk_load,
            write_connections,
            sql,
            trigger,
            dead_letters: _,
            memory_max,
            reference_tables: _,
            state_tables,
            outputs,
            reload,
            registry,
            http,
            sensitive,
        } = self;
        let KafkaConfig { server, topics, starting_offsets, lost_data, instance, properties } = kafka;
        let AvroConfig { schema, framing, tombstones, key } = avro;
        let TriggerConfig { interval, rows_max, bytes_max } = trigger;
        let differs = [
            ("kafka_server", *server != new.kafka.server),
            ("kafka_topic", *topics != new.kafka.topics),
            ("avro_schema", *schema != new.avro.schema),
            ("avro_framing or the writers' schemas", *framing != new.avro.framing),
            ("schema_registry", *registry != new.registry),
            ("key_format or avro_key_schema", !key.is_same_but_framed(&new.avro.key)),
            ("tombstones", *tombstones != new.avro.tombstones),
            ("job", *job != new.job),
            ("instance", *instance != new.kafka.instance),
            ("database", *database != new.database),
            ("create_tables", *create_tables != new.create_tables),
            ("bulk_load", *bulk_load != new.bulk_load),
            ("write_connections", *write_connections != new.write_connections),
            ("sql", *sql != new.sql),
            ("trigger_interval", *interval != new.trigger.interval),
            ("batch_rows_max", *rows_max != new.trigger.rows_max),
            ("batch_bytes_max", *bytes_max != new.trigger.bytes_max),
            ("memory_max", *memory_max != new.memory_max),
            ("starting_offsets", *starting_offsets != new.kafka.starting_offsets),
            ("lost_data", *lost_data != new.kafka.lost_data),
            ("reload", *reload != new.reload),
            ("http or http_token", *http != new.http),
            ("sensitive", *sensitive != new.sensitive),
            ("kafka_properties", *properties != new.kafka.properties),
            ("state_tables", !keeps(state_tables, &new.state_tables, StateTableConfig::as_written)),
            ("outputs", {
                let (old, new) = (outputs.as_deref(), new.outputs.as_deref());
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
