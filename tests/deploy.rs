//! What `deploy/` ships for Prometheus and Grafana: the alerts and the dashboard ask for metrics that the job serves, and
//! every alert says what to do. `tests/blackbox/test_alerts.py` runs the alerts themselves.

use std::collections::BTreeSet;
use std::fs;

/// The metrics of a job, without the endings of counters and histograms.
const METRICS: [&str; 29] = [
    "realtime_build_info",
    "realtime_messages_total",
    "realtime_message_bytes_total",
    "realtime_rows_total",
    "realtime_dead_letters_total",
    "realtime_dead_letters_waiting",
    "realtime_null_keys_total",
    "realtime_batches_total",
    "realtime_batch_rows",
    "realtime_stage_duration_seconds",
    "realtime_view_duration_seconds_total",
    "realtime_retries_total",
    "realtime_conflicts_total",
    "realtime_end_to_end_seconds",
    "realtime_lag_messages",
    "realtime_lag_seconds",
    "realtime_lag_observed_timestamp_seconds",
    "realtime_committed_offset",
    "realtime_last_message_timestamp_seconds",
    "realtime_last_commit_timestamp_seconds",
    "realtime_waiting",
    "realtime_assigned_partitions",
    "realtime_rebalances_total",
    "realtime_reference_rows",
    "realtime_reference_age_seconds",
    "realtime_state_held_rows",
    "realtime_memory_bytes",
    "realtime_sql_version_info",
    "realtime_reloads_total",
];

/// Counters and gauges are asked for by their names; of a histogram, one of its three series.
const HISTOGRAMS: [&str; 3] =
    ["realtime_batch_rows", "realtime_stage_duration_seconds", "realtime_end_to_end_seconds"];

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The words of a text that begin with `realtime_`.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| word.starts_with("realtime_"))
        .collect()
}

/// The series that a job serves.
fn served() -> BTreeSet<String> {
    METRICS
        .iter()
        .flat_map(|metric| match HISTOGRAMS.contains(metric) {
            true => ["bucket", "sum", "count"].map(|part| format!("{metric}_{part}")).to_vec(),
            false => vec![(*metric).to_owned()],
        })
        .collect()
}

/// Every `expr` of a Grafana dashboard, and the names of its variables' queries.
fn queries(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if ["expr", "definition"].contains(&name.as_str()) => {
                        found.push(text.to_owned());
                    }
                    _ => queries(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn alerts_and_the_dashboard_ask_for_metrics_that_the_job_serves() {
    let served = served();
    let (rules, dashboard) = (read("deploy/prometheus/rules.yaml"), read("deploy/grafana/dashboard.json"));
    let mut asked = Vec::new();
    queries(&serde_json::from_str(&dashboard).expect("JSON"), &mut asked);
    assert!(asked.len() > 30, "the dashboard's queries were found: {asked:#?}");
    asked.push(rules);
    for text in &asked {
        let unknown: Vec<_> =
            metrics_in(text).into_iter().filter(|metric| !served.contains(*metric)).collect();
        assert!(unknown.is_empty(), "{unknown:?} in {text}");
    }
    let shown: BTreeSet<&str> = asked.iter().flat_map(|text| metrics_in(text)).collect();
    let missing: Vec<_> =
        METRICS.iter().filter(|metric| !shown.iter().any(|series| series.starts_with(**metric))).collect();
    assert!(missing.is_empty(), "no alert and no panel shows {missing:?}");
}

#[test]
fn every_query_of_the_dashboard_is_about_one_job() {
    let mut asked = Vec::new();
    queries(&serde_json::from_str(&read("deploy/grafana/dashboard.json")).expect("JSON"), &mut asked);
    for query in asked.iter().filter(|query| !query.starts_with("label_values")) {
        let metrics = query.matches("realtime_").count();
        assert_eq!(query.matches(r#"{pipeline="$pipeline"}"#).count(), metrics, "{query}");
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let (rules, page) = (read("deploy/prometheus/rules.yaml"), read("docs/operating.md"));
    let named: Vec<&str> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    assert!(named.len() >= 7, "{named:?}");
    let alerts = page.split("\n## ").find(|section| section.starts_with("Alerts\n")).expect("a section");
    let described: Vec<&str> = alerts.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(
        described, named,
        "docs/operating.md has a runbook for each alert, in the order of rules.yaml"
    );
    for name in named {
        let runbook = format!("runbook: docs/operating.md#{}", name.to_lowercase());
        assert!(rules.contains(&runbook), "{name} links to its runbook");
    }
}
