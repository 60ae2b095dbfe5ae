// A weir that never was: serves the page from the source tree and made-up
// answers of its API, for whoever works on the page and for measurements.
//
//	node tests/browser/fake_api.mjs [busy|incident|empty] [PORT] [GROUPS]
//
// Prints its address. The tests of the page run against a real weir.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const PAGE = new URL("../../src/service/page/", import.meta.url);
const CHART = "/usr/share/javascript/chart.js/chart.min.js";
const TYPES = { html: "text/html", css: "text/css", js: "text/javascript" };
const CSP = "default-src 'none'; style-src 'self'; script-src 'self'; " +
  "connect-src 'self'; img-src 'self' data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";
const GROUPS = ["google.com", "outlook.com", "yahoodns.net", "icloud.com",
  "gmx.net", "web.de", "t-online.de", "orange.fr", "mail.ru", "comcast.net",
  "zoho.com", "protonmail.ch", "mimecast.com", "pphosted.com", "ovh.net",
  "hornetsecurity.com", "messagelabs.com", "barracudanetworks.com",
  "strato.de", "ionos.de", "naver.com", "qq.com", "163.com", "libero.it",
  "seznam.cz", "wp.pl", "rambler.ru", "bigpond.com", "xtra.co.nz",
  "customer.example", "partner.example", "192.0.2.0/24"];
const PHASES = { connect: 11e3, greeting: 14e3, ehlo: 12e3, tls: 24e3,
  mail: 12e3, rcpt: 19e3, data: 13e3, body: 4e3, final: 180e3, quit: 11e3 };
const SOURCES = ["203.0.113.10", "203.0.113.11", "2001:db8:a::10"];

let seed = 7;
function random() {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed / 2147483648;
}
const between = (a, b) => a + random() * (b - a);
const pick = (list) => list[Math.floor(random() * list.length)];
const utc = (ms, us = 0) => new Date(ms).toISOString().replace("Z",
  String(us).padStart(3, "0") + "Z");

// ------------------------------------------------------------------- world

export function world(kind, groups = GROUPS.length) {
  seed = 7;
  const w = { kind, started: Date.now() - 93784e3, sent: 0,
    names: Array.from({ length: groups }, (_, i) => GROUPS[i] ||
      `mx-group-${i}.example`), operations: [], suspended: new Set() };
  if (kind !== "empty")
    w.operations = [
      { occurred_at: utc(Date.now() - 4e6), operation: "reload",
        argument: null, by: "control", result: "ok" },
      { occurred_at: utc(Date.now() - 9e6), operation: "suspend-address",
        argument: "203.0.113.11", by: "10.1.0.5", result: "ok" },
      { occurred_at: utc(Date.now() - 95e5), operation: "reload",
        argument: null, by: "control uid 0", result:
          "weir.conf:3: workers: must be 1 to 64\nweir.conf:9: no such key" },
    ];
  w.mx = kind === "empty" ? [] : w.names.flatMap((group, i) =>
    SOURCES.slice(0, i % 3 === 0 ? 3 : i % 2 + 1).map((source, j) =>
      entry(w, group, source, i, j)));
  return w;
}

function phases(factor) {
  return Object.fromEntries(Object.entries(PHASES).map(([name, us]) => [name,
    { count: 400, p50_us: Math.round(us * factor * between(.8, 1.2)),
      p90_us: Math.round(us * factor * 1.8),
      p99_us: Math.round(us * factor * between(3, 6)) }]));
}

function entry(w, group, source, i, j) {
  const bad = w.kind === "incident" && (i === 1 || (i === 5 && j === 0));
  const state = bad ? i === 1 ? "throttled" : "blocked" :
    i === 4 ? "suspect" : i === 9 ? "recovering" : "normal";
  const deferred = bad && i === 1 ? .47 : i === 4 ? .12 : between(0, .02);
  const rejected = bad && i === 5 ? .93 : between(0, .03);
  const sent = Math.round(9000 / (i + 1) * between(.5, 1));
  const refused = i === 3 ? .9 : rejected;      // of mailboxes, a spammer's
  return { group, source, state, open: Math.floor(between(0, 40 / (i + 1))),
    deferred, rejected, results: { delivered: Math.round(sent * (1 - deferred -
      refused)), deferred: Math.round(sent * deferred), rejected:
      Math.round(sent * refused), refused: 0, timed_out: 0, closed: 0 },
    weight: Math.round(24000 / (i + 1) * between(.5, 1)),
    data_reply_p50_ms: Math.round(between(9, 60)),
    state_since: utc(Date.now() - (bad ? 1260e3 : 7e7)),
    attribution: bad ? i === 5 ? "source" : "group" : "none",
    sender_domain: null, evidence: bad ? evidence(i === 1) : null,
    cap: bad ? { limit: 4, most: 16, open: 4, refused: 212 } : null, min_rtt_us: Math.round(between(4e3, 120e3)),
    detectors: { replies: [
      { measure: "throttles", state: i === 1 ? state : "normal",
        score: i === 1 && bad ? 41.2 : .1, threshold: 9.2, hits: i === 1 ? 214
          : 0, of: 455, rate: deferred, usual: .001, limit: .05 },
      { measure: "deferrals", state: "normal", score: .4, threshold: 9.2,
        hits: 12, of: 455, rate: .02, usual: .011, limit: .2 }],
    latency: [{ measure: "slowness", phase: "final", state: "normal",
      score: 1.1, threshold: 12, recent_us: 191e3, usual_us: 178e3,
      limit_us: 712e3 }],
    connections: [] },
    categories: { throttle: bad && i === 1 ? 214 : 0, greylist: 3 + i % 5,
      blocklist: bad && i === 5 ? 880 : 0, content: i % 7,
      authentication: i % 3, mailbox: 40 % (i + 2), other: i % 4 },
    phases: phases(bad ? 3 : 1), apart: {} };
}

function evidence(throttled) {
  return throttled ? { detector: "replies", words: "214 of 455 replies said " +
    "too much or too fast, usually 0.1 %", measure: "throttles", score: 41.2,
    threshold: 9.2, hits: 214, of: 455, rate: .47, usual: .001, limit: .05,
    since: utc(Date.now() - 1500e3), attribution: "group", code: 421,
    text: "4.7.0 [TSS04] Messages from 203.0.113.10 temporarily deferred" } :
    { detector: "replies", words: "880 of 946 replies spoke of a blocklist " +
      "or bad repute, usually 0.2 %", measure: "blocks", score: 88.1,
      threshold: 9.2, hits: 880, of: 946, rate: .93, usual: .002, limit: .3,
      since: utc(Date.now() - 1500e3), attribution: "source", code: 554,
      text: "5.7.1 Transaction failed: reputation of the sending IP" };
}

// ----------------------------------------------------------------- figures

function day(ms) {          // mail follows the day
  const hour = ms / 36e5 % 24;
  return 1 + .75 * Math.sin((hour - 8) / 24 * 2 * Math.PI);
}

function point(w, ms, seconds) {
  const n = w.kind === "empty" ? 0 : 42 * day(ms) * between(.8, 1.2) * seconds;
  const wrong = w.kind === "incident" && ms > Date.now() - 1260e3;
  const deferred = n * (wrong ? .31 : .03);
  const rejected = n * (wrong ? .12 : .02);
  return { at_us: Math.round(ms * 1000), delivered: Math.round(n - deferred -
    rejected), deferred: Math.round(deferred), rejected: Math.round(rejected),
    discarded: Math.round(n * .002), aborted: Math.round(n * .003),
    connections: Math.round(n * .7), client_bytes: Math.round(n * 48e3),
    sessions_open: Math.round(n / seconds * (wrong ? 4.2 : 1.1)),
    final_p50_us: n ? Math.round(between(150e3, 190e3) * (wrong ? 3 : 1)) : 0,
    final_p99_us: n ? Math.round(between(6e5, 9e5) * (wrong ? 6 : 1)) : 0,
    connect_p50_us: n ? Math.round(between(9e3, 13e3)) : 0,
    policy_errors: wrong ? 4 : 0 };
}

function series(w, minutes) {
  const step_s = minutes <= 60 ? 10 : 60, points = [];
  const now = Math.floor(Date.now() / 1000 / step_s) * step_s * 1000;
  for (let at = now - minutes * 60e3; at <= now; at += step_s * 1000)
    points.push(point(w, at, step_s));
  return { step_s, from: points[0].at_us, points };
}

function policy(w, name, more = {}) {
  const n = 182340;
  return { name, endpoint: `unix:/run/weir/${name}.sock`, mode: "enforce",
    stage: 10, required: false, state: "ready", ready_workers: 4,
    breaker: "closed", software: "weir-policy (Python)",
    version: "2026-11-20", requests: n, notifications: 4100,
    events_unsent: 0, connects: 4, sessions_resumed: 0,
    latency_p50_us: 740, latency_p90_us: 1900, latency_p99_us: 8200,
    pong_us: 210, late_p50_us: 0, late_p99_us: 0,
    actions: { relay: n - 5200, reject: 4100, tempfail: 900, discard: 190,
      disconnect: 10 },
    would_change: { relay: 0, reject: 0, tempfail: 0, discard: 0,
      disconnect: 0 },
    errors: { connect: 0, handshake: 0, timeout: 3, protocol: 0,
      invalid_decision: 0, overload: 0, circuit_open: 0 },
    answers_dropped: { kind: 0, session: 0, seq: 0, seq_zero: 0, empty: 0,
      late: 3 }, ...more };
}

function policies(w) {
  if (w.kind === "empty")
    return [];
  const wrong = w.kind === "incident";
  return [policy(w, "reputation", { required: true }),
    policy(w, "antivirus", { stage: 20, latency_p50_us: 21400,
      latency_p90_us: 61e3, latency_p99_us: 190e3, software: "clamd bridge",
      ...(wrong ? { breaker: "open", errors: { connect: 12, handshake: 0,
        timeout: 4100, protocol: 2, invalid_decision: 0, overload: 11,
        circuit_open: 21030 } } : {}) }),
    policy(w, "new-rules", { mode: "observe", stage: 30,
      would_change: { relay: 812, reject: 96, tempfail: 0, discard: 0,
        disconnect: 0 }, ...(wrong ? { state: "down", ready_workers: 0 } :
        {}) })];
}

function sources(w) {
  const a = (address, more) => ({ address, watched: true, up: true, why: "",
    since: utc(w.started), open: 12, connections: 81220,
    suspended: w.suspended.has(address), suspended_until:
      w.suspended.has(address) ? utc(Date.now() + 36e5) : null, ...more });
  return w.kind === "empty" ? { pools: [], default: [] } : { pools: [
    { name: "clean", ehlo_name: "out1.example.com", addresses: [
      a(SOURCES[0], { weight: 3 }), a(SOURCES[1], { weight: 1, ...(w.kind ===
        "incident" ? { up: false, why: "interface eth1 is down" } : {}) })] },
    { name: "bulk", ehlo_name: "news.example.com", addresses: [
      a(SOURCES[2], { weight: 1 })] }], default: [] };
}

function alarms(w) {
  const of = (about, name, text) => ({ about, name, text });
  return w.kind !== "incident" ? [] : [
    of("policy", "new-rules", "down: 0 of 4 workers are connected"),
    of("policy", "antivirus", "its circuit breaker is open"),
    of("source", SOURCES[1], "interface eth1 is down"),
    ...w.mx.filter((m) => ["throttled", "blocked"].includes(m.state)).map(
      (m) => of("mx", m.group, `${m.state}: mail from ${m.source}`))];
}

function status(w) {
  const up = (Date.now() - w.started) / 1000, n = w.kind === "empty" ? 0 :
    Math.round(up * 40);
  const part = (share) => Math.round(n * share);
  const latency = (p50, p99) => ({ count: n, latency_p50_us: n ? p50 : 0,
    latency_p90_us: n ? p50 * 2 : 0, latency_p99_us: n ? p99 : 0 });
  return { counters: { sessions_open: w.kind === "empty" ? 0 : w.kind ===
    "incident" ? 214 : 47, connections: part(.7), loops: 0, not_allowed: 0,
    over_limit: 0, proxy_header: 0, client_bytes: n * 48e3,
    upstream_bytes: n * 900, commands: n * 8, transactions: n,
    delivered: part(.94), deferred: part(.034), rejected: part(.021),
    discarded: part(.002), aborted: part(.003), tls_upstream: part(.6),
    tls_failed: part(.0004), tls_injection: 0, tls_fallback: 2,
    connect_failed: part(.0008), timeout_upstream: part(.0002),
    record_dropped: 0, capped: w.kind === "incident" ? 212 : 0 },
    latencies: { connect: latency(11200, 46000), data_reply: latency(14100,
      61000), final_reply: latency(178000, 842000) },
    policies: policies(w), instance: "01FAKE", version: "0.1.0",
    hostname: "mail-out-1.example.net", started_at: utc(w.started),
    now: utc(Date.now()), uptime_s: Math.round(up), ready: true,
    why_not: "", alarms: alarms(w), workers: [0, 1, 2, 3].map((i) => ({
      sessions_open: 9 + i,
      connections: part(.17), client_bytes: n * 12e3, upstream_bytes:
        n * 200, record_dropped: 0, transactions: part(.25) })),
    listeners: [{ name: "outbound", address: "127.0.0.1:10025",
      mode: "redirect", destination: "" }, { name: "smarthost",
      address: "127.0.0.1:2525", mode: "fixed",
      destination: "192.0.2.25:25" }],
    record: { on: true, sqlite: { on: true, ok: true, error: "" },
      json: { on: false, ok: false, error: "" }, written: n, dropped: 0,
      failed: 0, queued: w.kind === "incident" ? 41 : 0 },
    sources: sources(w), mx: [...w.mx].sort((a, b) => (a.state === "normal")
      - (b.state === "normal") || b.weight - a.weight).slice(0, 30) };
}

// ---------------------------------------------------------------- sessions

const PEOPLE = ["anna.lindqvist", "billing", "newsletter", "noreply",
  "j.okonkwo", "support", "alerts", "orders"];

function session(w, at) {
  const i = Math.floor(between(0, w.names.length));
  const outcome = random() < .9 ? "delivered" : pick(["deferred", "rejected",
    "aborted", "discarded"]);
  return { id: "01M8" + Math.floor(at).toString(32).toUpperCase().padStart(12,
    "0").replace(/[ILOU]/g, "Z") + String(w.sent++ % 1e10).padStart(10, "0"),
    occurred_at: utc(at, Math.floor(between(0, 999))),
    client: `10.1.4.${Math.floor(between(2, 60))}`,
    destination: `198.51.100.${i}`, listener: "outbound",
    sender: `${pick(PEOPLE)}@example.com`, recipients:
      `${pick(PEOPLE)}${Math.floor(between(1, 900))}@${w.names[i]}`,
    outcome, code: { delivered: 250, deferred: 451, rejected: 550,
      discarded: 250, aborted: null }[outcome],
    cause: outcome === "aborted" ? "client_gone" : "quit", transactions: 1,
    duration_ms: between(180, 2400), tls: random() < .92 ? "TLS1.3" : null,
    connect_error: null, capped: false,
    mx_group: w.names[i] };
}

function sessions(w, query) {
  if (w.kind === "empty")
    return [];
  const last = Number(query.get("before")) / 1000 || Date.now();
  return Array.from({ length: Number(query.get("limit")) || 50 },
    (_, i) => session(w, last - 800 - i * 830)).filter((s) =>
    ["outcome", "sender"].every((key) => !query.get(key) ||
      s[key].includes(query.get(key))));
}

function oneSession(w, id) {
  const s = session(w, Date.now() - 6e4), start = Date.now() - 6e4;
  let us = 0;
  const lines = [], line = (gap, direction, data) => {
    us += gap;
    lines.push({ direction, data: data + "\\r\\n", occurred_at:
      utc(start + Math.floor(us / 1000), Math.floor(us % 1000)) });
  };
  line(22400, "<-", "220 mx1.google.com ESMTP ready");
  line(310, ">|", "EHLO mail-out-1.example.net");
  line(60, "|>", "EHLO mail-out-1.example.net");
  line(12100, "|<", "250-mx1.google.com at your service");
  line(1, "|<", "250 STARTTLS");
  line(20, "|>", "STARTTLS");
  line(11700, "|<", "220 2.0.0 Ready to start TLS");
  line(26400, "--", "TLS1.3 AES-256-GCM with the MX, verified");
  line(9000, "<|", "250-mx1.google.com at your service");
  line(1, "<|", "250 SIZE 10240000");
  line(700, "->", `MAIL FROM:<${s.sender}>`);
  line(12600, "<-", "250 2.1.0 OK");
  line(210, "->", `RCPT TO:<${s.recipients}>`);
  line(24100, "<-", "250 2.1.5 OK");
  line(150, "->", "DATA");
  line(13700, "<-", "354 Go ahead");
  line(400, "->", "Subject: Your order 4711");
  line(8100, "--", "content: 48213 octets");
  line(221000, "<-", "250 2.0.0 OK 1763800000 d9443c01a7336 - gsmtp");
  line(400, "->", "QUIT");
  line(11800, "<-", "221 2.0.0 closing connection");
  const at = utc(start + 110, 120);
  return { ...s, id, occurred_at: utc(start), outcome: "delivered", code: 250,
    cause: "quit", duration_ms: us / 1000, client_port: 41822,
    destination_port: 25, source: SOURCES[0], source_port: 52114,
    upstream: s.destination, upstream_port: 25, upstream_reused: null,
    connect_error: null, recipients_text: s.recipients, transaction_count: 1,
    client_bytes: 49120, upstream_bytes: 612, elapse_ms: 140,
    process: { uid: 33, pid: 4711, cgroup: "/system.slice/php-fpm.service",
      command: "php-fpm: pool shop" },
    timings: { connect_us: 11400, client_tls_handshake_us: null,
      upstream_tls_handshake_us: 26400, duration_us: us },
    tls: { version: "TLS1.3", cipher: "AES-256-GCM", bits: 256,
      verified: true, resumed: false, verify_error: null,
      subject: "CN=mx.google.com", issuer: "CN=WR2", error: null,
      handshake_us: 26400 }, client_tls: null, tls_results: [{ number: 0,
      occurred_at: at, result: "success", policy: "sts",
      domain: "google.com", mx: "mx1.google.com", reason: null }],
    rehomings: [], transactions: [{ id: "01M8T", occurred_at: at,
      sender: s.sender, outcome: "delivered", decided_by: "mx",
      recipients: 1, accepted: 1, size: 48213, code: 250, enhanced: "2.0.0",
      reply: "OK 1763800000 d9443c01a7336 - gsmtp", data_us: 51000,
      reply_us: 221000, duration_us: 281000, held: false, rewritten: null,
      source: SOURCES[0], upstream: s.destination, upstream_port: 25,
      mx_group: "google.com", category: null }],
    recipients: [{ transaction_id: "01M8T", number: 0, address: s.recipients,
      accepted: true, decided_by: "mx", code: 250, enhanced: "2.1.5",
      reply: "OK", latency_us: 19100, rewritten: null, category: null }],
    decisions: [{ number: 0, transaction_id: "01M8T", occurred_at: at,
      policy: "reputation", version: "2026-11-20", phase: "rcpt",
      recipient: 0, action: "relay", result: "relay", code: null,
      enhanced: null, reply: null, delay_ms: null, rule: "default",
      score: .2, reason: null, annotations: [["tenant", "shop"]],
      latency_us: 4870, applied: true, observed: false, error: null,
      error_text: null, would_change: false }], lines };
}

// ------------------------------------------------------------------ others

function group(w, name, hours) {
  const list = w.mx.filter((m) => m.group === name);
  if (list.length === 0)
    return null;
  const wrong = list[0].state === "throttled", now = Date.now();
  const step = hours <= 24 ? hours * 6e4 / 2 : 36e5, history = [];
  // One of them has been known for 20 minutes only.
  const begun = Math.floor((now - (name === GROUPS[2] ? 12e5 : hours * 36e5))
    / step) * step;
  for (let at = begun; at < now; at += step) {
    const late = wrong && at > now - 1260e3 * Math.max(1, hours / 2);
    const n = Math.min(step, now - at) / 6e4 * 30 * day(at) * between(.8, 1.2);
    history.push({ at: utc(at), from_us: Math.round(at * 1000),
      delivered: Math.round(n * (late ? .5 : .97)), deferred:
        Math.round(n * (late ? .47 : .02)), rejected: Math.round(n * .01),
      unreached: 0, phases: Object.fromEntries(Object.entries(phases(
        late ? 3 : 1)).map(([k, p]) => [k, { p50_us: p.p50_us,
        p99_us: p.p99_us }])) });
  }
  return { group: name, state: list[0].state, sources: list,
    phases: list[0].phases, history, step_s: step / 1000, transitions: list[0].state === "normal" ?
      [] : [{ occurred_at: utc(now - 1260e3), source: list[0].source,
        from: "suspect", to: list[0].state, evidence: evidence(wrong) },
      { occurred_at: utc(now - 1500e3), source: list[0].source,
        from: "normal", to: "suspect", evidence: { ...evidence(wrong),
          words: "21 of 60 were deferred, usually 1.1 %", score: 6.1,
          threshold: 4.6, attribution: "unknown", code: 0 } }] };
}

function top(w, query) {
  const by = query.get("by") || "senders", total = w.kind === "empty" ? 0 :
    128400;
  const name = (i) => by.includes("domain") ? w.names[i % w.names.length] :
    by === "clients" ? `10.1.4.${i + 2}` : by === "codes" ? String(250 + i) :
    `${PEOPLE[i % PEOPLE.length]}${i > 7 ? i : ""}@example.com`;
  return { by, since: query.get("since"), total, entries: total === 0 ? [] :
    Array.from({ length: 25 }, (_, i) => {
      const count = Math.round(31000 / (i + 1));
      return { key: name(i), count, error: i > 14 ? 21 : 0,
        delivered: Math.round(count * (i === 3 ? .5 : .96)), deferred:
          Math.round(count * .02), rejected: Math.round(count *
          (i === 3 ? .48 : .02)), bytes: count * 48000 };
    }) };
}

function report(w) {
  const row = (sender, mx_group, code, enhanced, category, count, text) => ({
    sender, mx_group, decided_by: "mx", code, enhanced, category, count,
    behaviour: { mailbox: "writes to mailboxes that do not exist",
      throttle: "sends too much", blocklist: "address on a blocklist",
      authentication: "no SPF or DKIM" }[category], messages: count, recipients:
      Math.round(count * .8), first_at: utc(Date.now() - 8e7), last_at:
      utc(Date.now() - 9e4), example_text: text,
    example_session: "01M80DEDF5675KB33T0VEV60FE" });
  const rows = w.kind === "empty" ? [] : [
    row("newsletter@example.com", "outlook.com", 550, "5.1.1", "mailbox", 412,
      "Requested action not taken: mailbox unavailable"),
    row("newsletter@example.com", "yahoodns.net", 421, "4.7.0", "throttle",
      214, "[TSS04] Messages from 203.0.113.10 temporarily deferred"),
    row("noreply@example.com", "web.de", 554, "5.7.1", "blocklist", 88,
      "Transaction failed: reputation of the sending IP address"),
    row("alerts@example.com", "google.com", 550, "5.7.26", "authentication",
      31, "This mail has been blocked because the sender is " +
      "unauthenticated"),
    { ...row("shop@example.com", null, 550, "5.7.1", null, 12, "Not here"),
      decided_by: "block_senders",
      behaviour: "was refused by policy block_senders" }];
  return { from: utc(Date.now() - 864e5), transactions: 128400, delivered:
    127000, deferred: 600, rejected: 800, unreached: 2, rows };
}

function config() {
  const key = (name, value, normal, line) => ({ key: name, value, default:
    normal, is_default: value === normal, line });
  return { file: "/etc/weir/weir.conf", loaded_at: utc(Date.now() - 4e6),
    text: "", keys: [key("workers", "4", "0", 1), key("hostname",
      "mail-out-1.example.net", "", 2), key("user", "weir", "weir", 0),
    key("log_level", "info", "info", 0), key("listener.outbound.address",
      "127.0.0.1:10025", "", 5), key("listener.outbound.mode", "redirect",
      "redirect", 6), key("upstream.tls", "may", "may", 0),
    key("record.retention", "90d", "30d", 22), key("status.address",
      "127.0.0.1:8025", "127.0.0.1:8025", 0)] };
}

// ------------------------------------------------------------------ server

function events(w, request, response) {
  response.writeHead(200, { "Content-Type": "text/event-stream",
    "Cache-Control": "no-store" });
  const send = (type, data) => response.write(`event: ${type}\ndata: ` +
    JSON.stringify(data) + "\n\n");
  const timer = setInterval(() => {
    send("tick", { ...point(w, Date.now(), 1), alarms: 0 });
    if (w.kind !== "empty") {
      for (let i = 0; i < 3; i++)
        send("session", session(w, Date.now()));
      send("omitted", { n: 22 });
    }
  }, 1000);
  request.on("close", () => clearInterval(timer));
}

function post(w, url) {
  const operation = url.pathname.split("/").at(-1);
  const argument = url.searchParams.get("address");
  if (operation === "suspend-address")
    w.suspended.add(argument);
  else if (operation === "resume-address")
    w.suspended.delete(argument);
  w.operations.unshift({ occurred_at: utc(Date.now()), operation, argument,
    by: "127.0.0.1", result: "ok" });
  return { ok: true };
}

function answer(w, url) {
  const path = url.pathname.replace("/api/v1/", ""), q = url.searchParams;
  if (path.startsWith("sessions/"))
    return oneSession(w, path.slice(9));
  if (path.startsWith("mx/"))
    return group(w, decodeURIComponent(path.slice(3)),
      Number(q.get("hours")) || 24);
  return { status: () => status(w), policies: () => policies(w),
    sources: () => sources(w), mx: () => w.mx, config, series: () =>
      series(w, Number(q.get("minutes")) || 60),
    sessions: () => sessions(w, q), top: () => top(w, q),
    report: () => report(w), operations: () => ({ operations: w.operations,
      next: null }) }[path]?.() ?? null;
}

function file(path) {
  const name = path === "/" ? "page.html" : path.slice(1);
  if (!/^[a-z]+\.(html|css|js)$/.test(name))
    return null;
  return [readFileSync(name === "chart.js" ? CHART : new URL(name, PAGE)),
    TYPES[name.split(".")[1]] + "; charset=utf-8"];
}

export function serve(w, port = 0) {
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/events")
      return events(w, request, response);
    const api = url.pathname.startsWith("/api/");
    const body = api ? request.method === "POST" ? post(w, url) :
      answer(w, url) : file(url.pathname);
    response.writeHead(body === null ? 404 : 200, { "Content-Type": api ||
      body === null ? "application/json" : body[1],
      "Content-Security-Policy": CSP, "Cache-Control": "no-store" });
    response.end(body === null ? '{"error":"not here"}' : api ?
      JSON.stringify(body) : body[0]);
  });
  return new Promise((done) => server.listen(port, "127.0.0.1", () =>
    done({ url: `http://127.0.0.1:${server.address().port}/`,
      close: () => { server.closeAllConnections(); server.close(); } })));
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [kind = "busy", port = "0", groups] = process.argv.slice(2);
  console.log((await serve(world(kind, Number(groups) || undefined),
    Number(port))).url);
}
