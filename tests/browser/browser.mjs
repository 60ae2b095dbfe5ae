// Chromium, and a page in it that may fetch nothing but from its weir and say
// nothing on its console. Cases are told apart by name; each prints a line of
// JSON, which tests/e2e/test_page.py reads.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

export const PATIENCE_MS = 10000;
export const SIZES = [[360, 780], [1280, 860], [2560, 1400]];
export const SCHEMES = ["dark", "light"];

export async function launch() {
  const root = process.getuid() === 0;
  return chromium.launch({ executablePath: "/usr/bin/chromium",
    chromiumSandbox: !root, args: ["--disable-gpu", "--disable-quic"] });
}

// What went wrong in a page: to be empty at the end of each case.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280,
    height: 860 }, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const trouble = [], origin = new URL(url).origin;
  page.on("console", (m) => {
    if (!["log", "debug", "info"].includes(m.type()))
      trouble.push(`${m.type()}: ${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (error) => trouble.push(`error: ${error.stack}`));
  page.on("request", (request) => {
    if (!request.url().startsWith("data:") &&
        new URL(request.url()).origin !== origin)
      trouble.push(`request to ${request.url()}`);
  });
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (e) =>
      console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
  });
  page.trouble = trouble;
  await page.goto(url);
  return page;
}

export async function quiet(page, except = () => false) {
  assert.deepEqual(page.trouble.filter((text) => !except(text)), []);
  assert.equal(await page.evaluate(() => window.owned), undefined);
  assert.equal(await page.evaluate(() => document.querySelectorAll(
    "main img, main script, main iframe, main [onerror]").length), 0);
  assert.ok(!(await page.title()).includes("owned"));
}

// Goes to a view and waits until it shows what it has.
export async function view(page, hash) {
  await page.evaluate((to) => { location.hash = to; }, hash);
  await page.waitForFunction(() => !document.querySelector(
    "#view > [data-key=wait]") && document.querySelector("#view > *"));
}

// Until the text stands in what matches the selector.
export async function says(page, selector, text) {
  await page.waitForFunction(([where, what]) => [...document
    .querySelectorAll(where)].some((e) => e.innerText.includes(what)),
  [selector, text]).catch(async () => assert.fail(`"${text}" is not in ` +
    `${selector}: ${await page.locator(selector).allInnerTexts()}`));
}

// after(): what a case has left, whether it went well or not.
export async function run(cases, only, after = async () => {}) {
  for (const [name, body] of Object.entries(cases)) {
    if (only.length > 0 && !only.includes(name))
      continue;
    const begun = Date.now();
    let error = null;
    try {
      await body();
    } catch (e) {
      error = String(e.stack || e).slice(0, 6000);
    }
    await after();
    console.log(JSON.stringify({ name, error, ms: Date.now() - begun }));
  }
}
