// Elements. All text gets into the page as text nodes, so nothing that a message, a name or an error holds is markup.

const $ = (id) => document.getElementById(id);

const BAR_SHARE_MIN = 0.02;
// Text of a cell that stays in one line.
const CELL_LETTERS_MAX = 48;

/** A new element: attributes that are functions are listeners, children that are strings are text. */
function element(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function drawn(tag, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value != null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Changes text only where it differs, so that what is selected stays selected. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value == null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** The link to another page, if the address is one: what an instance wrote into the database is not trusted. */
function isAddress(text) {
  return /^https?:\/\//i.test(text ?? "");
}

/**
 * Makes `table` show the rows, and changes only what differs. A column is { title, class, sort }, a cell is a text or
 * { text, title, href, share }: a share between 0 and 1 is drawn as a bar under the text.
 */
function fillTable(table, columns, rows, sorting) {
  if (!table.tHead) {
    const cells = columns.map((column) => headCell(column, sorting));
    table.append(element("thead", {}, element("tr", {}, ...cells)), element("tbody"));
  }
  for (const [index, cell] of [...table.tHead.rows[0].cells].entries()) {
    const key = columns[index].sort;
    setAttribute(cell, "aria-sort", key && key === sorting?.key ? (sorting.down ? "descending" : "ascending") : null);
  }
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.lastChild.remove();
  while (body.rows.length < rows.length) {
    body.append(element("tr", {}, ...columns.map((column) => element("td", { class: column.class }))));
  }
  rows.forEach((row, index) => {
    setAttribute(body.rows[index], "class", row.class);
    row.forEach((cell, place) => fillCell(body.rows[index].cells[place], cell));
  });
}

function headCell(column, sorting) {
  if (!column.title) return element("td");
  const title = column.sort
    ? element("button", { type: "button", class: "plain", click: () => sorting.by(column.sort) }, column.title)
    : column.title;
  return element("th", { scope: "col", class: column.class }, title);
}

function fillCell(cell, content) {
  const { text, title, href, share } = typeof content === "string" ? { text: content } : content;
  setAttribute(cell, "title", title);
  if (isAddress(href)) {
    if (cell.firstChild?.href === undefined) cell.replaceChildren(element("a", { rel: "noreferrer" }));
    setAttribute(cell.firstChild, "href", href);
    setText(cell.firstChild, text);
  } else if (share != null) {
    if (cell.children.length !== 2) cell.replaceChildren(element("span"), element("i", { class: "bar" }));
    setText(cell.firstChild, text);
    // A point would look like dirt.
    cell.lastChild.style.inlineSize = share < BAR_SHARE_MIN ? "0" : `${100 * share}%`;
  } else {
    setText(cell, text);
  }
}

/** Rows of SQL, as a table that may be scrolled; what was left out is said. */
function rowsTable({ columns, rows, truncated }, label) {
  const isNumber = columns.map(({ type }) => /^(u?int(\d|eger|$)|(big|small|tiny)int|float|double|decimal|real)/i.test(type));
  const head = columns.map(({ name, type }, index) =>
    element("th", { scope: "col", class: isNumber[index] ? "n" : null, title: type }, name));
  const body = rows.map((row) => element("tr", {}, ...row.map((value, index) => {
    if (value === null) return element("td", { class: "null" }, "NULL");
    const text = String(value);
    return element("td", { class: isNumber[index] ? "n" : text.length > CELL_LETTERS_MAX ? "long" : null }, text);
  })));
  const table = element("table", { class: "rows" },
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  const note = truncated ? `The first ${counted(rows.length, "row")}; there are more.` : counted(rows.length, "row");
  return [
    element("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, table),
    element("p", { class: "quiet" }, note),
  ];
}

/** The terms of a <dl>: [name, text] pairs. */
function fillTerms(list, terms) {
  list.replaceChildren(...terms.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
}
