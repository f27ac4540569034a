// The states that the fake job can be in. Numbers vary by a fixed pattern, so that pictures can be compared.

const at = (milliseconds) => new Date(milliseconds).toISOString();
/** A number from 0 to 1 that looks like chance, and is the same each time. */
const wave = (seed) => Math.abs(Math.sin(seed * 12.9898) * 43758.5453) % 1;

/** An hour of points, one in 5 s: a day's traffic with a stop of the database in it. */
export class History {
  constructor() {
    this.points = [];
    let lag = 40;
    const now = Math.floor(Date.now() / 5000) * 5000;
    for (let step = 720; step > 0; step -= 1) {
      const arriving = 5000 + 700 * Math.sin(step / 160) + 300 * Math.sin(step / 31) + 240 * wave(step);
      const isStopped = step > 380 && step < 410;
      const computed = isStopped ? 0 : Math.min(9400 + 500 * wave(step + 7), arriving + lag / 5);
      lag = Math.max(arriving * 0.01, lag + (arriving - computed) * 5);
      this.points.push({
        at: at(now - step * 5000), in: arriving, computed, out: computed * 1.42,
        lag_messages: Math.round(lag), lag_seconds: lag / arriving,
      });
    }
  }

  add({ rates, partitions, now }) {
    const point = {
      at: now, ...rates,
      lag_messages: partitions.reduce((sum, partition) => sum + partition.lag_messages, 0),
      lag_seconds: Math.max(0, ...partitions.map((partition) => partition.lag_seconds ?? 0)),
    };
    this.points.push(point);
    return point;
  }

  answer() {
    return { step_seconds: 5, points: this.points };
  }
}

const STAGES = { wait: 0.0021, decode: 0.0009, lookup: 0.0017, sql: 0.0062, write: 0.0143, commit: 0.0038 };

function base({ since, startedAt, now }, changes = {}) {
  const lag = changes.lag ?? [3, 0, 11, 2];
  const owners = ["bank-1", "bank-1", "bank-2", "bank-2"];
  const seconds = Object.values(STAGES).reduce((sum, part) => sum + part);
  const elapsed = (now - startedAt) / 1000;
  return {
    sentence: "keeping up", state: "keeping_up", since: at(since), waiting_for: null,
    job: "customer-movements", instance: "bank-1", version: "0.1.0", started_at: at(startedAt), now: at(now),
    partitions: lag.map((messages, partition) => {
      const end = Math.round(48_120_000 + partition * 911_303 + elapsed * 1300);
      return {
        topic: "customer_movements", partition, owner: owners[partition], mine: owners[partition] === "bank-1",
        committed_offset: end - messages, end_offset: end, lag_messages: messages,
        lag_seconds: messages === 0 ? 0 : messages / 1300, last_message_at: at(now - 300 - 90 * partition),
      };
    }),
    instances: [
      { instance: "bank-1", page: "http://127.0.0.1:9464/", partitions: 2, seen_at: at(now - 400), state: "keeping_up", mine: true },
      { instance: "bank-2", page: "http://127.0.0.2:9464/", partitions: 2, seen_at: at(now - 1800), state: "keeping_up", mine: false },
    ],
    rates: { in: 5210 + 60 * wave(now / 1000 | 0), computed: 5204 + 60 * wave(now / 1000 | 0), out: 7390 + 80 * wave(now / 1000 | 0) },
    batch: {
      messages: 164, rows: 233, dead_letters: 0, ended_at: at(now - 120), seconds,
      stages: Object.entries(STAGES).map(([stage, seconds]) => ({ stage, seconds })),
    },
    dead_letters: { waiting: 27, since_start: 31 },
    memory: {
      resident_bytes: 93_400_000, max_bytes: 268_435_456,
      parts: [
        { part: "Kafka's queue", bytes: 21_300_000 }, { part: "batches in flight", bytes: 3_800_000 },
        { part: "held keys", bytes: 17_900_000 }, { part: "SQL", bytes: 2_100_000 },
      ],
    },
    ...changes.status,
  };
}

const column = (name, type, nullable = true) => ({ name, type, nullable });
const MESSAGE = [
  column("customer", "Int32", false), column("agency", "Utf8", false), column("operation_value", "Float64", false),
  column("operation_type", "Int32", false), column("date", "Utf8", false), column("account_balance", "Float64", false),
  column("kafka_topic", "Utf8", false), column("kafka_partition", "Int32", false), column("kafka_offset", "Int64", false),
];
const ACCOUNT = [column("name", "Utf8"), column("age", "Int32"), column("account_type", "Utf8"), column("credit_score", "Int32")];

function view(name, reads, rows, seconds, more = {}) {
  return {
    name, kind: "view", output: null, state_of: null, reads, rows, seconds, rows_total: rows * 51_200,
    seconds_total: seconds * 51_200, columns: [...MESSAGE, ...ACCOUNT], used: true,
    sql: `-- Made up for ${name}.\nSELECT\n  m.*\nFROM ${reads[0]} m\nWHERE m.operation_value > 0\n`, ...more,
  };
}

function table(name, kind, rows, columns, reads = []) {
  return { name, kind, output: null, state_of: null, reads, rows, seconds: null, rows_total: rows * 51_200, seconds_total: 0, columns, sql: null, used: true };
}

const ENRICHED = `-- Every movement of the batch, with what is known of its customer's account.
SELECT
  b.kafka_topic,
  b.kafka_partition,
  b.kafka_offset,
  b.customer,
  b.agency,
  b.operation_type,
  b.operation_value,
  b.account_balance,
  b.date,
  a.name,
  a.age,
  a.account_type,
  a.credit_score
FROM batch b
LEFT JOIN accounts a ON a.customer_id = b.customer
`;

const VIEWS = {
  sql_version: "8c1f0e42",
  views: [
    table("batch", "batch", 164, MESSAGE),
    // Of a keyed table, SQL sees the rows of the batch's keys, so it reads the batch.
    table("accounts", "reference", 131, [column("customer_id", "Int32", false), ...ACCOUNT], ["batch"]),
    table("account_state", "state", 131, [column("customer", "Int32", false), column("movements", "Int64"), column("last_balance", "Float64")], ["batch"]),
    view("enriched_movements", ["batch", "accounts"], 164, 0.0008, { sql: ENRICHED }),
    view("assessed_movements", ["enriched_movements"], 164, 0.0004),
    view("account_history", ["assessed_movements", "account_state"], 164, 0.0031),
    view("next_account_state", ["account_history"], 131, 0.0011, { state_of: "account_state" }),
    view("classified_movements", ["account_history"], 164, 0.0006, { output: "classified_movements" }),
    view("reactions", ["assessed_movements"], 69, 0.0002, { output: "reactions" }),
  ],
};

function movements(names) {
  return {
    columns: [column("customer", "Int32"), column("name", "Utf8"), column("operation_value", "Decimal128(38, 2)"), column("date", "Utf8"), column("reaction", "Utf8")],
    rows: names.map((name, index) => [String(100 + index * 37), name, (wave(index) * 4000).toFixed(2), "2026-11-27 12:03:1" + index, index % 3 ? null : "personal loan campaign"]),
    truncated: true, batch_ended_at: at(Date.now() - 900),
  };
}

const DIFF = `--- sql/assessed_movements.sql
+++ sql/assessed_movements.sql
@@ -7,5 +7,5 @@
   m.operation_type = 1 AND m.operation_value > m.account_balance AS is_unavailable_balance,
 
   -- Premium customers with a high score are offered a personal loan.
-  coalesce(m.account_type = 'premium' AND m.credit_score >= 300, false) AS is_loan_candidate,
+  coalesce(m.account_type = 'premium' AND m.credit_score >= 400, false) AS is_loan_candidate,
 `;

const letter = (count, stage, place, reason, code = null) => ({
  stage, place, code, count, first_at: at(Date.now() - 9 * 3600e3), last_at: at(Date.now() - 40e3 * count), reason,
  topic: "customer_movements", partition: count % 4, offset: 48_119_207 + count,
});

const DEAD_LETTERS = {
  waiting: 27, replay: "realtime-processor dead-letters replay --all",
  reasons: [
    letter(19, "decode", "byte 17", "`operation_type` has the value 7, which is no index of its enum"),
    letter(6, "write", "classified_movements.agency", "the text has 73 characters, and the column takes 64", 1406),
    letter(2, "sql", "sql/account_history.sql", "the sum of `amount` leaves the range of DECIMAL(38, 2)"),
  ],
};

const CONFIG = {
  yaml: "kafka_server: 127.0.0.1:9092\nkafka_topic: customer_movements\navro_schema: schemas/customer.avsc\njob: customer-movements\ninstance: bank-1\ndatabase: mysql://realtime:***@db.bank/bank\nhttp: 127.0.0.1:9464\nbatch_rows_max: 100000\nmemory_max: 256MiB\n",
  build: { version: "0.1.0", features: ["tls"], rustc: "1.94.0" },
};

const EVENTS = [
  [10_800, "start", "started with SQL version 5f0e11aa, 9 views"],
  [10_797, "assigned", "got customer_movements/0, 1, 2, 3"],
  [7_200, "revoked", "gave customer_movements/2, 3 to another instance"],
  [6_100, "narrowed", "19 of 164 messages could not be decoded; the rest was committed"],
  [2_050, "waiting", "waiting for MySQL: connection refused"],
  [1_901, "recovered", "MySQL answers again after 2 min 29 s"],
  [840, "retry", "deadlock on account_state; the batch was computed again"],
  [410, "reload", "SQL version 8c1f0e42 is in use; assessed_movements changed"],
];

const customers = movements(["Ana Lopes", "José Ruiz", "Mia Chen", "Otto Weiß", "Li Na"]);
const usual = {
  status: (times) => base(times),
  views: VIEWS,
  rows: () => customers,
  deadLetters: DEAD_LETTERS,
  sql: { version: "8c1f0e42", first_used_at: at(Date.now() - 410e3), previous: "5f0e11aa", diff: DIFF },
  config: CONFIG,
  events: (_, now) => EVENTS.map(([seconds, kind, text]) => ({ at: at(now - seconds * 1000), kind, text })),
};

export const HOSTILE = "<img src=x onerror=alert(1)>";

const manyViews = (() => {
  const made = [table("batch", "batch", 164, MESSAGE), table("accounts", "reference", 131, ACCOUNT), table("branches", "reference", 12, ACCOUNT)];
  for (let number = 0; number < 40; number += 1) {
    const pick = (seed) => made[Math.floor(wave(seed) * made.length)].name;
    const reads = [...new Set([pick(number * 3 + 1), pick(number * 3 + 2)])];
    const name = number % 9 === 4 ? `a_view_with_a_name_that_is_much_longer_than_its_box_${number}` : `view_${number}`;
    made.push(view(name, reads, Math.round(wave(number) * 164), wave(number * 5) * 0.004, { output: number % 7 === 0 ? name : null, used: number % 11 !== 5, ...(number % 11 === 5 ? { rows: null, seconds: null } : {}) }));
  }
  return made;
})();

export const states = {
  keeping_up: { ...usual, lasts_seconds: 1840 },
  catching_up: {
    ...usual, lasts_seconds: 134,
    status: (times) => base(times, {
      lag: [402_118, 398_007, 0, 2],
      status: { sentence: "catching up, about 4 min left", state: "catching_up", rates: { in: 2610, computed: 6140, out: 8719 } },
    }),
  },
  waiting: {
    ...usual, lasts_seconds: 47,
    status: (times) => base(times, {
      lag: [61_310, 60_987, 61_200, 61_022],
      status: {
        sentence: `waiting for MySQL since ${at(times.since).slice(11, 19)}: cannot connect to 127.0.0.1:3306: the connection to the database failed: Connection refused (os error 111)`, state: "waiting",
        waiting_for: "MySQL", rates: { in: 5210, computed: 0, out: 0 },
      },
    }),
  },
  failed: {
    ...usual,
    status: (times) => base(times, { status: { sentence: "stopped: table bank.reactions does not exist", state: "failed", rates: { in: 0, computed: 0, out: 0 } } }),
  },
  empty: {
    ...usual, lasts_seconds: 5, isNew: true,
    status: (times) => base(times, {
      lag: [],
      status: {
        sentence: "starting", state: "starting", instances: [], batch: null, rates: { in: 0, computed: 0, out: 0 },
        dead_letters: { waiting: 0, since_start: 0 }, memory: { resident_bytes: 41_000_000, max_bytes: 268_435_456, parts: [] },
      },
    }),
    views: { sql_version: "8c1f0e42", views: [] },
    deadLetters: { waiting: 0, reasons: [], replay: DEAD_LETTERS.replay },
    sql: { version: "8c1f0e42", first_used_at: at(Date.now()), previous: null, diff: "" },
    events: () => [],
  },
  // As a job is before the ends of its partitions and the database are known.
  unknown: {
    ...usual, lasts_seconds: 2,
    status: (times) => {
      const status = base(times, { status: { since: null, dead_letters: { waiting: null, since_start: 0 }, batch: null } });
      for (const partition of status.partitions) {
        Object.assign(partition, { committed_offset: null, end_offset: null, lag_messages: null, lag_seconds: null, last_message_at: null });
      }
      status.instances[1].page = null;
      return status;
    },
    deadLetters: { ...DEAD_LETTERS, reasons: [{ ...letter(1, "sql", "sql/a.sql", null), topic: null, partition: null, offset: null }] },
    sql: { version: null },
    views: { ...VIEWS, views: VIEWS.views.map((view) => ({ ...view, rows: null, seconds: null, rows_total: 0, seconds_total: 0 })) },
  },
  many: {
    ...usual,
    status: (times) => {
      const status = base(times, { lag: [] });
      status.partitions = Array.from({ length: 200 }, (_, number) => ({
        topic: number < 120 ? "customer_movements" : "customer_movements_of_the_branches_abroad", partition: number % 120,
        owner: number === 57 ? null : `bank-${1 + (number % 5)}`, mine: number % 5 === 0, committed_offset: 48_000_000, end_offset: 48_000_000 + (number % 3 ? 0 : number * 13),
        lag_messages: number % 3 ? 0 : number * 13, lag_seconds: number % 3 ? 0 : number / 100, last_message_at: at(times.now - number * 100),
      }));
      status.instances = Array.from({ length: 5 }, (_, number) => ({
        instance: `bank-${number + 1}`, page: `http://127.0.0.${number + 1}:9464/`, partitions: 40, seen_at: at(times.now - 900), state: "keeping_up", mine: number === 0,
      }));
      return status;
    },
    views: { sql_version: "8c1f0e42", views: manyViews },
    events: (_, now) => Array.from({ length: 200 }, (_, number) => ({ at: at(now - (200 - number) * 20e3), kind: "retry", text: `deadlock on account_state, number ${number}` })),
  },
  hostile: {
    ...usual,
    status: (times) => {
      const status = base(times, { status: { sentence: `waiting for ${HOSTILE}`, state: "waiting", waiting_for: HOSTILE, job: HOSTILE, instance: HOSTILE, version: HOSTILE } });
      for (const partition of status.partitions) Object.assign(partition, { topic: HOSTILE, owner: HOSTILE });
      status.instances[1] = { ...status.instances[1], instance: HOSTILE, page: "javascript:alert(1)", state: HOSTILE };
      status.batch.stages.push({ stage: HOSTILE, seconds: 0.001 });
      status.memory.parts.push({ part: HOSTILE, bytes: 1 });
      return status;
    },
    views: {
      sql_version: HOSTILE,
      views: [
        ...VIEWS.views,
        view(HOSTILE, ["batch"], 1, 0.1, { sql: `SELECT '</script>${HOSTILE}'`, columns: [column(HOSTILE, HOSTILE)], output: HOSTILE, state_of: HOSTILE }),
        view("__proto__", ["batch", "constructor"], 1, 0.1),
        view("constructor", ["batch"], 1, 0.1),
      ],
    },
    rows: () => ({ columns: [column(HOSTILE, "Utf8")], rows: [[HOSTILE], [null]], truncated: false, batch_ended_at: at(Date.now()) }),
    deadLetters: { ...DEAD_LETTERS, reasons: [{ ...letter(1, HOSTILE, HOSTILE, HOSTILE), topic: HOSTILE }], replay: HOSTILE },
    sql: { version: HOSTILE, first_used_at: at(Date.now()), previous: HOSTILE, diff: `+${HOSTILE}\n-</pre>${HOSTILE}` },
    config: { yaml: HOSTILE, build: { version: HOSTILE, [HOSTILE]: HOSTILE } },
    events: (_, now) => [{ at: at(now), kind: HOSTILE, text: HOSTILE }],
  },
};
