// The page in a real browser, against a fake job: every state, size and colour scheme, keyboard, hostile text, lost
// connections. Run by scripts/test-page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { holds, launch, open, SCHEMES, shows, tabStops, WIDTHS } from "./browser.mjs";
import { Fake } from "./fake.mjs";
import { HOSTILE, states } from "./states.mjs";

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

/** Runs a test against a fake job that is in `state`. */
function withJob(name, state, run, options) {
  test(name, async () => {
    const fake = await new Fake(state, options).listen();
    const page = await open(browser, fake.open, options);
    try {
      await run(page, fake);
    } finally {
      await page.close();
      fake.close();
    }
  });
}

async function openEverything(page) {
  const node = page.locator("[data-view]").nth(3);
  if (await node.count()) {
    await node.click();
    await page.getByText("Show the last rows").click();
    await page.waitForSelector("#view .answer table");
  }
  await page.getByText("Run", { exact: true }).click();
  await page.waitForSelector("#answer table");
  await page.getByText("Configuration").click();
  // Each says then how to show less.
  const more = page.locator("button:visible", { hasText: /^Show all/ });
  while (await more.count()) await more.first().click();
}

for (const state of Object.keys(states)) {
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) {
      withJob(`${state} at ${width} px, ${scheme}`, state, async (page) => {
        await openEverything(page);
        await holds(page, `${state}-${width}-${scheme}`);
      }, { width, scheme });
    }
  }
}

for (const state of ["keeping_up", "many"]) {
  withJob(`everything is reached by Tab: ${state}`, state, async (page) => {
    await openEverything(page);
    const { number, left, unmarked } = await tabStops(page);
    assert.ok(number > 25, `${number} stops`);
    assert.deepEqual(left, []);
    assert.deepEqual(unmarked, []);
  });
}

withJob("a view is opened and closed by the keyboard", "keeping_up", async (page) => {
  await page.locator("[data-view=reactions]").focus();
  await page.keyboard.press("Enter");
  await shows(page, "#view h3", /^reactions$/);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "reactions");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#view").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.dataset.view), "reactions");
});

withJob("a query is run by the keyboard, and its fault is shown", "keeping_up", async (page) => {
  await page.locator("#sql").fill("SELECT 1");
  await page.keyboard.press("Control+Enter");
  await shows(page, "#answer", /The first 5 rows; there are more/);
  page.faults.length = 0;
  await page.locator("#sql").fill("selct 1");
  await page.keyboard.press("Control+Enter");
  await shows(page, "#answer .fault", /^sql:1:1: error: expected a query, found selct\nhint: a query begins with SELECT$/);
});

withJob("rows are asked for on request only", "keeping_up", async (page, fake) => {
  await page.locator("[data-view=batch]").click();
  assert.ok(!fake.asked.has("/api/rows"));
  await page.getByText("Show the last rows").click();
  await shows(page, "#view .answer", /José Ruiz/);
  assert.ok(fake.asked.has("/api/rows"));
});

withJob("the sentence changes with the job, and back", "keeping_up", async (page, fake) => {
  await shows(page, "#sentence", /^Keeping up$/);
  fake.set("waiting");
  await shows(page, "#sentence", /^Waiting for MySQL since \d\d:\d\d:\d\d: cannot connect to 127\.0\.0\.1:3306: .+Connection refused \(os error 111\)$/);
  await shows(page, "#said", /^Waiting for MySQL/);
  assert.match(await page.title(), /^Waiting for MySQL/);
  assert.match(await page.locator("#why").textContent(), /^244,519 messages are not committed\. Nothing is lost/);
  fake.set("catching_up");
  await shows(page, "#why", /It computes 6,140 a second; 2,610 a second arrive\. Most of a batch's time is “write rows”: 53\u202f%/);
  fake.set("keeping_up");
  await shows(page, "#sentence", /^Keeping up$/);
});

withJob("what is not known is a dash, and no claim is made of it", "unknown", async (page) => {
  assert.match(await page.locator("#figures").textContent(), /^Lag–/);
  assert.equal(await page.locator("#why").textContent(), "The lag is not known.");
  assert.match(await page.locator("#partitions-note").textContent(), /^4 partitions of customer_movements, 4 of which the lag is not known$/);
  const text = await page.locator("body").innerText();
  assert.doesNotMatch(text, /null|NaN|undefined|Infinity/);
});

withJob("dead letters are asked for again when the database did not answer", "keeping_up", async (page, fake) => {
  const { deadLetters } = fake.state;
  fake.state = { ...fake.state, deadLetters: null };
  await page.reload();
  await shows(page, "#dead-letters-note", /^Could not be read: the database does not answer$/);
  fake.state = { ...fake.state, deadLetters };
  await shows(page, "#dead-letters-note", /^27 dead letters of the job wait in the database/, 8000);
});

withJob("a lost connection is said, and it comes back", "keeping_up", async (page, fake) => {
  fake.drop(3000);
  await page.waitForSelector("#lost:not([hidden])", { timeout: 2000 });
  assert.match(await page.locator("#lost").textContent(), /^No connection to the job\. Everything below is from \d\d:\d\d:\d\d UTC/);
  assert.match(await page.title(), /^No connection/);
  fake.set("catching_up");
  await page.waitForSelector("#lost", { state: "hidden", timeout: 10_000 });
  await shows(page, "#sentence", /^Catching up/);
});

withJob("a connection on which nothing comes is lost too", "keeping_up", async (page, fake) => {
  fake.isSilent = true;
  await page.waitForSelector("#lost:not([hidden])", { timeout: 6000 });
  fake.isSilent = false;
  await page.waitForSelector("#lost", { state: "hidden", timeout: 10_000 });
});

withJob("hostile text is text", "hostile", async (page) => {
  await page.locator("[data-view]").filter({ hasText: "<img" }).click();
  await page.getByText("Show the last rows").click();
  await shows(page, "#view .answer", /onerror/);
  await page.getByText("Run", { exact: true }).click();
  await shows(page, "#answer", /onerror/);
  for (const id of ["job", "sentence", "why", "partitions-note", "stages", "memory-table", "view", "reasons", "replay", "events-table", "diff", "yaml", "build"]) {
    assert.ok((await page.locator(`#${id}`).textContent()).includes(HOSTILE), `#${id} shows the text`);
  }
  assert.equal(await page.locator("img, script:not(:is(body > script))").count(), 0);
  assert.equal(await page.locator("[href^=javascript]").count(), 0);
  assert.deepEqual(page.faults, []);
});

withJob("a script that gets in is not run", "keeping_up", async (page) => {
  const isRun = await page.evaluate(() => {
    try {
      const script = document.createElement("script");
      script.append("globalThis.isRun = true");
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.isRun = true'>");
    } catch {
      // The policy refuses text as markup.
    }
    return new Promise((done) => setTimeout(() => done(globalThis.isRun === true), 200));
  });
  assert.equal(isRun, false);
});

withJob("of many partitions, those that are furthest behind come first", "many", async (page) => {
  const rows = page.locator("#partitions-table tbody tr");
  const first = rows.first().locator("td").first();
  assert.equal(await rows.count(), 16);
  assert.equal(await first.textContent(), "customer_movements_of_the_branches_abroad/78");
  await page.getByText("Show all 200", { exact: true }).first().click();
  assert.equal(await rows.count(), 200);
  await page.locator("#partitions-table").getByText("Partition", { exact: true }).click();
  assert.equal(await first.textContent(), "customer_movements/0");
  await page.locator("#partitions-table").getByText("Partition", { exact: true }).click();
  assert.equal(await first.textContent(), "customer_movements_of_the_branches_abroad/79");
  assert.match(await page.locator("#partitions-note").textContent(), /1 without an owner$/);
});

for (const width of WIDTHS) {
  withJob(`no view covers another, and no line leads back, at ${width} px`, "many", async (page) => {
    const boxes = await page.locator("[data-view] > rect:first-of-type").evaluateAll((nodes) =>
      nodes.map((node) => ({ name: node.parentElement.dataset.view, ...node.getBoundingClientRect().toJSON() })));
    assert.equal(boxes.length, 43);
    for (const one of boxes) {
      for (const other of boxes) {
        const isApart = one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top;
        assert.ok(one.name === other.name || isApart, `${one.name} and ${other.name}`);
      }
    }
    const byName = new Map(boxes.map((box) => [box.name, box]));
    for (const view of states.many.views.views) {
      for (const name of view.reads) {
        const [from, to] = [byName.get(name), byName.get(view.name)];
        assert.ok(width < 700 ? from.bottom < to.top : from.right < to.left, `${name} to ${view.name}`);
      }
    }
  }, { width });
}

withJob("what has the focus keeps it while numbers change", "keeping_up", async (page) => {
  for (const selector of ["#partitions-table button >> nth=1", "[data-view=reactions]", "#instances-table a"]) {
    await page.locator(selector).focus();
    const element = await page.evaluateHandle(() => document.activeElement);
    await page.waitForTimeout(2500);
    assert.ok(await element.evaluate((element) => element === document.activeElement), selector);
  }
});

withJob("new SQL is shown when the job takes it over", "keeping_up", async (page, fake) => {
  const views = states.keeping_up.views.views.filter((view) => view.name !== "reactions");
  await page.locator("[data-view=reactions]").click();
  fake.state = { ...fake.state, views: { sql_version: "next", views }, sql: { version: "next", first_used_at: new Date().toISOString(), previous: "8c1f0e42", diff: "-gone" } };
  fake.send("log", { at: new Date().toISOString(), kind: "reload", text: "SQL version next is in use" });
  await shows(page, "#events-table", /SQL version next is in use/);
  await shows(page, "#build", /next/);
  await page.waitForSelector("[data-view=reactions]", { state: "detached", timeout: 2000 });
  assert.equal(await page.locator("#view").isVisible(), false);
});

withJob("the token of the address goes with every question", "keeping_up", async (page, fake) => {
  await shows(page, "#sentence", /^Keeping up$/);
  await shows(page, "#yaml", /kafka_topic/);
  await page.getByText("Run", { exact: true }).click();
  await page.waitForSelector("#answer table");
  assert.deepEqual(fake.refused, []);
  assert.deepEqual(page.faults, []);
}, { token: "s e/cr&et" });
