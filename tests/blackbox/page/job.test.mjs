// The page in a real browser, of a real job whose address is in PAGE_URL. Run by scripts/test-page --url.

import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { after, before, test } from "node:test";
import { holds, launch, open, SCHEMES, shows, tabStops, WIDTHS } from "./browser.mjs";

const { PAGE_URL } = process.env;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

for (const width of WIDTHS) {
  for (const scheme of SCHEMES) {
    test(`the page of a job at ${width} px, ${scheme}`, async () => {
      const page = await open(browser, PAGE_URL, { width, scheme });
      await page.waitForSelector("[data-view=batch]");
      await page.locator("[data-view=batch]").click();
      await page.getByText("Show the last rows").click();
      await page.waitForSelector("#view .answer table");
      await page.getByText("Run", { exact: true }).click();
      await page.waitForSelector("#answer table");
      await page.getByText("Configuration").click();
      await holds(page, `job-${width}-${scheme}`);
      await page.close();
    });
  }
}

test("everything is there, and it is live", async () => {
  const page = await open(browser, PAGE_URL);
  await page.waitForSelector("[data-view=batch]");
  for (const [selector, pattern] of [
    ["#sentence", /^(Keeping up|Catching up|Idle|Waiting for|Starting)/],
    ["#identity", /instance .+version \d/],
    ["#partitions-table", /\d/],
    ["#instances-table", /this one/],
    ["#stages", /write rows/],
    ["#memory-table", /MiB|KiB/],
    ["#build", /SQL version/],
    ["#yaml", /kafka_topic/],
    ["#events-table", /start/],
    ["#rates-legend", /in \d/],
  ]) {
    await shows(page, selector, pattern, 10_000);
  }
  const before = await page.locator("#identity").textContent();
  await page.waitForFunction((before) => document.querySelector("#identity").textContent !== before, before);
  const { left, unmarked } = await tabStops(page);
  assert.deepEqual({ left, unmarked, faults: page.faults }, { left: [], unmarked: [], faults: [] });
  await page.close();
});

test("a customer's name is text", { skip: !process.env.PAGE_NAME }, async () => {
  const page = await open(browser, PAGE_URL);
  await page.locator("#sql").fill("SELECT name, customer FROM enriched_movements WHERE name IS NOT NULL");
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector("#answer td");
  assert.equal(await page.locator("#answer td").first().textContent(), process.env.PAGE_NAME);
  await page.locator("[data-view=enriched_movements]").click();
  await page.getByText("Show the last rows").click();
  await page.waitForSelector("#view .answer td");
  assert.ok((await page.locator("#view .answer").textContent()).includes(process.env.PAGE_NAME));
  assert.equal(await page.locator("img").count(), 0);
  assert.deepEqual(page.faults, []);
  await page.close();
});

test("an outage is shown, and its end", { skip: !process.env.PAGE_OUTAGE }, async () => {
  const page = await open(browser, PAGE_URL);
  await shows(page, "#sentence", /^(Keeping|Catching) up/, 30_000);
  execSync(process.env.PAGE_OUTAGE);
  try {
    await shows(page, "#sentence", /^Waiting for MySQL since \d\d:\d\d:\d\d: /);
  } finally {
    execSync(process.env.PAGE_OUTAGE_ENDS);
  }
  await shows(page, "#sentence", /^(Keeping|Catching) up/, 30_000);
  await shows(page, "#events-table", /recovered/);
  assert.equal(await page.locator("#lost").isVisible(), false);
  await page.close();
});
