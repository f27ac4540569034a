// A real browser, and what must hold of the page at any size, whatever it shows. scripts/test-page sets PAGE_MODULES (where
// the packages are) and CHROMIUM; PAGE_PICTURES names a folder for pictures, if somebody wants to look.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.PAGE_MODULES ?? ".", "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core");

export const WIDTHS = [390, 1280, 1600];
export const SCHEMES = ["light", "dark"];
/** How soon the page must show what the job says. */
export const SHOWN_MS_MAX = 2000;

export function launch() {
  // Chromium's sandbox is not for root.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: process.env.CHROMIUM, args });
}

/** Opens the page and waits until it shows the job. `page.faults` collects what must not happen. */
export async function open(browser, address, { width = 1280, scheme = "light" } = {}) {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme });
  page.faults = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.faults.push(error.message));
  page.on("dialog", (dialog) => {
    page.faults.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const { origin } = new URL(address);
  page.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) {
      page.faults.push(`a request to ${request.url()}`);
    }
  });
  await page.goto(address);
  await page.waitForFunction(() => document.querySelectorAll("#figures dt").length > 0);
  await page.waitForFunction(() => document.querySelector("#views-note").textContent !== "");
  return page;
}

/** What must hold at all times. */
export async function holds(page, name) {
  if (process.env.PAGE_PICTURES) {
    await page.screenshot({ path: join(process.env.PAGE_PICTURES, `${name}.png`), fullPage: true });
  }
  assert.deepEqual(page.faults, [], name);
  const { width } = page.viewportSize();
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, `${name}: wider than the window`);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const found = serious.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
  assert.deepEqual(found, [], name);
  assert.deepEqual(page.faults, [], name);
}

/** Presses Tab from the top of the page to its end. Returns what had the focus and a sign that it has, and what had none. */
export async function tabStops(page) {
  await page.evaluate(() => {
    const selector = "a[href], button, textarea, summary, [tabindex='0']";
    const isShown = (element) => element.checkVisibility() && !element.disabled;
    globalThis.stops = [...document.querySelectorAll(selector)].filter(isShown);
    globalThis.left = new Set(globalThis.stops);
    globalThis.unmarked = [];
    getSelection().removeAllRanges();
    document.activeElement.blur();
  });
  const number = await page.evaluate(() => globalThis.stops.length);
  for (let press = 0; press < number + 20; press += 1) {
    await page.keyboard.press("Tab");
    await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const rect = element.querySelector(":scope > rect");
      const isMarked = (outlineStyle !== "none" && outlineWidth !== "0px") || (rect && getComputedStyle(rect).strokeWidth === "3px");
      if (element !== document.body && !isMarked) globalThis.unmarked.push(element.outerHTML.slice(0, 80));
      globalThis.left.delete(element);
    });
  }
  return page.evaluate(() => ({
    number: globalThis.stops.length,
    left: [...globalThis.left].map((element) => element.outerHTML.slice(0, 80)),
    unmarked: globalThis.unmarked,
  }));
}

/** The text of an element, once it fits. */
export async function shows(page, selector, pattern, timeout = SHOWN_MS_MAX) {
  await page.waitForFunction(
    ([selector, source]) => new RegExp(source).test(document.querySelector(selector)?.textContent ?? ""),
    [selector, pattern.source],
    { timeout, polling: 50 },
  );
}
