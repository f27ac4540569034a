// What /api/status says, once a second: the sentence and its reason, the figures, partitions, instances, the last batch.

// More partitions than these are shown on request; then those that are furthest behind come first.
const PARTITIONS_SHOWN = 16;

const STAGES = {
  wait: "waiting for messages",
  decode: "decode",
  lookup: "look up keys",
  sql: "views",
  write: "write rows",
  commit: "commit",
};

let status = null;

function setStatus(next) {
  const before = status;
  status = next;
  setClock(next.now);
  document.body.dataset.state = next.state;
  const sentence = next.sentence.charAt(0).toUpperCase() + next.sentence.slice(1);
  drawSentence(sentence, next.state);
  setText($("since"), next.since ? `For ${longDuration(age(next.since))}, since ${clock(next.since)} UTC` : "");
  setText($("why"), reason(next));
  // Why: people who listen are told of changes, not of every second.
  if (before?.state !== next.state) setText($("said"), sentence);
  setText($("job"), next.job);
  setText($("identity"), [
    `instance ${next.instance}`, `version ${next.version}`,
    `up ${longDuration(age(next.started_at))}`, `${clock(next.now)} UTC`,
  ].join(" · "));
  document.title = `${sentence} · ${next.job}`;
  drawIcon();
  drawFigures(next);
  drawPartitions();
  drawInstances(next);
  drawBatch(next.batch);
  drawMemory(next.memory);
  return before;
}

/** The sentence; the error that a job waits for, or ended with, is smaller and in a line of its own. */
function drawSentence(sentence, state) {
  const end = ["waiting", "failed", "stopping"].includes(state) ? sentence.indexOf(": ") : -1;
  const parts = end < 0 ? [sentence, "", ""] : [sentence.slice(0, end), ": ", sentence.slice(end + 2)];
  parts.forEach((part, index) => setText($("sentence").children[index], part));
}

/** What is known of a number of all partitions. */
const known = (status, key) => status.partitions.map((partition) => partition[key]).filter((value) => value != null);

function lagMessages(status) {
  const lags = known(status, "lag_messages");
  return lags.length ? lags.reduce((sum, lag) => sum + lag, 0) : null;
}

function lagSeconds(status) {
  const lags = known(status, "lag_seconds");
  return lags.length ? Math.max(...lags) : null;
}

/** Why the job is in its state, in one line, as far as its numbers show it. */
function reason(status) {
  const lag = lagMessages(status);
  const left = lag === null ? "The lag is not known." : `${counted(lag, "message")} ${lag === 1 ? "is" : "are"} not committed.`;
  switch (status.state) {
    case "waiting":
      return `${left} Nothing is lost: the job goes on by itself when ${status.waiting_for ?? "the server"} answers.`;
    case "catching_up": {
      const { in: arriving, computed } = status.rates;
      const parts = [left, `It computes ${rate(computed)} a second; ${rate(arriving)} a second arrive.`];
      const slowest = slowestStage(status.batch);
      if (slowest) parts.push(`Most of a batch's time is “${slowest.name}”: ${percent(slowest.share)}.`);
      return parts.join(" ");
    }
    case "idle": {
      const last = known(status, "last_message_at").sort().at(-1);
      return last ? `The last message is from ${clock(last)} UTC, ${ago(last)}.` : "No message has arrived yet.";
    }
    case "keeping_up": {
      const parts = [lag === 0 ? "Every message is committed." : left];
      if (status.batch) parts.push(`The last batch took ${duration(status.batch.seconds)}.`);
      return parts.join(" ");
    }
    default:
      return "";
  }
}

/** The stage that took most of the last batch. Waiting for messages is no work. */
function slowestStage(batch) {
  const stages = (batch?.stages ?? []).filter(({ stage }) => stage !== "wait");
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  if (total <= 0) return null;
  const slowest = stages.reduce((one, other) => (other.seconds > one.seconds ? other : one));
  return { name: STAGES[slowest.stage] ?? slowest.stage, share: slowest.seconds / total };
}

function drawIcon() {
  const color = getComputedStyle(document.body).getPropertyValue("--state").trim();
  const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="${color}"/></svg>`;
  setAttribute($("icon"), "href", `data:image/svg+xml,${encodeURIComponent(picture)}`);
}

function drawFigures(status) {
  const { rates, batch, dead_letters: letters, memory } = status;
  const figures = [
    ["Lag", count(lagMessages(status)), "", `${duration(lagSeconds(status))} behind Kafka`],
    ["Messages in", rate(rates.in), "/s", "over the last 10 s"],
    ["Computed", rate(rates.computed), "/s", "messages"],
    ["Rows out", rate(rates.out), "/s", "into the database"],
    ["Last batch", batch ? duration(batch.seconds) : UNKNOWN, "", batch ? `${counted(batch.messages, "message")}, ${ago(batch.ended_at)}` : "no batch yet"],
    ["Dead letters waiting", count(letters.waiting), "", `${count(letters.since_start)} stored by this instance since it started`],
    ["Memory", bytes(memory.resident_bytes), "", `of ${bytes(memory.max_bytes)}`],
  ];
  const list = $("figures");
  if (list.children.length === 0) {
    list.append(...figures.map(() => element("div", {},
      element("dt"), element("dd", {}, element("b"), element("small")), element("dd", { class: "quiet" }))));
  }
  figures.forEach(([name, value, unit, note], index) => {
    const [term, figure, said] = list.children[index].children;
    setText(term, name);
    setText(figure.firstChild, value);
    setText(figure.lastChild, unit);
    setText(said, note);
    list.children[index].classList.toggle("doubt", name === "Dead letters" && letters.waiting > 0);
  });
}

const sorting = {
  key: null,
  down: true,
  by(key) {
    this.down = this.key === key ? !this.down : key === "lag_messages" || key === "lag_seconds";
    this.key = key;
    drawPartitions();
  },
};
let allPartitions = false;

const PARTITION_COLUMNS = [
  { title: "Partition", sort: "name" },
  { title: "Lag", class: "n", sort: "lag_messages" },
  { title: "Behind", class: "n", sort: "lag_seconds" },
  { title: "Owner", sort: "owner" },
  { title: "Last message", class: "n" },
  { title: "Committed", class: "n" },
  { title: "End", class: "n" },
];

function drawPartitions() {
  const { partitions, instance } = status;
  const topics = new Set(partitions.map(({ topic }) => topic));
  const behind = partitions.filter(({ lag_messages: lag }) => lag > 0).length;
  const unknown = partitions.filter(({ lag_messages: lag }) => lag == null).length;
  const left = partitions.filter(({ owner }) => owner === null).length;
  setText($("partitions-note"), partitions.length === 0 ? "No partition yet." : [
    topics.size === 1 ? `${counted(partitions.length, "partition")} of ${[...topics][0]}` : `${counted(partitions.length, "partition")} of ${topics.size} topics`,
    behind ? `${count(behind)} with messages that are not committed` : unknown ? "" : "all committed",
    unknown ? `${count(unknown)} of which the lag is not known` : "",
    left ? `${count(left)} without an owner` : "",
  ].filter(Boolean).join(", "));
  const many = partitions.length > PARTITIONS_SHOWN;
  if (sorting.key === null) {
    sorting.down = many;
    if (partitions.length) sorting.key = many ? "lag_messages" : "name";
  }
  const shown = sorted(partitions).slice(0, allPartitions ? partitions.length : PARTITIONS_SHOWN);
  // A full bar is the largest lag, or what arrives in a second: a job that keeps up has almost no bars.
  const most = Math.max(1, status.rates.in, ...partitions.map(({ lag_messages: lag }) => lag));
  fillTable($("partitions-table"), PARTITION_COLUMNS, shown.map((partition) => Object.assign([
    { text: topics.size === 1 ? String(partition.partition) : `${partition.topic}/${partition.partition}`, title: `${partition.topic}/${partition.partition}` },
    { text: count(partition.lag_messages), share: partition.lag_messages / most },
    duration(partition.lag_seconds),
    partition.owner === null ? "nobody" : partition.mine ? `${instance} (this one)` : partition.owner,
    { text: ago(partition.last_message_at), title: partition.last_message_at },
    count(partition.committed_offset),
    count(partition.end_offset),
  ], { class: partition.owner === null ? "fault" : null })), sorting);
  $("partitions-table").classList.toggle("of-topics", topics.size > 1);
  $("partitions-table").parentElement.classList.toggle("high", !allPartitions);
  const more = $("partitions-more");
  more.hidden = !many;
  setText(more, allPartitions ? `Show ${PARTITIONS_SHOWN}` : `Show all ${count(partitions.length)}`);
}

function sorted(partitions) {
  const { key, down } = sorting;
  const byName = (one, other) => one.topic.localeCompare(other.topic) || one.partition - other.partition;
  const compare = {
    name: byName,
    owner: (one, other) => (one.owner ?? "").localeCompare(other.owner ?? ""),
  }[key] ?? ((one, other) => (one[key] ?? -1) - (other[key] ?? -1));
  return [...partitions].sort((one, other) => (down ? -1 : 1) * compare(one, other) || byName(one, other));
}

$("partitions-more").addEventListener("click", () => {
  allPartitions = !allPartitions;
  drawPartitions();
});

const INSTANCE_COLUMNS = [
  { title: "Instance" }, { title: "State" }, { title: "Partitions", class: "n" }, { title: "Seen", class: "n" },
];

function drawInstances({ instances }) {
  fillTable($("instances-table"), INSTANCE_COLUMNS, instances.map((instance) => [
    { text: instance.mine ? `${instance.instance} (this one)` : instance.instance, href: instance.mine ? null : instance.page },
    instance.state.replaceAll("_", " "),
    count(instance.partitions),
    ago(instance.seen_at),
  ]));
}

const STAGE_COLUMNS = [{ title: "Stage" }, { title: "Time", class: "n" }, { title: "Share", class: "n" }];

function drawBatch(batch) {
  const stages = batch?.stages ?? [];
  const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
  setText($("batch-note"), batch === null ? "No batch yet." : [
    counted(batch.messages, "message"), counted(batch.rows, "row"),
    ...(batch.dead_letters ? [counted(batch.dead_letters, "dead letter")] : []),
    `${duration(batch.seconds)}, ended ${clock(batch.ended_at)} UTC`,
  ].join(", "));
  const bar = $("stages-bar");
  if (bar.children.length !== stages.length) bar.replaceChildren(...stages.map(() => element("i")));
  stages.forEach(({ stage, seconds }, index) => {
    bar.children[index].className = stage;
    bar.children[index].style.inlineSize = `${total ? (100 * seconds) / total : 0}%`;
  });
  if (batch === null) return;
  fillTable($("stages"), STAGE_COLUMNS, stages.map(({ stage, seconds }) => Object.assign([
    STAGES[stage] ?? stage, duration(seconds), total ? percent(seconds / total) : UNKNOWN,
  ], { class: `stage ${stage}` })));
}

const MEMORY_COLUMNS = [{ title: "Part" }, { title: "Bytes", class: "n" }];

function drawMemory({ parts, max_bytes: most }) {
  fillTable($("memory-table"), MEMORY_COLUMNS, parts.map(({ part, bytes: used }) => [
    part.replaceAll("_", " "), { text: bytes(used), share: most ? Math.min(1, used / most) : 0 },
  ]));
}
