// The graph of views, and what is known of the one that was chosen.

const VIEW = { width: 184, height: 46 };
const VIEW_WIDTH_MIN = 148;
const VIEW_WIDTH_MAX = 184;
const VIEW_PADDING = 10;
// Between two layers.
const GAP_MIN = 26;
const GAP_MAX = 96;
// Below this width of the page, the lines run from top to bottom.
const ACROSS_WIDTH_MIN = 700;
const LETTER_WIDTH = 7;

let views = [];
let chosen = null;
let drawnAs = null;

function setViews(answer) {
  views = answer.views;
  const computed = views.filter((view) => view.kind === "view" && view.used);
  const seconds = computed.reduce((sum, view) => sum + (view.seconds ?? 0), 0);
  const slowest = computed.reduce((one, other) => ((other.seconds ?? 0) > (one?.seconds ?? 0) ? other : one), null);
  const parts = [counted(computed.length, "view")];
  if (slowest) parts.push(`${duration(seconds)} in the last batch`, `the slowest is ${slowest.name}`);
  setText($("views-note"), views.length ? `${parts.join(", ")}. Choose one to see its SQL and its rows.` : "No view yet.");
  if (chosen !== null && !views.some((view) => view.name === chosen)) hideView();
  drawGraph();
  updateView();
}

function drawGraph() {
  const box = $("graph");
  // Not laid out yet: it is drawn when it gets a size.
  if (box.clientWidth === 0) return;
  const across = box.clientWidth >= ACROSS_WIDTH_MIN;
  const shape = JSON.stringify([box.clientWidth, ...views.map(({ name, reads, kind, used }) => [name, reads, kind, used])]);
  if (shape !== drawnAs) {
    drawnAs = shape;
    const focused = document.activeElement?.closest?.("[data-view]")?.dataset.view;
    box.replaceChildren(...(views.length ? [picture(across, box.clientWidth)] : []));
    if (focused != null) nodeOf(focused)?.focus();
  }
  const slowest = Math.max(...views.map((view) => view.seconds ?? 0), 1e-9);
  for (const view of views) fillNode(view, slowest);
}

const nodeOf = (name) => [...document.querySelectorAll("[data-view]")].find((node) => node.dataset.view === name);

function picture(across, room) {
  const laid = across ? laidAcross(room - 2) : laidDown(room - 2);
  const size = across ? { depth: VIEW.width, breadth: VIEW.height } : { depth: VIEW.height, breadth: VIEW.width };
  const screen = (depth, breadth) => (across ? [depth + 1, breadth + 1] : [breadth + 1, depth + 1]);
  const toScreen = (depth, breadth) => screen(depth, breadth).map((number) => number.toFixed(1)).join(",");
  const [width, height] = screen(laid.depth, laid.breadth).map((number) => Math.ceil(number + 1));
  const lines = laid.lines.map(({ from, to, points }) =>
    drawn("path", { class: "line", d: linePath(points, size, toScreen), "data-from": from, "data-to": to }));
  const nodes = views.map((view) => {
    const { depth, breadth } = laid.places.get(view.name);
    const [x, y] = screen(depth, breadth);
    return node(view, x - VIEW.width / 2, y - VIEW.height / 2);
  });
  return drawn("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Graph of views" },
    ...lines, ...nodes);
}

/** From left to right: the views, then the gaps between the layers, become as narrow as the room makes them. */
function laidAcross(room) {
  const layers = Math.max(...layersOf(views).values()) + 1;
  const limited = (value, least, most) => Math.floor(Math.min(most, Math.max(least, value)));
  VIEW.width = limited((room - (layers - 1) * GAP_MIN) / layers, VIEW_WIDTH_MIN, VIEW_WIDTH_MAX);
  const gap = limited((room - layers * VIEW.width) / Math.max(1, layers - 1), GAP_MIN, GAP_MAX);
  return layOut(views, { depth: VIEW.width, breadth: VIEW.height }, { depth: gap, breadth: 14 });
}

/** From top to bottom, as on a telephone, where two views stand side by side with a line between them. */
function laidDown(room) {
  const gap = { depth: 36, breadth: 10 };
  VIEW.width = Math.min(VIEW_WIDTH_MAX, Math.floor((room - LINE_BREADTH) / 2) - gap.breadth);
  const size = { depth: VIEW.height, breadth: VIEW.width };
  const laid = layOut(views, size, gap);
  return laid.breadth > room ? layOut(views, size, gap, "centred") : laid;
}

function node(view, x, y) {
  const letters = Math.floor((VIEW.width - 2 * VIEW_PADDING) / LETTER_WIDTH);
  const isLong = view.name.length > letters;
  const name = isLong ? `${view.name.slice(0, letters - 1)}…` : view.name;
  const choose = () => showView(view.name);
  return drawn("g", {
    class: `node ${view.kind}${view.used ? "" : " unused"}`,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
    role: "button",
    tabindex: 0,
    "data-view": view.name,
    click: choose,
    keydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
      $("view").querySelector("h3").focus();
    },
    mouseenter: () => markLines(view.name),
    mouseleave: () => markLines(chosen),
    focus: () => markLines(view.name),
    blur: () => markLines(chosen),
  },
  ...(isLong ? [drawn("title", {}, `${view.name} `)] : []),
  drawn("rect", { width: VIEW.width, height: VIEW.height, rx: 5 }),
  drawn("text", { class: "name", x: VIEW_PADDING, y: 19 }, `${name} `),
  drawn("text", { class: "facts", x: VIEW_PADDING, y: 35 }),
  drawn("text", { class: "kind", x: VIEW.width - VIEW_PADDING, y: 35, "text-anchor": "end" }, kindOf(view)),
  drawn("rect", { class: "time", x: 1, y: VIEW.height - 3, height: 2, width: 0 }));
}

function kindOf(view) {
  if (!view.used) return "not computed";
  if (view.state_of) return "next state";
  if (view.output) return "output";
  return { batch: "messages", reference: "reference", state: "state", view: "" }[view.kind] ?? view.kind;
}

function fillNode(view, slowest) {
  const node = nodeOf(view.name);
  if (!node) return;
  const facts = [];
  if (view.used && view.rows != null) facts.push(`${briefCount(view.rows)} ${view.rows === 1 ? "row" : "rows"}`);
  if (view.used && view.seconds != null) facts.push(duration(view.seconds));
  // What is read aloud are these texts, one after the other: spaces keep them apart.
  setText(node.querySelector(".facts"), `${facts.join(" · ")} `);
  setAttribute(node.querySelector(".time"), "width", ((VIEW.width - 2) * (view.seconds ?? 0) / slowest).toFixed(1));
  setAttribute(node, "aria-label", [...node.querySelectorAll("title, text")].map((text) => text.textContent).join("").trim());
  setAttribute(node, "aria-expanded", String(view.name === chosen));
}

function markLines(name) {
  for (const line of document.querySelectorAll("#graph .line")) {
    line.classList.toggle("marked", name != null && (line.dataset.from === name || line.dataset.to === name));
  }
}

function showView(name) {
  if (chosen === name) return hideView();
  chosen = name;
  const view = views.find((view) => view.name === name);
  const panel = $("view");
  const rows = element("div", { class: "answer", "aria-live": "polite" });
  const close = () => {
    hideView();
    nodeOf(name)?.focus();
  };
  const ask = async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      const answer = await get(`/api/rows?view=${encodeURIComponent(name)}`);
      rows.replaceChildren(...rowsTable(answer, `Rows of ${name}`),
        element("p", { class: "quiet" }, `From the batch that ended ${ago(answer.batch_ended_at)}.`));
    } catch (error) {
      rows.replaceChildren(element("p", { class: "fault" }, error.message));
    }
    button.disabled = false;
    button.textContent = "Show the last rows again";
  };
  panel.replaceChildren(
    element("div", { class: "bar-of-panel" },
      element("h3", { tabindex: -1 }, name), element("button", { type: "button", class: "plain", click: close }, "Close")),
    element("dl", { class: "terms", id: "view-terms" }),
    element("div", { class: "columns-and-sql" },
      view.sql == null ? "" : element("div", {}, element("h4", {}, "SQL"),
        element("div", { class: "scroll", role: "region", "aria-label": `SQL of ${name}`, tabindex: 0 },
          element("pre", {}, view.sql))),
      element("div", {}, element("h4", {}, "Columns"), columnsTable(view.columns, name))),
    element("button", { type: "button", click: ask }, "Show the last rows"),
    rows,
  );
  panel.onkeydown = (event) => {
    if (event.key === "Escape") close();
  };
  panel.hidden = false;
  updateView();
  drawGraph();
  markLines(name);
}

function hideView() {
  chosen = null;
  $("view").hidden = true;
  drawGraph();
  markLines(null);
}

function columnsTable(columns, name) {
  const table = element("table");
  fillTable(table, [{ title: "Column", class: "code" }, { title: "Type" }, { title: "May be NULL" }],
    columns.map((column) => [column.name, column.type, column.nullable ? "yes" : "no"]));
  return element("div", { class: "scroll", role: "region", "aria-label": `Columns of ${name}`, tabindex: 0 }, table);
}

/** What changes with each batch, of the view that is shown. */
function updateView() {
  const view = views.find((view) => view.name === chosen);
  if (!view) return;
  const readers = views.filter((reader) => reader.reads.includes(view.name)).map((reader) => reader.name);
  const terms = [["Kind", view.kind]];
  if (view.output) terms.push(["Written to", `table ${view.output}`]);
  if (view.state_of) terms.push(["Next rows of", `state table ${view.state_of}`]);
  if (view.reads.length) terms.push(["Reads", view.reads.join(", ")]);
  terms.push(["Read by", readers.join(", ") || "nothing"]);
  terms.push(["Last batch", [view.rows == null ? null : counted(view.rows, "row"), view.seconds == null ? null : duration(view.seconds)]
    .filter(Boolean).join(" in ") || UNKNOWN]);
  if (view.kind === "view") terms.push(["Since the start", `${counted(view.rows_total, "row")} in ${duration(view.seconds_total)}`]);
  if (!view.used) terms.push(["Not computed", "nothing reads it, and it is no output"]);
  fillTerms($("view-terms"), terms);
}

new ResizeObserver(drawGraph).observe($("graph"));
