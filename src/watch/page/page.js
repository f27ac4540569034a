// The connection to the job: one stream of events, and what is asked for when it opens or when something changed.

// The job sends its status once a second: this long without one, and the connection is lost.
const SILENCE_MS_MAX = 3500;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 5000;
// Rows and times of views change with each batch; nobody reads them faster than this.
const VIEWS_EVERY_MS = 5000;
const LETTERS_EVERY_MS = 5000;

const token = new URLSearchParams(location.search).get("token");

/** What the job answers, or an error with its words. */
async function get(path) {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  let response;
  try {
    response = await fetch(path, { headers, cache: "no-store" });
  } catch {
    throw new Error("the job does not answer");
  }
  const type = response.headers.get("Content-Type") ?? "";
  if (response.ok) return response.json();
  if (!type.startsWith("application/json")) throw new Error(`the job answers with status ${response.status}`);
  const { error, hint } = await response.json();
  throw new Error(hint ? `${error}\nhint: ${hint}` : error);
}

/** Asks for one part of the page. Its note says so if that fails, and the rest of the page goes on. */
async function load(path, show, note) {
  try {
    show(await get(path));
    return true;
  } catch (error) {
    if (note) setText($(note), `Could not be read: ${error.message}`);
    return false;
  }
}

const loadViews = () => load("/api/views", setViews, "views-note");

function loadInUse() {
  load("/api/sql", setSql, "diff-note");
  load("/api/config", setConfig);
}

function loadAll() {
  load("/api/history", setHistory);
  load("/api/events-log", setEvents, "events-note");
  loadViews();
  loadDeadLetters();
  loadInUse();
}

// Dead letters are in the database: they are asked for when their number has changed, and again if that failed.
let lettersAreOld = true;
let lettersAskedAt = 0;

async function loadDeadLetters() {
  lettersAreOld = false;
  lettersAskedAt = Date.now();
  if (!await load("/api/dead-letters", setDeadLetters, "dead-letters-note")) lettersAreOld = true;
}

function onStatus(next) {
  const before = setStatus(next);
  if (before && before.started_at !== next.started_at) loadAll();
  const letters = (status) => JSON.stringify(status?.dead_letters);
  if (before && letters(before) !== letters(next)) lettersAreOld = true;
  if (lettersAreOld && Date.now() - lettersAskedAt > LETTERS_EVERY_MS) loadDeadLetters();
}

function onEvent(event) {
  addEvent(event);
  if (event.kind === "reload" || event.kind === "recovered") {
    loadViews();
    loadInUse();
  }
}

let source = null;
let silence = null;
let retryMs = RETRY_MS_MIN;

function connect() {
  const query = token === null ? "" : `?token=${encodeURIComponent(token)}`;
  source = new EventSource(`/api/events${query}`);
  const listen = (name, act) => source.addEventListener(name, ({ data }) => {
    heard();
    act(JSON.parse(data));
  });
  listen("status", onStatus);
  listen("log", onEvent);
  listen("history", addPoint);
  source.addEventListener("open", () => {
    retryMs = RETRY_MS_MIN;
    setLost(false);
    heard();
    loadAll();
  });
  source.addEventListener("error", retry);
  heard();
}

function heard() {
  clearTimeout(silence);
  silence = setTimeout(retry, SILENCE_MS_MAX);
}

/** Why: EventSource tries again by itself after some failures only, and never says when. */
function retry() {
  clearTimeout(silence);
  source.close();
  setLost(true);
  setTimeout(connect, retryMs);
  retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
}

function setLost(isLost) {
  const line = $("lost");
  if (isLost && line.hidden) {
    const last = status ? ` Everything below is from ${clock(status.now)} UTC.` : "";
    setText(line, `No connection to the job.${last} Trying again.`);
    document.title = `No connection · ${status?.job ?? "realtime-processor"}`;
  }
  line.hidden = !isLost;
  document.body.classList.toggle("stale", isLost);
}

setInterval(() => {
  if (!document.hidden && $("lost").hidden) loadViews();
}, VIEWS_EVERY_MS);

connect();
