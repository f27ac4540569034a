// A server that answers as a job does (docs/operating.md), with states that a test or a person chooses:
//
//   node tests/blackbox/page/fake.mjs [STATE] [PORT]      then open the address that it prints
//   curl -X POST http://127.0.0.1:PORT/fake/waiting       changes the state; /fake/drop cuts all connections for 3 s

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { states, History } from "./states.mjs";

const PAGE = new URL("../../../src/watch/page/", import.meta.url);

/** The page, put together as src/watch/page.rs does it. */
export function page() {
  const read = (name) => readFileSync(new URL(name, PAGE), "utf8");
  return read("index.html").replace(/\{\{(.+?)\}\}/g, (_, name) => read(name));
}

export function contentSecurityPolicy(html) {
  const hashes = (tag) => [...html.matchAll(new RegExp(`<${tag}(?: [^>]*)?>([^]*?)</${tag}>`, "g"))]
    .map(([, text]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`).join(" ");
  return [
    "default-src 'none'", `script-src ${hashes("script")}`, `style-src ${hashes("style")}`, "connect-src 'self'",
    "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
  ].join("; ");
}

export class Fake {
  constructor(state = "keeping_up", { token } = {}) {
    this.token = token;
    // The paths that were asked for, and those without the token.
    this.asked = new Set();
    this.refused = [];
    this.isSilent = false;
    this.startedAt = Date.now() - 3 * 3600e3;
    this.streams = new Set();
    this.sockets = new Set();
    this.isAway = false;
    this.history = new History();
    this.set(state);
    this.server = createServer((request, response) => this.answer(request, response));
    this.server.on("connection", (socket) => {
      if (this.isAway) return socket.destroy();
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
  }

  async listen(port = 0) {
    await new Promise((done) => this.server.listen(port, "127.0.0.1", done));
    this.timer = setInterval(() => this.tick(), 1000);
    this.address = `http://127.0.0.1:${this.server.address().port}/`;
    this.open = this.token ? `${this.address}?token=${encodeURIComponent(this.token)}` : this.address;
    return this;
  }

  close() {
    clearInterval(this.timer);
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  set(name) {
    if (!states[name]) throw new Error(`no state ${name}; there are ${Object.keys(states).join(", ")}`);
    this.state = states[name];
    this.since = Date.now() - (this.state.lasts_seconds ?? 30) * 1e3;
  }

  /** Cuts all connections, and takes no new one for a while. */
  drop(milliseconds) {
    this.isAway = true;
    for (const socket of this.sockets) socket.destroy();
    setTimeout(() => { this.isAway = false; }, milliseconds);
  }

  status() {
    return this.state.status({ since: this.since, startedAt: this.startedAt, now: Date.now() });
  }

  send(event, data) {
    for (const stream of this.streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  tick() {
    if (this.isSilent) return;
    const status = this.status();
    this.send("status", status);
    if (Date.now() % 5000 < 1000) this.send("history", this.history.add(status));
  }

  answer(request, response) {
    const url = new URL(request.url, this.address);
    const json = (data, status = 200) => {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(data));
    };
    if (url.pathname.startsWith("/fake/")) {
      const name = url.pathname.slice("/fake/".length);
      if (name === "drop") this.drop(3000);
      else this.set(name);
      return json({});
    }
    this.asked.add(url.pathname);
    // As the job does: browsers send no header with the page and the stream.
    const parameter = ["/", "/api/events"].includes(url.pathname) ? url.searchParams.get("token") : null;
    if (this.token && parameter !== this.token && request.headers.authorization !== `Bearer ${this.token}`) {
      this.refused.push(request.url);
      return json({ error: "no token" }, 401);
    }
    const { state } = this;
    switch (url.pathname) {
      case "/": {
        const html = page();
        response.writeHead(200, {
          "Content-Type": "text/html; charset=utf-8",
          "Content-Security-Policy": contentSecurityPolicy(html),
        });
        return response.end(html);
      }
      case "/api/status": return json(this.status());
      case "/api/history": return json(state.isNew ? { step_seconds: 5, points: [] } : this.history.answer());
      case "/api/views": return json(state.views);
      case "/api/rows": return json(state.rows(url.searchParams.get("view")));
      case "/api/dead-letters":
        return state.deadLetters ? json(state.deadLetters) : json({ error: "the database does not answer" }, 503);
      case "/api/sql": return json(state.sql);
      case "/api/config": return json(state.config);
      case "/api/events-log": return json({ events: state.events(this.startedAt, Date.now()) });
      case "/api/query": {
        const sql = url.searchParams.get("sql");
        if (/selct/i.test(sql)) {
          return json({ error: "sql:1:1: error: expected a query, found selct", hint: "a query begins with SELECT" }, 400);
        }
        return json({ ...state.rows("batch"), seconds: 0.0043 });
      }
      case "/api/events":
        response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
        if (!this.isSilent) response.write(`event: status\ndata: ${JSON.stringify(this.status())}\n\n`);
        this.streams.add(response);
        return response.on("close", () => this.streams.delete(response));
      default: return json({ error: "no such page" }, 404);
    }
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [state, port] = process.argv.slice(2);
  const fake = await new Fake(state).listen(Number(port ?? 0));
  console.log(fake.address);
}
