// Numbers and times as a person reads them. A value that is not known is a dash.

const UNKNOWN = "–";
// A narrow space that does not break stands between a number and its unit.
const THIN = "\u202f";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** A number of things: 18,402. */
function count(value) {
  return value == null ? UNKNOWN : whole.format(value);
}

/** The same where there is little room: 164, 8,396, 84K. */
function briefCount(value) {
  return value < 10_000 ? whole.format(value) : short.format(value);
}

/** A number a second, with a decimal where it is small: 6,210 or 0.4. */
function rate(value) {
  if (value == null) return UNKNOWN;
  return value < 10 ? tenths.format(value) : whole.format(value);
}

/** "1 row", "2 rows". */
function counted(value, word) {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** Three digits at most: 0.42, 4.2, 42, 420. */
function digits(value) {
  return value < 1 ? value.toFixed(2) : value < 10 ? value.toFixed(1) : value.toFixed(0);
}

/** A length of time, in the two largest units that say something: 4.2 ms, 12 s, 4 min 3 s, 2 d 4 h. */
function duration(seconds) {
  if (seconds == null) return UNKNOWN;
  if (seconds <= 0) return `0${THIN}s`;
  if (seconds < 1e-6) return `<1${THIN}µs`;
  if (seconds < 0.001) return `${digits(seconds * 1e6)}${THIN}µs`;
  if (seconds < 0.9995) return `${digits(seconds * 1e3)}${THIN}ms`;
  if (seconds < 10 && seconds % 1) return `${seconds.toFixed(1)}${THIN}s`;
  return longDuration(Math.round(seconds));
}

/** A length of time in whole seconds: what counts up once a second should not show tenths. */
function longDuration(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const total = Math.max(0, Math.floor(seconds));
  const first = units.findIndex(([length]) => total >= length);
  if (first < 0) return `0${THIN}s`;
  const [length, unit] = units[first];
  const text = `${Math.floor(total / length)}${THIN}${unit}`;
  const next = units[first + 1];
  const rest = next ? Math.floor((total % length) / next[0]) : 0;
  return rest ? `${text} ${rest}${THIN}${next[1]}` : text;
}

function bytes(value) {
  if (value == null) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${index === 0 || value >= 100 ? whole.format(value) : tenths.format(value)}${THIN}${units[index]}`;
}

function percent(part) {
  if (part > 0 && part < 0.01) return `<1${THIN}%`;
  return `${Math.round(part * 100)}${THIN}%`;
}

// How far the browser's clock is from the job's: ages are computed by the job's clock.
let clockOffset = 0;

function setClock(now) {
  clockOffset = Date.parse(now) - Date.now();
}

/** The job's time, in milliseconds. */
function jobTime() {
  return Date.now() + clockOffset;
}

/** Seconds from a moment to now. */
function age(time) {
  return time == null ? null : Math.max(0, (jobTime() - Date.parse(time)) / 1000);
}

function ago(time) {
  const seconds = age(time);
  if (seconds == null) return UNKNOWN;
  return seconds < 1 ? "now" : `${longDuration(seconds)} ago`;
}

/** The time of day in UTC, as in the log; with the date if it is another day. */
function clock(time) {
  if (time == null) return UNKNOWN;
  const text = new Date(time).toISOString();
  const today = new Date(jobTime()).toISOString().slice(0, 10);
  const day = text.slice(0, 10);
  return (day === today ? "" : `${day} `) + text.slice(11, 19);
}
