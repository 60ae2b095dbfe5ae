// How fast the page is: tests/bench/page_perf starts weir and runs this:
//
//	node perf.mjs URL RUNS
//
// One line of JSON for each figure, milliseconds, the median and the worst.

import { launch } from "./browser.mjs";

const [url, runs] = [process.argv[2], Number(process.argv[3] || 9)];
const browser = await launch();

function say(what, list) {
  const sorted = [...list].sort((a, b) => a - b);
  console.log(JSON.stringify({ what, median_ms: Math.round(10 * sorted[
    Math.floor(sorted.length / 2)]) / 10, worst_ms: Math.round(10 *
    sorted.at(-1)) / 10, runs: list.length }));
}

async function fresh(hash) {
  const context = await browser.newContext({ viewport: { width: 1280,
    height: 860 } });
  const page = await context.newPage();
  await page.goto(url + hash);
  await page.waitForSelector("#view > :not([data-key=wait])");
  return page;
}

// From the navigation to the first paint, and until the view has its data.
async function paint(name, hash) {
  const first = [], shown = [];
  for (let i = 0; i < runs; i++) {
    const page = await fresh(hash);
    const at = await page.evaluate(() => new Promise((done) =>
      requestAnimationFrame(() => setTimeout(() => done([performance
        .getEntriesByName("first-contentful-paint")[0].startTime,
      performance.now()])))));
    first.push(at[0]);
    shown.push(at[1]);
    await page.context().close();
  }
  say(`${name}: first paint`, first);
  say(`${name}: with its data`, shown);
}

// An event as of the stream, until layout is done.
async function event(name, hash, type, detail) {
  const page = await fresh(hash);
  await page.waitForTimeout(1500);
  say(`${name}: update by ${type}`, await page.evaluate(async (given) => {
    const { bus } = await import("/live.js"), times = [];
    for (let i = 0; i < given.runs * 5; i++) {
      await new Promise((done) => setTimeout(done, 30));
      const detail = { ...given.detail, id: "01TEST" + i, at_us:
        Date.now() * 1000, delivered: i };
      const begun = performance.now();
      bus.dispatchEvent(new CustomEvent(given.type, { detail }));
      document.body.offsetHeight;
      times.push(performance.now() - begun);
    }
    return times;
  }, { type, detail, runs }));
  await page.context().close();
}

// Asked again: everything on the main thread but waiting, from the answer to
// the end of the layout.
async function reload(name, hash) {
  const page = await fresh(hash);
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable");
  const busy = async () => (await client.send("Performance.getMetrics"))
    .metrics.find((m) => m.name === "TaskDuration").value * 1000;
  const times = [];
  for (let i = 0; i < runs; i++) {
    await page.waitForTimeout(100);
    const before = await busy();
    await page.evaluate(() => window.dispatchEvent(new Event("hashchange")));
    await page.waitForTimeout(400);
    times.push(await busy() - before);
  }
  say(`${name}: asked again`, times);
  await page.context().close();
}

const session = { occurred_at: new Date().toISOString().replace("Z",
  "000Z"), client: "192.0.2.7", destination: "198.51.100.9", sender:
  "anna@example.org", recipients: "bob@example.net", outcome: "delivered",
code: 250, cause: "quit", transactions: 1, duration_ms: 212, tls: "TLS1.3" };
const found = await (await fetch(url + "api/v1/sessions?limit=1")).json();
const groups = await (await fetch(url + "api/v1/mx")).json();

await paint("overview", "#/");
await paint("MX groups", "#/mx");
await paint("sessions", "#/sessions");
await paint("one session", `#/session/${found[0].id}`);
await event("overview", "#/", "tick", { seconds: 1 });
await event("overview", "#/", "status", {});
await event("live tail", "#/sessions?tail=1", "session", session);
await reload("overview", "#/");
await reload("MX groups", "#/mx");
await reload("one group", "#/mx/" + encodeURIComponent(groups[0].group));
await reload("sessions", "#/sessions");
await reload("senders", "#/senders");
await browser.close();
