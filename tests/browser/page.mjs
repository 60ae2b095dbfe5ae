// The page before a real weir with real mail. tests/e2e/test_page.py starts
// them and runs this:
//
//	node page.mjs '{"url", "smtp", "pid", "group", "slowed", "capped",
//	    "empty", "gone": {"url", "pid", "program", "config"}, "locked":
//	    {"url", "token"}}' [CASE...]

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch, open, PATIENCE_MS, quiet, run, says, SCHEMES, SIZES,
  view } from "./browser.mjs";
import { mail } from "./smtp.mjs";

const [given, ...only] = process.argv.slice(2);
const weir = JSON.parse(given);
const AXE = readFileSync(createRequire(import.meta.url).resolve(
  "axe-core/axe.min.js"), "utf8");
const browser = await launch();

const get = async (path, url = weir.url) => (await fetch(url + path)).json();

// The id of the last session whose sender or recipient has the text.
async function idOf(text) {
  for (let i = 0; i < 400; i++) {
    const [found] = await get("api/v1/sessions?limit=1&q=" +
      encodeURIComponent(text));
    if (found?.cause)
      return found.id;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error(`no session with ${text}`);
}

const VIEWS = { overview: "#/", mx: "#/mx", group: `#/mx/${weir.group}`,
  policies: "#/policies", senders: "#/senders", sessions: "#/sessions",
  tail: "#/sessions?tail=1", operations: "#/operations", config: "#/config",
  session: async () => "#/session/" + await idOf("anna@example.org") };

async function eachView(body) {
  for (const [name, hash] of Object.entries(VIEWS))
    await body(name, typeof hash === "string" ? hash : await hash());
}

// ------------------------------------------------------------------- cases

const cases = {};

cases.size = async () => {
  const html = await (await fetch(weir.url)).text();
  const files = new Set(["", "chart.js"]);
  const find = (text) => {
    for (const [, name] of text.matchAll(
      /(?:src="|href="|from ?['"]\.\/)([a-z]+\.(?:js|css))/g))
      files.add(name);
  };
  find(html);
  let total = Buffer.byteLength(html);
  for (const name of files) {
    if (name === "")
      continue;
    const answer = await fetch(weir.url + name);
    assert.equal(answer.status, 200, name);
    const text = await answer.text();
    find(text);
    total += Buffer.byteLength(text);
    if (name === "chart.js")
      assert.match(text, /^\/\*![^]{0,200}MIT License/);
  }
  assert.ok(files.size > 15, [...files]);
  assert.ok(total <= 300000, `${total} bytes`);
};

cases.overview = async () => {
  const page = await open(browser, weir.url);
  for (const text of ["Messages", "Delivered", "Deferred", "Rejected",
    "Open sessions", "Final reply", "MX groups", "watch", "ready",
    "Source addresses", "Running since"])
    await says(page, "#view", text);
  assert.equal(await page.title(), "Overview \u00b7 weir on weir.example.org");
  await page.waitForSelector("#chart-outcomes canvas");
  await says(page, "#link", "Live");
  const ticks = await page.evaluate(async () => {
    const { live } = await import("/live.js");
    return live.ticks.length;
  });
  await page.waitForFunction(async (n) => {
    const { live } = await import("/live.js");
    return live.ticks.length > n + 1;
  }, ticks);
  await quiet(page);
};

cases.mx = async () => {
  const page = await open(browser, weir.url + "#/mx");
  await says(page, "#view tbody", weir.group);
  await page.fill("#mx-filter", "no such group");
  await says(page, "#view", "No group has");
  await page.fill("#mx-filter", weir.group.slice(0, 6).toUpperCase());
  await says(page, "#view tbody", weir.group);
  await page.click("[data-sort=deferred]");
  await page.waitForSelector("th[aria-sort] [data-sort=deferred]");
  await quiet(page);
};

cases.policies = async () => {
  const page = await open(browser, weir.url + "#/policies");
  for (const text of ["watch", "observe", "Would have changed", "guard",
    "enforce", "Verdicts", "reject", "blackbox/1", "Median"])
    await says(page, "#view", text);
  const would = (await page.innerText("[aria-label='Policy watch']"))
    .split("Would have changed")[1];
  assert.match(would, /of what it was asked about\.\s+reject\s+[1-9]/);
  await quiet(page);
};

cases.senders = async () => {
  const page = await open(browser, weir.url + "#/senders");
  await says(page, "#view", "anna@example.org");
  await page.click("text=Recipient domains");
  await says(page, "#view tbody", "example.net");
  await page.click("text=Codes");
  await says(page, "#view tbody", "550 5.1.1");
  await page.click("text=Refused >> nth=0");
  await page.waitForURL(/of=refused/);
  await says(page, "[aria-label='Refusals by sender, MX group and code']",
    "User unknown here");
  await quiet(page);
};

cases.suspicious = async () => {
  const page = await open(browser, weir.url + "#/senders");
  const where = "[aria-label='Suspicious senders and clients'] tr";
  await says(page, where, "list@example.com");
  const rows = await page.locator(where).allInnerTexts();
  assert.match(rows.find((r) => r.includes("list@")),
    /mailboxes that do not exist\s+5\b/);
  assert.match(rows.find((r) => r.includes("127.0.0.1")),
    /is refused [\d.]+.% of what it sends\s+\d/);
  await quiet(page);
};

cases.zone = async () => {
  const page = await open(browser, weir.url + "#/sessions", {
    timezoneId: "Asia/Kolkata" });
  await says(page, "#view tbody", "anna@example.org");
  const [shown, title, at] = await page.evaluate(() => {
    const e = document.querySelector(".sessions tbody time");
    return [e.innerText, e.title, e.dateTime];
  });
  const clock = (timeZone) => new Date(at).toLocaleTimeString("en-GB", {
    timeZone });
  assert.ok(shown.includes(clock("Asia/Kolkata")), shown);
  assert.ok(title.includes(clock("UTC")) && title.endsWith("UTC"), title);
  await quiet(page);
};

cases.sessions = async () => {
  const page = await open(browser, weir.url + "#/sessions");
  await says(page, "#view tbody", "anna@example.org");
  await page.fill("#f-q", "nobody@");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => [...document.querySelectorAll(
    ".sessions tbody tr")].every((r) => r.innerText.includes("nobody@")));
  await says(page, ".sessions", "rejected");
  assert.match(page.url(), /q=nobody%40/);
  await page.fill("#f-q", "<no such>");
  await page.click("text=Search");
  await says(page, "#view", "No session in the record matches");
  for (const [fields, found, not] of [
    [{ sender: "anna@example.org", recipient: "@example.net" }, "anna@",
      "shop@"],
    [{ recipient: "later@example.net" }, "deferred", "rejected"],
    [{ code: "5xx" }, "rejected", "later@"],
    [{ code: "4.7.1", client: "127.0.0.1" }, "later@", "bob@"],
    [{ outcome: "delivered", mx: weir.group }, "bob@", "gone@"],
    [{ policy: "guard", since: "1h" }, "anna@", "no such"],
    [{ until: "1h" }, null, ""]]) {
    await page.click("text=Clear");
    await says(page, "#view tbody", "anna@example.org");
    for (const [name, value] of Object.entries(fields))
      if (name === "outcome")
        await page.selectOption("#f-outcome", value);
      else
        await page.fill("#f-" + name, value);
    await page.click("text=Search");
    await page.waitForURL((url) => Object.keys(fields).every((name) =>
      url.hash.includes(name + "=")));
    if (found === null) {
      await says(page, "#view", "No session in the record matches");
      continue;
    }
    await page.waitForFunction((bad) => document.querySelector(
      ".sessions tbody tr") && ![...document.querySelectorAll(
      ".sessions tbody")].some((e) => e.innerText.includes(bad)), not)
      .catch(async () => assert.fail(`${JSON.stringify(fields)} finds ` +
        await page.innerText("#view")));
    await says(page, ".sessions", found);
  }
  await page.fill("#f-until", "tomorrow");
  await page.click("text=Search");
  await says(page, "#view .notice", "This cannot be shown");
  await page.click("text=Clear");
  await says(page, "#view tbody", "anna@example.org");
  assert.equal(await page.inputValue("#f-until"), "");
  await quiet(page, (text) => text.includes("400"));
};

cases.session = async () => {
  const id = await idOf("nobody@example.net");
  const page = await open(browser, weir.url + "#/sessions?q=nobody%40");
  await page.click("#view tbody a");
  await page.waitForFunction(() => location.hash.startsWith("#/session/"));
  for (const text of ["ended by QUIT", "rejected", "RCPT TO:<nobody@",
    "User unknown", "client \u2192 MX", "guard", "rule r1", "EHLO",
    "Waited for", id.slice(0, 6)])
    await says(page, "#view", text);
  assert.ok(await page.locator(".timeline rect").count() > 2);
  assert.equal(await page.evaluate(() => document.activeElement.id), "title");
  await page.goBack();
  await says(page, "h1", "Sessions");
  await quiet(page);
};

cases.sizes = async () => {
  for (const colorScheme of SCHEMES)
    for (const [width, height] of SIZES) {
      const page = await open(browser, weir.url, { colorScheme, viewport: {
        width, height } });
      await page.evaluate(AXE);
      await eachView(async (name, hash) => {
        await view(page, hash);
        const where = `${name}, ${width} px, ${colorScheme}`;
        assert.ok(await page.evaluate(() => document.documentElement
          .scrollWidth) <= width, `${where}: it scrolls sideways`);
        const found = await page.evaluate(() => axe.run(document));
        assert.deepEqual(found.violations.map((v) => `${v.id}: ` +
          v.nodes.map((n) => n.html.slice(0, 200)).join(" ")), [], where);
      });
      const light = await page.evaluate(() => getComputedStyle(document.body)
        .backgroundColor.match(/\d+/g).reduce((a, b) => a + Number(b), 0));
      assert.equal(light > 384, colorScheme === "light");
      await quiet(page);
      await page.context().close();
    }
};

cases.keyboard = async () => {
  const page = await open(browser, weir.url);
  await says(page, "#view", "Policies");
  const focus = () => page.evaluate(() => {
    const e = document.activeElement;
    return { id: e.id, text: e.innerText, outline:
      getComputedStyle(e).outlineStyle };
  });
  await page.keyboard.press("Tab");
  assert.equal((await focus()).id, "skip");
  await page.keyboard.press("Tab");
  for (const name of ["Overview", "MX groups", "Policies", "Senders",
    "Sessions"]) {
    const at = await focus();
    assert.equal(at.text, name);
    assert.notEqual(at.outline, "none");
    if (name !== "Sessions")
      await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await says(page, "h1", "Sessions");
  await says(page, "#view tbody", "anna@");
  assert.equal((await focus()).id, "title");
  for (let i = 0; i < 40 && !/^\d\d:/.test((await focus()).text); i++)
    await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await says(page, "h1", "Session");
  await says(page, "#view", "Transcript");
  await view(page, "#/operations");
  await page.waitForSelector("[data-action=reload]");
  for (let i = 0; i < 40 && (await focus()).text !== "Reload"; i++)
    await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#ask[open]");
  await page.keyboard.press("Escape");
  await page.waitForSelector("#ask:not([open])", { state: "attached" });
  assert.equal((await focus()).text, "Reload");
  await quiet(page);
};

const MARKUP = '<img src=x onerror="window.owned=1">';
const SCRIPT = "<script>window.owned=1</script>";
const HOSTILE = Buffer.concat([Buffer.from("Subject: "), Buffer.from(SCRIPT),
  Buffer.from(" a\0z \xff\xfe", "latin1"),
  Buffer.from(" caf\u00e9 \u202etxt.exe\u202c \u05d0\u05d1\u05d2 \x1b[31m "),
  Buffer.from("x".repeat(700)), Buffer.from("\r\n")]);

cases.hostile = async () => {
  await mail(weir.smtp, { from: `<"${MARKUP.replace(/"/g, "'")}"@e.example>`,
    to: [`<"${SCRIPT}"@x.example>`, "<markup@example.net>"],
    content: [HOSTILE, "", "body"] });
  await mail(weir.smtp, { from: Buffer.concat([Buffer.from('<"'), Buffer.from(
    [0xff, 0xfe, 0xe2, 0x80, 0xae]), Buffer.from('evil"@e.example>')]) });
  await mail(weir.smtp, { from: `<${"long".repeat(60)}@e.example>` });
  const id = await idOf("window.owned=1");
  for (const width of [360, 1280]) {
    const page = await open(browser, weir.url + "#/sessions?q=e.example", {
      viewport: { width, height: 800 } });
    await says(page, ".sessions", "<img src=x onerror='window.owned=1'>");
    await says(page, ".sessions", SCRIPT);
    await page.waitForSelector(".sessions .wire");
    assert.equal(await page.evaluate(() => [...document.querySelectorAll(
      ".wire")].filter((e) => getComputedStyle(e).unicodeBidi !==
      "isolate").length), 0);
    await view(page, "#/session/" + id);
    await says(page, ".lines", `Subject: ${SCRIPT} a\\x00z \\xff\\xfe`);
    await says(page, ".lines", "caf\u00e9");
    await says(page, ".lines", `550 5.1.1 ${MARKUP}`);
    const text = await page.innerText("#view");
    for (const control of ["\0", "\x1b", "\u202e", "\u202c", "\u2066"])
      assert.ok(!text.includes(control), JSON.stringify(control));
    for (const hash of ["#/senders", "#/policies", "#/mx", "#/"]) {
      await view(page, hash);
      assert.ok(await page.evaluate(() => document.documentElement
        .scrollWidth) <= width, `${hash} scrolls sideways at ${width} px`);
    }
    await quiet(page);
    await page.context().close();
  }
};

cases.live = async () => {
  const page = await open(browser, weir.url + "#/sessions?tail=1");
  await says(page, "#link", "Live");
  await mail(weir.smtp, { from: "<live-now@example.org>" });
  await says(page, ".sessions tbody tr", "live-now@example.org");
  await page.click(".sessions tbody a");
  await says(page, "#view", "MAIL FROM:<live-now@example.org>");
  await view(page, "#/");
  await page.waitForFunction(() => /\d/.test(document.querySelector(
    ".tile[data-key=rate] .value").textContent));
  await quiet(page);
};

// What changes comes by itself, and at once: nobody asks anew for 10 s.
cases.reloaded = async () => {
  const page = await open(browser, weir.url + "#/config");
  await says(page, "#view", "Configuration");
  const asked = [];
  page.on("request", (r) => asked.push(new URL(r.url()).pathname));
  process.kill(weir.pid, "SIGHUP");
  for (let i = 0; i < 200 && !asked.includes("/api/v1/config"); i++)
    await new Promise((done) => setTimeout(done, 50));
  assert.ok(asked.includes("/api/v1/config"), asked);
  await quiet(page);
};

cases.group = async () => {
  const page = await open(browser, weir.url + "#/mx");
  await page.click("#view tbody a");
  await page.waitForFunction((g) => document.getElementById("title")
    .textContent === g, weir.group);
  for (const text of ["127.0.0.1", "Why it refuses", "mailbox",
    "What changed"])
    await says(page, "#view", text);
  await quiet(page);
};

// A state, what it rests on, the phases side by side, and the cap.
cases.trouble = async () => {
  const page = await open(browser, weir.slowed);
  await says(page, ".alarms", "example.net has throttled 127.0.0.1");
  await page.click(".alarms a");
  await says(page, "h1", "example.net");
  await says(page, ".verdict", "throttled");
  for (const text of ["Evidence", "It began"])
    await says(page, ".whys, section.card, .card", text);
  await says(page, ".whys .quote", "421 too many, slow down");
  await says(page, ".whys", "is needed");
  await says(page, ".events", "throttled");
  await says(page, "[aria-label='By source address'] tbody", "0 of 50");
  for (const phase of ["connect", "greeting", "ehlo", "mail", "rcpt", "data",
    "final"])
    await page.waitForSelector(`.multiples #chart-mx-${phase} canvas`);
  await view(page, "#/mx");
  await says(page, "#view tbody", "throttled");
  await quiet(page);
};

cases.empty = async () => {
  const page = await open(browser, weir.empty);
  await says(page, "#view", "No policy is configured");
  await says(page, "#view", "No MX has been spoken to yet");
  for (const [hash, text] of [["#/mx", "No MX has been spoken to"],
    ["#/policies", "mode = \"observe\" tries it"],
    ["#/sessions", "No session yet"],
    ["#/session/01ARZ3NDEKTSV4RRFFQ69G5FAV", "not in the record"],
    ["#/operations", "The kernel chooses"]]) {
    await view(page, hash);
    await says(page, "#view", text);
  }
  await quiet(page, (text) => text.includes("404"));
};

cases.gone = async () => {
  const page = await open(browser, weir.gone.url);
  await says(page, "#view", "Running since");
  process.kill(weir.gone.pid, "SIGTERM");
  await says(page, "#link", "No answer");
  await says(page, "#gone", "weir does not answer");
  await says(page, "#age", "old");
  await says(page, "#view", "Running since");
  assert.match(await page.title(), /^\u26a0/);
  await view(page, "#/mx");
  await says(page, "#view", "This cannot be shown: weir does not answer");
  const again = spawn(weir.gone.program, ["-c", weir.gone.config], {
    stdio: "ignore" });
  try {
    await page.waitForFunction(() => document.getElementById("link")
      .textContent === "Live", null, { timeout: 3 * PATIENCE_MS });
    await says(page, "#view", "No MX has been spoken to");
    assert.equal(await page.innerText("#gone"), "");
  } finally {
    again.kill("SIGTERM");
    await once(again, "exit");
  }
  await quiet(page, (text) => text.includes("ERR_"));
};

cases.token = async () => {
  const page = await open(browser, weir.locked.url);
  const field = page.locator("#token-value");
  await field.fill("wrong");
  await field.press("Enter");
  await says(page, "#link", "Token needed");
  await says(page, "#view", "not the one in status.token_file");
  await field.fill(weir.locked.token);
  await field.press("Enter");
  await says(page, "#view", "Running since");
  assert.ok(!await page.isVisible("#token"));
  await view(page, "#/operations");
  await page.click("[data-action=reload]");
  assert.ok(!await page.isVisible("#ask-token"));
  await page.click("#ask-do");
  await says(page, "#done", "The new configuration is in force");
  assert.ok(!(await page.content()).includes(weir.locked.token));
  await page.click("[data-action=suspend]");
  await says(page, "#ask", "Suspend 127.0.0.1?");
  await page.selectOption("#ask-span", "4h");
  await page.click("#ask-do");
  await says(page, "#done", "127.0.0.1 is out of its pools");
  await says(page, "#view", "by hand, until");
  await page.click("[data-action=resume]");
  await page.click("#ask-do");
  await says(page, "#done", "127.0.0.1 is back in its pools");
  await page.waitForSelector("[data-action=suspend]");
  for (const text of ["reload", "address=127.0.0.1 for=4h",
    "resume-address"])
    await says(page, "[aria-label=Operations]", text);
  await says(page, "#link", "Live");
  await quiet(page, (text) => text.includes("401"));
};

cases.refused = async () => {
  const page = await open(browser, weir.url + "#/operations");
  await page.click("[data-action=reload]");
  await page.click("#ask-do");
  await says(page, "#ask-error", "It was not done");
  await page.click("#ask-cancel");
  assert.ok(!await page.isVisible("#ask"));
  await says(page, "[aria-label=Operations] .badge.bad", "refused");
  await quiet(page, (text) => text.includes("403") || text.includes("401"));
};

// What the real weir says, changed by change() to what went wrong.
async function pretend(page, path, change) {
  await page.route((url) => url.pathname === "/" + path, async (route) => {
    const headers = { ...route.request().headers() };
    delete headers["if-none-match"];
    const response = await route.fetch({ headers });
    const body = await response.json();
    await route.fulfill({ json: change(body) ?? body });
  });
}

cases.search_button_cut_off = async () => {
  for (const width of [360, 1280, 1400, 1600]) {
    const page = await open(browser, weir.url + "#/sessions", {
      viewport: { width, height: 800 } });
    await says(page, "#view tbody", "anna@example.org");
    const [inner, outer] = await page.evaluate(() => [".buttons .primary",
      ".search"].map((of) => document.querySelector(of)
      .getBoundingClientRect().toJSON()));
    assert.ok(inner.left >= outer.left && inner.right <= outer.right &&
      inner.bottom <= outer.bottom, `${width} px`);
    assert.ok(await page.evaluate(() => {
      const e = document.querySelector(".buttons .primary");
      return e.scrollWidth <= e.clientWidth;
    }), `${width} px: its word is cut`);
    await quiet(page);
    await page.context().close();
  }
};

cases.underscore_of_a_policy_lost = async () => {
  const page = await open(browser, weir.url);
  await pretend(page, "api/v1/report", (report) => {
    Object.assign(report.rows[0], { decided_by: "block_senders", behaviour:
      "was refused by policy block_senders" });
  });
  await view(page, "#/senders");
  const where = "[aria-label='Refusals by sender, MX group and code'] tbody";
  await says(page, where, "was refused by policy block_senders");
  const rects = await page.evaluate((of) => {
    const words = [...document.querySelectorAll(of + " [data-label=By] .wire")]
      .find((e) => e.textContent === "block_senders");
    return words.getClientRects().length;
  }, where);
  assert.equal(rects, 1, "it stands on more than one line");
  await quiet(page);
};

// An MX that refuses nine of ten for their content: nothing is wrong with the
// address, and still it does not reject 0 %.
cases.rejects_nearly_all = async () => {
  const page = await open(browser, weir.empty);
  const [entry] = await get("api/v1/mx");
  Object.assign(entry, { state: "normal", deferred: 0, rejected: 0, weight: 1,
    results: { ...entry.results, delivered: 10, deferred: 0, rejected: 90 } });
  await pretend(page, "api/v1/mx", () => [entry]);
  await pretend(page, "api/v1/status", (s) => { s.mx = [entry]; });
  await view(page, "#/mx");
  await says(page, "#view td[data-label=Rejected]", "90\u202f%");
  await view(page, "#/");
  await says(page, "#view td[data-label=Rejected]", "90\u202f%");
  const real = await open(browser, weir.url + "#/mx/" + weir.group);
  await says(real, "[aria-label='By source address'] thead",
    "About the address");
  await quiet(page);
};

// weir's own cap, not the MX.
cases.held_back_by_the_cap = async () => {
  const found = (await get("api/v1/sessions", weir.capped)).find((s) =>
    s.cause === "connect_failed");
  const page = await open(browser, weir.capped + "#/sessions");
  assert.ok(found.capped);
  await says(page, ".sessions tbody", "held back by weir\u2019s own cap");
  assert.equal(await page.getByText("held back by").count(), 1);
  await view(page, "#/session/" + found.id);
  await says(page, "#view .verdict", "held back by weir itself: " +
    "deliverability.cap");
  await says(page, "#view .facts", "not tried: ");
  await view(page, "#/senders");
  await says(page, "#view tbody", "weir keeps to deliverability.cap");
  await quiet(page);
};

cases.to_nobody = async () => {
  const page = await open(browser, weir.url + "#/session/" +
    await idOf("turned-away@example.org"));
  await says(page, "#view .verdict", "turned-away@example.org, no recipient " +
    "accepted");
  await says(page, "[aria-label=Messages] tbody", "refused before any " +
    "recipient");
  await quiet(page);
};

cases.took_0 = async () => {
  const page = await open(browser, weir.url);
  await pretend(page, "api/v1/sessions", (list) => {
    list[0].duration_ms = null;
  });
  await view(page, "#/sessions");
  await says(page, "#view tbody", "anna@example.org");
  assert.equal(await page.locator("td[data-label=Took]").first().innerText(),
    "\u2013");
  await quiet(page);
};

cases.newline_between_errors = async () => {
  for (const newline of ["\n", "\\n"]) {
    const page = await open(browser, weir.url);
    await pretend(page, "api/v1/operations", () => ({ operations: [{ id: 1,
      occurred_at: "2026-11-22T10:00:00.000000Z", operation: "reload",
      argument: null, by: "control uid 0", result: "weir.conf:3: one" +
      newline + "weir.conf:9: two" }], next: null }));
    await view(page, "#/operations");
    const where = "[aria-label=Operations] tbody";
    await says(page, where + " .badge.bad", "failed");
    assert.deepEqual(await page.locator(where + " .badge.bad ~ .wire")
      .allInnerTexts(), ["weir.conf:3: one", "weir.conf:9: two"]);
    await quiet(page);
  }
};

cases.two_points_as_a_slope = async () => {
  const page = await open(browser, weir.url);
  const step = 600, now = Math.floor(Date.now() / 6e5) * 6e8;
  await pretend(page, "api/v1/mx/" + weir.group, (g) => {
    const at = (n, delivered) => ({ at: "", from_us: now - n * step * 1e6,
      delivered, deferred: 0, rejected: 0, unreached: 0, phases: {} });
    Object.assign(g, { step_s: step, history: [at(3, 40), at(2, 0), at(1, 0),
      at(0, 4)] });
  });
  await view(page, "#/mx/" + weir.group + "?hours=24");
  await page.waitForSelector("#chart-mx-outcomes canvas");
  const [ms, points, radius] = await page.evaluate(() => {
    const chart = Chart.getChart(document.querySelector(
      "#chart-mx-outcomes canvas"));
    const [set] = chart.data.datasets;
    return [chart.scales.x.max - chart.scales.x.min, set.data.map((p) => p.y),
      set.pointRadius];
  });
  assert.ok(ms >= 12 * step * 1000, ms);
  assert.deepEqual(points.slice(0, 3), [4, null, null]);
  assert.ok(points[3] > 0);
  assert.deepEqual(radius.map((r) => r > 0), [true, false, false, true]);
  await quiet(page);
};

// /status has the 30 worst pairs; there may be more alarms.
cases.alarms_do_not_agree = async () => {
  const page = await open(browser, weir.slowed);
  await says(page, "#alarms", "1 alarm");
  const [a] = (await get("api/v1/status", weir.slowed)).alarms;
  await pretend(page, "api/v1/status", (s) => {
    s.alarms = Array.from({ length: 40 }, (_, i) => ({ ...a, name:
      `mx${i}.example` }));
  });
  await says(page, "#alarms", "40 alarms");
  await view(page, "#/config");
  await view(page, "#/");
  assert.equal(await page.locator(".alarms li").count(), 40);
  const last = page.locator(".alarms a").last();
  assert.equal(await last.getAttribute("href"), "#/mx/mx39.example");
  assert.match(await last.evaluate((e) => getComputedStyle(e)
    .textDecorationLine), /underline/);
  await quiet(page);
};

// A page left open keeps one of weir's 16 streams.
await run(cases, only, () => Promise.all(browser.contexts().map((one) =>
  one.close())));
await browser.close();
