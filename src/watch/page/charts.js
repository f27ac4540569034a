// The last hour, drawn by uPlot: three charts that share the cursor. The legends show the values under it, else the last.

const POINTS_MAX = 720;
const CHART_HEIGHT = 148;
// A chart of a job that has just started is not one point wide.
const WINDOW_SECONDS_MIN = 300;

// The lines of an axis of time stand at whole seconds, minutes, hours.
const TIME_STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30,
  60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000,
];

// There is no half a message.
const COUNT_STEPS = Array.from({ length: 13 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

const perSecond = (value) => `${rate(value)}/s`;
const CHARTS = [
  {
    id: "rates",
    axis: (value) => short.format(value),
    lines: [
      { key: "in", name: "in", color: "--first", text: perSecond },
      { key: "computed", name: "computed", color: "--second", dash: [4, 3], text: perSecond },
      { key: "out", name: "rows out", color: "--third", text: perSecond },
    ],
  },
  {
    id: "lag",
    axis: (value) => short.format(value),
    steps: COUNT_STEPS,
    lines: [{ key: "lag_messages", name: "not committed", color: "--first", fill: "--first-fill", text: count }],
  },
  {
    id: "late",
    axis: (value) => (value === 0 ? "0" : duration(value)),
    steps: TIME_STEPS,
    lines: [{ key: "lag_seconds", name: "behind Kafka", color: "--first", fill: "--first-fill", text: duration }],
  },
];

let points = [];
let charts = [];

function setHistory(history) {
  points = history.points.slice(-POINTS_MAX);
  drawCharts();
}

function addPoint(point) {
  points.push(point);
  points.splice(0, points.length - POINTS_MAX);
  drawCharts();
}

function drawCharts() {
  if (charts.length === 0) charts = CHARTS.map(makeChart);
  for (const { plot, lines } of charts) plot.setData([points.map(seconds), ...lines.map(values)]);
  describeCharts();
}

const seconds = (point) => Date.parse(point.at) / 1000;
const values = (line) => points.map((point) => point[line.key] ?? null);

function makeChart(chart) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--quiet"),
    font: `11px ${style.getPropertyValue("--sans")}`,
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
  };
  const box = $(chart.id);
  const legend = $(`${chart.id}-legend`);
  legend.replaceChildren(...chart.lines.map((line) =>
    element("span", { class: `key ${line.key}` }, element("i"), `${line.name} `, element("b"))));
  const plot = new uPlot({
    width: box.clientWidth,
    height: CHART_HEIGHT,
    legend: { show: false },
    padding: [8, 14, 0, 0],
    cursor: { sync: { key: "hour" }, y: false, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, from, to) => [Math.min(from ?? 0, (to ?? 0) - WINDOW_SECONDS_MIN), to ?? 1] },
      y: { range: (_, _low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, size: 24, space: 44, values: (_, at) => at.map((second) => new Date(second * 1000).toISOString().slice(11, 16)) },
      { ...axis, size: 52, space: 36, incrs: chart.steps, values: (_, at) => at.map(chart.axis) },
    ],
    series: [{}, ...chart.lines.map((line) => ({
      stroke: color(line.color),
      fill: line.fill && color(line.fill),
      dash: line.dash,
      width: 1.5,
      points: { show: false },
    }))],
    hooks: { setCursor: [describeCharts] },
  }, [[], ...chart.lines.map(() => [])], box);
  return { ...chart, plot, legend };
}

/** Puts the values under the cursor, or the last ones, into the legends; and the last ones into words. */
function describeCharts() {
  for (const { id, plot, lines, legend } of charts) {
    const place = plot.cursor.idx ?? points.length - 1;
    lines.forEach((line, index) => setText(legend.children[index].lastChild, line.text(points[place]?.[line.key])));
    const last = lines.map((line) => `${line.name} ${line.text(points.at(-1)?.[line.key])}`);
    setAttribute($(id), "aria-label", `The last hour, and now: ${last.join(", ")}`);
  }
}

function redrawCharts() {
  for (const { plot } of charts) plot.destroy();
  charts = [];
  drawCharts();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
new ResizeObserver(() => {
  for (const { id, plot } of charts) plot.setSize({ width: $(id).clientWidth, height: CHART_HEIGHT });
}).observe($("history"));
