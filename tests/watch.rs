//! A running job, watched by HTTP: what it serves agrees with what it did, an outage shows and passes, and no request can
//! stop it. Kafka is librdkafka's mock broker, the database is SQLite.

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use realtime_processor::batch::Limits;
use realtime_processor::config::Config;
use realtime_processor::engine::{Engine, JobParts, Options, Plan, Stop, StopSender};
use realtime_processor::source::KafkaSource;
use realtime_processor::watch::{Watch, Watching};
use serde_json::Value;
use support::{Project, encoder};

const SCHEMA: &str = r#"{"type": "record", "name": "r", "fields": [
    {"name": "customer", "type": ["null", "int"]}, {"name": "amount", "type": "double"}]}"#;
const MOVED: &str = "SELECT kafka_partition, kafka_offset, customer, amount FROM batch";
const TOTALS: &str = "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n \
    FROM batch b LEFT JOIN totals t ON t.customer = b.customer GROUP BY b.customer, t.n";
const CONFIG: &str = "http: 127.0.0.1:0\noutputs:\n  moved: { table: moved_rows, mode: append }\n\
    state_tables:\n  totals: { view: next_totals, key: customer }\n";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 2;

type Broker = MockCluster<'static, DefaultProducerContext>;

/// A job with a page. The engine runs on the test's own thread, beside what the test does.
struct Job {
    project: Project,
    broker: Broker,
    watching: Option<Watching>,
    stop: StopSender,
    telemetry: realtime_processor::telemetry::Telemetry,
}

impl Job {
    async fn new(config: &str) -> (Self, Engine<KafkaSource>) {
        let broker = MockCluster::new(1).expect("a broker");
        broker.create_topic("t", PARTITIONS, 1).expect("a topic");
        let files = [
            ("schema.avsc", SCHEMA),
            ("sql/moved.sql", MOVED),
            ("sql/next_totals.sql", TOTALS),
            ("config.yaml", config),
        ];
        let mut project = Project::new(&files);
        project.config.kafka.server = broker.bootstrap_servers();
        let config = &project.config;
        let watch = Watch::open(config).expect("a free port");
        let telemetry = watch.telemetry().clone();
        let (sender, stop) = Stop::new();
        let stop = stop.with_telemetry(telemetry.clone());
        let watching = watch.start(config, stop.clone()).expect("a thread");
        let (decoder, plan) = support::plan(config).await;
        telemetry.plans(plan.sql.clone(), plan.relations());
        let sink = support::sink(config, &plan).await;
        let Plan { tables, states, pipeline, .. } = plan;
        let limits = Limits { rows_max: 1_000, bytes_max: 1 << 20 };
        let (kafka, job, told) = (config.kafka.clone(), config.job.clone(), telemetry.clone());
        let source =
            KafkaSource::connect(&kafka, &job, limits, 64 << 20, false, 1, told).expect("a source").remove(0);
        let parts = JobParts { source, decoder, tables, states, pipeline, sink };
        telemetry.started();
        let engine = Engine::new(parts, Options::of(config, false), stop);
        (Self { project, broker, watching: Some(watching), stop: sender, telemetry }, engine)
    }

    fn config(&self) -> &Config {
        &self.project.config
    }

    fn address(&self) -> SocketAddr {
        let url = self.watching.as_ref().and_then(|watching| watching.url.clone()).expect("a page");
        url.strip_prefix("http://").expect("HTTP").parse().expect("an address")
    }

    /// Sends messages; every tenth is broken, every fourth has no customer.
    fn produce(&self, count: i32) {
        let encode = encoder(&self.project.schema());
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.config().kafka.server)
            .create()
            .expect("a producer");
        for id in 0..count {
            let customer = if id % 4 == 3 { Value::Null } else { (id % 7).into() };
            let mut payload = encode(&serde_json::json!({ "customer": customer, "amount": 1.5 }));
            if id % 10 == 5 {
                payload.push(0);
            }
            let record = BaseRecord::<str, [u8]>::to("t").partition(id % PARTITIONS).payload(&payload);
            producer.send(record).expect("sent");
        }
        producer.flush(Duration::from_secs(10)).expect("sent");
    }

    async fn answer(&self, path: &str) -> Answer {
        let (address, path) = (self.address(), path.to_owned());
        let asked = tokio::task::spawn_blocking(move || ask(address, &request(&path, "localhost", "")));
        asked.await.expect("asked").expect("an answer")
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.answer(path).await;
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body))
    }

    /// Waits until a path answers as it should.
    async fn until(&self, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
        let started = Instant::now();
        loop {
            let answer = self.answer(path).await;
            if is_so(&answer) {
                return answer;
            }
            assert!(started.elapsed() < PATIENCE, "{path} stays {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The values of all series, by their names and labels.
    async fn series(&self) -> BTreeMap<String, f64> {
        series(&self.answer("/metrics").await.body)
    }

    async fn number(&self, sql: &str) -> f64 {
        self.project.rows(sql).await[0].parse().expect("a number")
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn request(path: &str, host: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")
}

/// What a server answers to these bytes; an error where it closes the connection without a word.
fn ask(address: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Why: a server that has heard enough does not read the rest.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Err(read.err().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into()));
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Ok(Answer { status, head: head.to_owned(), body })
}

fn unchunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        whole.push_str(&after[..size]);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}

fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (
                name.replace("pipeline=\"realtime-processor\",", "")
                    .replace("{pipeline=\"realtime-processor\"}", ""),
                value.parse().expect("a number"),
            )
        })
        .collect()
}

/// Runs the job beside a test, and stops it afterwards.
macro_rules! beside {
    ($job:ident, $engine:ident, $test:block) => {{
        let mut nothing = |_: &realtime_processor::engine::Report| {};
        let test = async {
            $test
            $job.stop.ask();
        };
        let (ended, ()) = tokio::join!($engine.run(&mut nothing), test);
        ended.expect("the job ends well");
    }};
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_what_was_done() {
    let (mut job, engine) = Job::new(CONFIG).await;
    assert_eq!(job.answer("/livez").await.status, 200);
    job.produce(400);
    beside!(job, engine, {
        job.until("/api/status", |answer| answer.body.contains("\"sentence\":\"keeping up\"")).await;
        let committed = |answer: &Answer| {
            let all = series(&answer.body);
            let of = |partition| {
                all.get(&format!("realtime_messages_total{{topic=\"t\",partition=\"{partition}\"}}")).copied()
            };
            of(0).unwrap_or(0.0) + of(1).unwrap_or(0.0) >= 400.0
        };
        job.until("/metrics", committed).await;
        assert_eq!(job.answer("/readyz").await.body, r#"{"ready":true,"reasons":[]}"#);
        let all = job.series().await;
        let rows = job.number("SELECT count(*) FROM moved_rows").await;
        let dead = job.number("SELECT count(*) FROM dead_letters").await;
        assert_eq!((rows, dead), (360.0, 40.0));
        let expected = [
            ("realtime_messages_taken_total", 400.0),
            ("realtime_messages_total{topic=\"t\",partition=\"0\"}", 200.0),
            ("realtime_messages_total{topic=\"t\",partition=\"1\"}", 200.0),
            ("realtime_rows_total{output=\"moved\"}", rows),
            ("realtime_dead_letters_total{stage=\"decode\"}", dead),
            ("realtime_dead_letters_total{stage=\"sql\"}", 0.0),
            ("realtime_lag_messages{topic=\"t\",partition=\"0\"}", 0.0),
            ("realtime_lag_seconds{topic=\"t\",partition=\"1\"}", 0.0),
            ("realtime_assigned_partitions", 2.0),
            ("realtime_waiting{for=\"kafka\"}", 0.0),
            ("realtime_end_to_end_seconds_count", 400.0),
        ];
        for (name, value) in expected {
            assert_eq!(all.get(name).copied(), Some(value), "{name} in {all:#?}");
        }
        for partition in 0..PARTITIONS {
            let sql = format!("SELECT next_offset FROM realtime_offsets WHERE kafka_partition = {partition}");
            let name = format!("realtime_committed_offset{{topic=\"t\",partition=\"{partition}\"}}");
            assert_eq!(all[&name], job.number(&sql).await);
        }
        let batches = all["realtime_batches_total{result=\"committed\"}"];
        assert_eq!(all["realtime_batch_rows_count"], batches);
        assert_eq!(all["realtime_batch_rows_sum"], 400.0);
        assert_eq!(all["realtime_stage_duration_seconds_count{stage=\"write\"}"], batches);
        assert!(all["realtime_null_keys_total{table=\"totals\"}"] >= 1.0, "messages without a customer");
        let held = "realtime_state_held_rows{table=\"totals\"}";
        job.until("/metrics", |answer| series(&answer.body)[held] >= 7.0).await;
        assert!(all["realtime_message_bytes_total"] > 3_000.0 && all["process_resident_memory_bytes"] > 1e6);
        the_page_is_told(&job).await;
    });
    let watching = job.watching.take();
    drop(watching);
    assert!(job.project.rows("SELECT instance FROM realtime_instances").await.is_empty(), "it has left");
}

/// What the page reads, of the job above.
async fn the_page_is_told(job: &Job) {
    let status = job.json("/api/status").await;
    assert_eq!((&status["state"], &status["job"]), (&"keeping_up".into(), &"realtime-processor".into()));
    assert_eq!(status["partitions"].as_array().map(Vec::len), Some(2));
    assert_eq!(status["partitions"][0]["committed_offset"], 200);
    assert_eq!(status["partitions"][1]["owner"], status["instance"]);
    assert_eq!(status["dead_letters"]["since_start"], 40);
    assert_eq!(status["instances"][0]["mine"], true);
    let views = job.json("/api/views").await;
    let kinds: Vec<String> = views["views"]
        .as_array()
        .expect("views")
        .iter()
        .map(|view| format!("{} {}", view["name"], view["kind"]))
        .collect();
    for expected in
        ["\"batch\" \"batch\"", "\"moved\" \"view\"", "\"totals\" \"state\"", "\"next_totals\" \"view\""]
    {
        assert!(kinds.iter().any(|kind| kind == expected), "{expected} in {kinds:?}");
    }
    let moved = views["views"]
        .as_array()
        .and_then(|views| views.iter().find(|view| view["name"] == "moved").cloned());
    let moved = moved.expect("a view");
    assert_eq!((&moved["output"], &moved["sql"]), (&"moved_rows".into(), &MOVED.into()));
    assert_eq!((&moved["reads"], &moved["rows_total"]), (&serde_json::json!(["batch"]), &360.into()));
    let rows = job.json("/api/rows?view=moved").await;
    assert_eq!(rows["columns"][2]["name"], "customer");
    assert!(rows["rows"][0][1].is_string() && rows["rows"][0][3] == 1.5, "{rows}");
    assert_eq!(job.answer("/api/rows?view=none").await.status, 400);
    let answer = job.json("/api/query?sql=SELECT%20count(*)%20AS%20n%20FROM%20moved").await;
    assert!(answer["rows"][0][0].as_str().is_some_and(|n| n != "0"), "{answer}");
    let wrong = job.answer("/api/query?sql=SELECT%20nothing%20FROM%20moved").await;
    assert!(wrong.status == 400 && wrong.body.contains("sql:1:8: error: "), "{wrong:?}");
    let wrong = job.answer("/api/query?sql=DROP%20TABLE%20moved").await;
    assert!(wrong.status == 400 && wrong.body.contains("found DROP, expected a query"), "{wrong:?}");
    let many = "(SELECT unnest(range(0,1000)) AS v)";
    let endless = format!("SELECT count(*) AS n FROM {many} a, {many} b, {many} c WHERE a.v + b.v + c.v < 0");
    let endless = job
        .answer(&format!(
            "/api/query?sql={}",
            endless.replace('+', "%2B").replace('<', "%3C").replace(' ', "%20")
        ))
        .await;
    assert!(endless.status == 400 && endless.body.contains("cancelled after 2 s"), "{endless:?}");
    let letters = job.json("/api/dead-letters").await;
    assert_eq!((&letters["waiting"], &letters["reasons"][0]["count"]), (&40.into(), &40.into()), "{letters}");
    let sql = job.json("/api/sql").await;
    assert_eq!((&sql["files"]["moved"], &sql["previous"]), (&MOVED.into(), &Value::Null));
    let config = job.json("/api/config").await;
    assert!(
        config["yaml"]
            .as_str()
            .is_some_and(|yaml| yaml.contains("database: ***") && yaml.contains("kafka_topic: t"))
    );
    let log = job.json("/api/events-log").await;
    assert!(
        log["events"].as_array().is_some_and(|events| events.iter().any(|event| event["kind"] == "assigned")),
        "{log}"
    );
    let events = tokio::task::spawn_blocking({
        let address = job.address();
        move || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(request("/api/events", "localhost", "").as_bytes())?;
            let mut seen = String::new();
            let mut bytes = [0; 4096];
            while seen.matches("event: status\n").count() < 2 {
                let length = stream.read(&mut bytes)?;
                seen.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
            Ok(seen)
        }
    });
    let events = events.await.expect("asked").expect("events");
    assert!(
        events.contains("content-type: text/event-stream") && events.contains("data: {\"sentence\""),
        "{events}"
    );
    // The instance's row is written within a second after the partitions have come.
    let started = Instant::now();
    while job.number("SELECT count(*) FROM sqlite_master WHERE name = 'realtime_instances'").await < 1.0
        || job.project.rows("SELECT partitions FROM realtime_instances").await.join("").matches('t').count()
            < 2
    {
        assert!(started.elapsed() < PATIENCE, "no row of this instance");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let page = job.answer("/").await;
    assert!(
        page.body.starts_with("<!doctype html>") && page.head.contains("content-security-policy: "),
        "{page:?}"
    );
}

/// What is computed from a sensitive field is masked, on the page and in answers to queries; what is written is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sensitive_fields_are_masked() {
    let (job, engine) = Job::new(&format!("sensitive: [amount, customer]\n{CONFIG}")).await;
    job.produce(40);
    beside!(job, engine, {
        let rows = job.until("/api/rows?view=moved", |answer| answer.body.contains("***")).await;
        let rows: Value = serde_json::from_str(&rows.body).expect("JSON");
        let row = rows["rows"][0].as_array().expect("a row");
        assert_eq!((&row[2], &row[3]), (&"***".into(), &"***".into()), "{rows}");
        assert!(row[0].is_number(), "a partition is not masked: {rows}");
        for (query, expected) in [
            ("SELECT amount * 2 AS a FROM moved LIMIT 1", r#"[["***"]]"#),
            ("SELECT customer AS a FROM next_totals ORDER BY customer LIMIT 1", r#"[["***"]]"#),
            (
                "SELECT max(kafka_partition) - max(kafka_partition) AS a, max(amount) AS b FROM batch",
                r#"[[0,"***"]]"#,
            ),
        ] {
            let path: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
            let answer = job.json(&format!("/api/query?sql={path}")).await;
            assert_eq!(answer["rows"].to_string(), expected, "{query}: {answer}");
        }
        let views = job.json("/api/views").await;
        let moved = views["views"].as_array().expect("views").iter().find(|view| view["name"] == "moved");
        let columns = moved.and_then(|moved| moved["columns"].as_array()).expect("columns");
        let sensitive: Vec<bool> = columns.iter().map(|column| column["sensitive"] == true).collect();
        assert_eq!(sensitive, [false, false, true, true]);
        assert_eq!(job.number("SELECT max(amount) FROM moved_rows").await, 1.5);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_shows_in_readiness_and_not_in_liveness() {
    let (job, engine) = Job::new(CONFIG).await;
    job.produce(10);
    beside!(job, engine, {
        job.until("/readyz", |answer| answer.status == 200).await;
        job.broker.broker_down(1).expect("down");
        let started = Instant::now();
        let answer = job.until("/readyz", |answer| answer.status == 503).await;
        assert!(started.elapsed() < Duration::from_secs(5), "after {:?}", started.elapsed());
        assert!(answer.body.contains("waiting for Kafka since "), "{answer:?}");
        assert_eq!(job.answer("/livez").await.status, 200);
        let status = job.json("/api/status").await;
        assert_eq!((&status["state"], &status["waiting_for"]), (&"waiting".into(), &"Kafka".into()));
        job.broker.broker_up(1).expect("up");
        job.until("/readyz", |answer| answer.status == 200).await;
        let log = job.answer("/api/events-log").await.body;
        assert!(log.contains("\"recovered\"") && log.contains("Kafka works again after"), "{log}");
        job.stop.ask();
        let answer = job.answer("/readyz").await;
        assert!(answer.status == 503 && answer.body.contains("the job is stopping"), "{answer:?}");
    });
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polling_thread_that_hangs_is_seen() {
    realtime_processor::fault_point::stop_at("poll");
    let (job, _engine) = Job::new(CONFIG).await;
    realtime_processor::fault_point::stopped().await;
    let told = job.telemetry.job().expect("it is on");
    // A thread that goes on has beaten within the last second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stalled = told.stalled(Instant::now() + Duration::from_secs(29)).join(", ");
    assert!(stalled.starts_with("the polling thread has not been seen for 3"), "{stalled}");
    realtime_processor::fault_point::end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_can_stop_the_job() {
    let (job, engine) = Job::new(CONFIG).await;
    job.produce(100);
    beside!(job, engine, {
        let address = job.address();
        let hostile = tokio::task::spawn_blocking(move || hostile_requests(address));
        hostile.await.expect("they were made");
        let started = Instant::now();
        while job.number("SELECT count(*) FROM moved_rows").await < 90.0 {
            assert!(started.elapsed() < PATIENCE, "the job does not go on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(job.answer("/readyz").await.status, 200);
    });
}

fn hostile_requests(address: SocketAddr) {
    let status = |text: &str| ask(address, text).map(|answer| answer.status);
    let host = "localhost";
    // Other names lead here in a browser that a page of another site has talked to.
    for other in ["bank.example", "localhost.bank.example", "127.0.0.1.bank.example", "10.0.0.1:80", ""] {
        assert_eq!(status(&request("/metrics", other, "")).ok(), Some(403), "{other}");
    }
    assert_eq!(
        status("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n").ok(),
        Some(403),
        "no Host at all"
    );
    for path in [
        "/../etc/passwd",
        "//metrics",
        "/metrics/",
        "/%2e%2e/config.yaml",
        "/config.yaml",
        "/api",
        "/api/status%00",
        "*",
    ] {
        let found = status(&request(path, host, ""));
        assert!(matches!(found, Ok(404 | 400)), "{path}: {found:?}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let text = request("/metrics", host, "Content-Length: 0\r\n").replacen("GET", method, 1);
        assert_eq!(status(&text).ok(), Some(405), "{method}");
    }
    let long = "a".repeat(1 << 20);
    let large = status(&request("/metrics", host, &format!("X-Long: {long}\r\n")));
    assert!(matches!(large, Ok(431) | Err(_)), "{large:?}");
    let many: String = (0..10_000).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = status(&request("/metrics", host, &many));
    assert!(matches!(many, Ok(431) | Err(_)), "{many:?}");
    let long = status(&request(&format!("/{long}"), host, ""));
    assert!(matches!(long, Ok(414 | 431) | Err(_)), "{long:?}");
    assert!(matches!(status("\u{16}\u{3}\u{1} no HTTP at all\r\n\r\n"), Ok(400) | Err(_)));
    // Two thousand that say nothing: one that asks is answered all the same.
    let idle: Vec<TcpStream> = (0..2_000).filter_map(|_| TcpStream::connect(address).ok()).collect();
    assert!(idle.len() > 1_900, "{} connections", idle.len());
    let started = Instant::now();
    assert_eq!(status(&request("/livez", host, "")).ok(), Some(200));
    assert!(started.elapsed() < Duration::from_secs(2), "after {:?}", started.elapsed());
    drop(idle);
    // One that sends a letter now and then is not waited for.
    let mut slow = TcpStream::connect(address).expect("connected");
    let started = Instant::now();
    let is_open = |slow: &mut TcpStream| {
        slow.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        match slow.read(&mut [0; 64]) {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => {
                matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
            }
        }
    };
    while slow.write_all(b"G").is_ok() && is_open(&mut slow) {
        assert!(started.elapsed() < Duration::from_secs(20), "it is still open");
    }
}

/// The names of docs/operating.md and those that are served are the same.
#[test]
fn every_metric_is_documented() {
    let page = std::fs::read_to_string("docs/operating.md").expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let mut documented: Vec<&str> =
        rows.filter(|name| name.starts_with("realtime_") || name.starts_with("process_")).collect();
    let telemetry = realtime_processor::telemetry::Telemetry::of(realtime_processor::telemetry::About {
        job: "j".into(),
        instance: "i".into(),
        database: "MySQL",
        memory_max: 1,
        started_at: std::time::SystemTime::now(),
    });
    let text = telemetry.job().expect("it is on").metrics(false).expect("text");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mut served: Vec<&str> = types.collect();
    documented.sort_unstable();
    served.sort_unstable();
    assert_eq!(documented, served);
}

#[tokio::test]
async fn a_port_that_is_taken_is_reported_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let files = [("schema.avsc", SCHEMA), ("config.yaml", &*format!("http: {address}\n"))];
    let project = Project::new(&files);
    let error = Watch::open(&project.config).map(drop).expect_err("it is taken").to_string();
    assert!(error.starts_with(&format!("http: {address} cannot be listened on: ")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_elsewhere_the_token_is_needed() {
    let config = format!("http_token: 0123456789abcdef\n{}", CONFIG.replace("127.0.0.1:0", "0.0.0.0:0"));
    let files = [("schema.avsc", SCHEMA), ("config.yaml", &*config)];
    let project = Project::new(&files);
    let (_sender, stop) = Stop::new();
    let watch = Watch::open(&project.config).expect("a free port");
    let watching = watch.start(&project.config, stop).expect("a thread");
    let port = watching.url.as_ref().and_then(|url| url.rsplit(':').next()?.parse().ok()).expect("a port");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let asked = tokio::task::spawn_blocking(move || {
        let status = |path: &str, more: &str| {
            ask(address, &request(path, "job.bank.example", more)).expect("an answer").status
        };
        let right = "Authorization: Bearer 0123456789abcdef\r\n";
        for path in ["/", "/metrics", "/livez", "/readyz", "/api/status", "/nothing"] {
            assert_eq!(status(path, ""), 401, "{path}");
            assert_eq!(status(path, "Authorization: Bearer 0123456789abcdee\r\n"), 401, "{path}");
            assert_ne!(status(path, right), 401, "{path}");
        }
        assert_eq!(status("/?token=0123456789abcdef", ""), 200);
        assert_eq!(
            status("/metrics?token=0123456789abcdef", ""),
            401,
            "a token in an address is logged by proxies"
        );
    });
    asked.await.expect("asked");
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let load = |text: &str| {
        let text = format!("kafka_server: a:1\nkafka_topic: t\navro_schema: s\ndatabase: sqlite://x\n{text}");
        Config::parse(std::path::Path::new("config.yaml"), &text, &|_| None).map(|config| config.http)
    };
    assert!(load("").expect("valid").is_none());
    assert!(load("http: localhost:9464\n").expect("valid").is_some());
    let error = load("http: 0.0.0.0:9464\n").expect_err("no token").to_string();
    assert!(error.contains("config.yaml:5:") && error.contains("`http_token` is needed"), "{error}");
    let error = load("http: 0.0.0.0:9464\nhttp_token: short\n").expect_err("a short token").to_string();
    assert!(error.contains("at least 16") && !error.contains("short"), "{error}");
    let error = load("http: nowhere\n").expect_err("no address").to_string();
    assert!(error.contains("found `nowhere`, expected an address and a port"), "{error}");
}
