// What is asked for less often: dead letters, events, what is in use, and the query box.

const EVENTS_SHOWN = 12;
const EVENTS_MAX = 200;

const REASON_COLUMNS = [
  { title: "Number", class: "n" }, { title: "Reason", class: "reason" }, { title: "Stage" },
  { title: "Place", class: "code" }, { title: "Last" }, { title: "First" }, { title: "Example", class: "code" },
];

function setDeadLetters({ waiting, reasons, replay }) {
  setText($("dead-letters-note"), waiting === 0 ? "No dead letter of the job waits in the database." :
    `${counted(waiting, "dead letter")} of the job ${waiting === 1 ? "waits" : "wait"} in the database, whichever instance stored them. Replay them when the cause is mended.`);
  $("reasons-scroll").hidden = reasons.length === 0;
  fillTable($("reasons"), REASON_COLUMNS, reasons.map((reason) => [
    count(reason.count),
    [reason.reason ?? UNKNOWN, reason.code == null ? "" : `(${reason.code})`].join(" ").trim(),
    reason.stage,
    reason.place,
    clock(reason.last_at),
    clock(reason.first_at),
    reason.topic == null ? UNKNOWN : `${reason.topic}/${reason.partition} at ${reason.offset}`,
  ]));
  $("replay").hidden = waiting === 0;
  setText($("replay").querySelector("code"), replay);
}

$("replay").querySelector("button").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText($("replay").querySelector("code").textContent);
    button.textContent = "Copied";
  } catch {
    // Why: browsers give the clipboard to https and to this machine only.
    getSelection().selectAllChildren($("replay").querySelector("code"));
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

let events = [];
let allEvents = false;

const EVENT_COLUMNS = [{ title: "Time, UTC", class: "time" }, { title: "Kind" }, { title: "What happened" }];

function setEvents(answer) {
  events = answer.events.slice(-EVENTS_MAX);
  drawEvents();
}

function addEvent(event) {
  events.push(event);
  events.splice(0, events.length - EVENTS_MAX);
  drawEvents();
}

function drawEvents() {
  setText($("events-note"), events.length ? "" : "Nothing has happened yet.");
  const shown = [...events].reverse().slice(0, allEvents ? EVENTS_MAX : EVENTS_SHOWN);
  fillTable($("events-table"), EVENT_COLUMNS, shown.map(({ at, kind, text }) => Object.assign([
    { text: clock(at), title: at }, kind, text,
  ], { class: `event ${kind}` })));
  $("events-more").hidden = events.length <= EVENTS_SHOWN;
  setText($("events-more"), allEvents ? `Show the last ${EVENTS_SHOWN}` : `Show all ${count(events.length)}`);
}

$("events-more").addEventListener("click", () => {
  allEvents = !allEvents;
  drawEvents();
});

let sqlInUse = null;
let configInUse = null;

function setSql(answer) {
  sqlInUse = answer;
  const { previous = null, diff = "" } = answer;
  setText($("diff-note"), previous === null ? "There is no version before." :
    diff === "" ? `The same as version ${previous}.` : `Compared with version ${previous}.`);
  $("diff-scroll").hidden = !diff;
  const lines = diff.trimEnd().split("\n");
  $("diff").replaceChildren(...lines.map((line, index) =>
    element("span", { class: kindOfLine(line, lines[index - 1], lines[index + 1]) }, `${line}\n`)));
  drawBuild();
}

/** What a line of the difference is. A comment of SQL that is gone looks like the name of a file, but for its neighbour. */
function kindOfLine(line, before, after) {
  const isName = (line.startsWith("--- ") && after?.startsWith("+++ ")) || (line.startsWith("+++ ") && before?.startsWith("--- "));
  if (isName || line.startsWith("@@ ")) return "place";
  return { "+": "added", "-": "removed" }[line[0]];
}

function setConfig(answer) {
  configInUse = answer;
  setText($("yaml"), answer.yaml);
  drawBuild();
}

function drawBuild() {
  const terms = [];
  if (sqlInUse?.version) terms.push(["SQL version", `${sqlInUse.version}, since ${clock(sqlInUse.first_used_at)} UTC`]);
  for (const [name, value] of Object.entries(configInUse?.build ?? {})) {
    const title = { version: "Program", rustc: "Compiler" }[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
    terms.push([title, (Array.isArray(value) ? value.join(", ") : String(value ?? "")) || "none"]);
  }
  fillTerms($("build"), terms);
}

$("query-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = $("query-form").querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  try {
    const answer = await get(`/api/query?sql=${encodeURIComponent($("sql").value)}`);
    $("answer").replaceChildren(...rowsTable(answer, "Rows of the query"),
      element("p", { class: "quiet" }, `In ${duration(answer.seconds)}.`));
  } catch (error) {
    $("answer").replaceChildren(element("pre", { class: "fault" }, error.message));
  }
  button.disabled = false;
});

$("sql").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    $("query-form").requestSubmit();
  }
});
