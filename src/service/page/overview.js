/*
 * Part 2: what stands above the sessions, drawn from /api/v1/status.
 */
'use strict';

const TILES = [
	{ key: 'sessions_open', name: 'Open sessions', gauge: true },
	{ key: 'delivered', name: 'Delivered' },
	{ key: 'deferred', name: 'Deferred' },
	{ key: 'rejected', name: 'Rejected' },
	{ key: 'discarded', name: 'Discarded' },
	{ key: 'aborted', name: 'Aborted' },
];
const HISTORY_MAX = 60;		/* polls: two minutes */

/* Counters of earlier polls: rates are made here, not by weir. */
const past = { instance: null, polls: [] };

function remember(status) {
	const at = toDate(status.now).getTime() / 1000;
	const last = past.polls[past.polls.length - 1];
	if (past.instance !== status.instance ||
		(last !== undefined && at < last.at))
		past.polls = [];
	past.instance = status.instance;
	if (last === undefined || at > last.at)
		past.polls.push({ at, counters: status.counters });
	if (past.polls.length > HISTORY_MAX)
		past.polls.shift();
}

/* One number per poll: a gauge's value, or a counter's rate since the last. */
function series(tile) {
	const p = past.polls;
	if (tile.gauge)
		return p.map((poll) => poll.counters[tile.key]);
	return p.slice(1).map((poll, i) => Math.max(0,
		poll.counters[tile.key] - p[i].counters[tile.key]) /
		(poll.at - p[i].at));
}

/* Over the last ten seconds or so, so that it can be read. */
function recentRate(tile) {
	const p = past.polls;
	if (p.length < 2)
		return null;
	const last = p[p.length - 1];
	const first = p[Math.max(0, p.length - 6)];
	return Math.max(0, last.counters[tile.key] -
		first.counters[tile.key]) / (last.at - first.at);
}

function sparkline(values) {
	const width = 180, height = 36, top = Math.max(...values, 0) || 1;
	const step = width / (HISTORY_MAX - 1);
	const left = width - (values.length - 1) * step;
	const points = values.map((v, i) => (left + i * step).toFixed(1) +
		',' + (height - 2 - v / top * (height - 4)).toFixed(1));
	const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`,
		preserveAspectRatio: 'none', 'aria-hidden': 'true',
		class: 'spark' });
	if (points.length > 1)
		drawing.append(
			svg('path', { class: 'area', d: `M${left.toFixed(1)},` +
				`${height}L${points.join('L')}L${width},` +
				`${height}Z` }),
			svg('path', { class: 'line', d: 'M' +
				points.join('L') }));
	return drawing;
}

function drawTiles(counters) {
	fill('tiles', TILES.map((tile) => el('div.tile.' + tile.key, null,
		el('div.name', null, tile.name),
		el('div.value', { title: integer.format(counters[tile.key]) },
			count(counters[tile.key])),
		el('div.rate.muted', null, tile.gauge ? 'now' :
			rate(recentRate(tile))),
		sparkline(series(tile)))));
}

/* Every state that somebody should act on, in words. */
function problems(status) {
	const list = [], c = status.counters, r = status.record;
	if (!status.ready)
		list.push(['bad', 'weir is not ready: ' + status.why_not]);
	for (const p of status.policies) {
		if (p.state !== 'ready')
			list.push([p.required ? 'bad' : 'warn',
				`Policy ${p.name} is ${STATES[p.state]} ` +
				`(${p.endpoint}). Its on_error decides ` +
				'meanwhile.']);
		else if (p.breaker !== 'closed')
			list.push(['warn', `Policy ${p.name} failed too ` +
				'often: its circuit is open and on_error ' +
				'decides until a probe succeeds.']);
	}
	for (const a of eachSource(status.sources))
		if (!a.up)
			list.push(['warn', `Source address ${a.address} of ` +
				(a.pool.name === '' ? 'upstream.source' :
					`pool ${a.pool.name}`) +
				` is out: ${a.why}.`]);
	for (const [name, sink] of [['SQLite', r.sqlite], ['JSON', r.json]])
		if (sink.on && !sink.ok)
			list.push(['warn', `The ${name} record cannot be ` +
				`written: ${sink.error}. Mail goes on.`]);
	if (c.record_dropped > 0)
		list.push(['warn', plural(c.record_dropped, 'part', 'parts') +
			' of the record were lost because its queue was ' +
			'full (record.queue).']);
	if (c.loops > 0)
		list.push(['warn', plural(c.loops, 'connection',
			'connections') + ' came without an original ' +
			'destination or pointed at weir itself: check the ' +
			'redirect rules.']);
	if (c.over_limit > 0)
		list.push(['warn', plural(c.over_limit, 'connection was',
			'connections were') + ' refused at ' +
			'limits.connections.']);
	if (c.tls_injection > 0)
		list.push(['bad', plural(c.tls_injection, 'session',
			'sessions') + ' had plaintext injected ahead of ' +
			'TLS: somebody on the path to an MX is tampering.']);
	return list;
}

function drawAlerts(status) {
	const list = problems(status);
	fill('alerts', list.length === 0 ? null : el('ul.alerts', null,
		list.map(([kind, text]) => el('li.notice.' + kind, null,
			text))));
}

const STATES = { down: 'down', connecting: 'connecting',
	handshake: 'shaking hands', ready: 'ready' };

function sum(counters) {
	return Object.values(counters).reduce((a, b) => a + b, 0);
}

/* "relay 120, reject 3": what is zero is left out. */
function breakdown(counters, none) {
	const parts = Object.entries(counters).filter(([, n]) => n > 0);
	if (parts.length === 0)
		return el('span.muted', null, none);
	return parts.map(([name, n]) => el('span.part', null,
		name.replace(/_/g, ' ') + ' ', el('b', null, count(n))));
}

function table(caption, heads, rows) {
	return el('table', { 'aria-label': caption },
		el('thead', null, el('tr', null, heads.map((h) =>
			el(h.num ? 'th.num' : 'th', { scope: 'col' },
				h.name)))),
		el('tbody', null, rows.map((cells) => el('tr', null,
			cells.map((cell, i) => el(heads[i].num ? 'td.num' :
				'td', { 'data-label': heads[i].name },
				cell))))));
}

function badge(kind, text) {
	return el('span.badge.' + kind, null, text);
}

function policyState(p) {
	if (p.state === 'ready' && p.breaker !== 'closed')
		return badge('warn', 'circuit ' + p.breaker);
	return badge(p.state === 'ready' ? 'good' : p.state === 'down' ?
		'bad' : 'warn', STATES[p.state] || p.state);
}

function drawPolicies(policies) {
	if (policies.length === 0) {
		fill('policies', el('p.empty', null, 'No policy is ' +
			'configured: all mail is relayed as it comes. Add a ',
			el('code', null, 'policy "name" { endpoint = ' +
			'"unix:/run/…" }'), ' block to weir.conf and reload.'));
		return;
	}
	fill('policies', table('Policies', [
		{ name: 'Policy' }, { name: 'State' },
		{ name: 'Requests', num: true },
		{ name: 'Median', num: true }, { name: '99 %', num: true },
		{ name: 'Decisions' }, { name: 'Errors' },
	], policies.map((p) => [
		[el('b', null, p.name), el('div.muted.small', null,
			`${p.mode}, stage ${p.stage}` +
			(p.required ? ', required' : '')),
		el('div.muted.small.wrap', null, p.endpoint),
		p.software ? el('div.muted.small', null,
			p.software + (p.version ? ', ' + p.version : '')) :
			null],
		policyState(p), count(p.requests),
		p.requests > 0 ? duration(p.latency_p50_us) : '\u2013',
		p.requests > 0 ? duration(p.latency_p99_us) : '\u2013',
		breakdown(p.actions, 'none yet'),
		sum(p.errors) > 0 ? el('span.alarm', null,
			breakdown(p.errors, '')) : el('span.muted', null,
			'none'),
	])));
}

/* All source addresses with their pool; "" is upstream.source. */
function eachSource(sources) {
	return [...sources.pools, { name: '', ehlo_name: '',
		addresses: sources.default }].flatMap((pool) =>
		pool.addresses.map((a) => ({ ...a, pool })));
}

function sourceState(a) {
	const since = a.since ? el('div.muted.small', null,
		'since ' + when(a.since)) : null;
	if (!a.watched)
		return badge('warn', 'not watched');
	return el('div', null, a.up ? badge('good', 'up') : [
		badge('bad', 'out'), el('div.small', null, a.why)], since);
}

function drawSources(sources) {
	const list = eachSource(sources);
	document.getElementById('sources-card').hidden = list.length === 0;
	fill('sources', table('Source addresses', [
		{ name: 'Address' }, { name: 'Pool' },
		{ name: 'Weight', num: true }, { name: 'State' },
		{ name: 'Open', num: true }, { name: 'So far', num: true },
	], list.map((a) => [
		el('code', null, a.address),
		a.pool.name === '' ? el('span.muted', null, 'default') :
			el('div', null, el('b', null, a.pool.name),
				a.pool.ehlo_name ? el('div.muted.small.wrap',
					null, a.pool.ehlo_name) : null),
		a.weight === undefined ? '\u2013' : count(a.weight),
		sourceState(a), count(a.open), count(a.connections),
	])));
}

const TREATMENT = { normal: 'good', recovering: 'warn', suspect: 'warn',
	throttled: 'bad', blocked: 'bad' };

function share(part) {
	return (part * 100).toFixed(part > 0 && part < 0.1 ? 1 : 0) + ' %';
}

/* What MXs say about content, recipients and the like is no evidence about an
 * address: it is only named. */
function drawTreatment(mx) {
	document.getElementById('treatment-card').hidden = mx.length === 0;
	fill('treatment', table('How MXs treat our mail', [
		{ name: 'MX group' }, { name: 'From' }, { name: 'State' },
		{ name: 'Open', num: true }, { name: 'Messages', num: true },
		{ name: 'Deferred', num: true },
		{ name: 'Rejected', num: true },
		{ name: '354 in', num: true },
	], mx.map((m) => [
		el('b.wrap', null, m.group), el('code', null, m.source),
		badge(TREATMENT[m.state] || 'warn', m.state), count(m.open),
		count(Math.round(m.weight)), share(m.deferred),
		share(m.rejected), m.data_reply_p50_ms > 0 ?
			duration(m.data_reply_p50_ms * 1000) : '\u2013',
	])));
}

function drawListeners(listeners) {
	fill('listeners', listeners.length === 0 ?
		el('p.empty', null, 'No listener is open.') :
		table('Listeners', [{ name: 'Name' }, { name: 'Address' },
			{ name: 'Mode' }], listeners.map((l) => [
			el('b', null, l.name), el('code', null, l.address),
			l.destination ? `${l.mode} to ${l.destination}` :
				l.mode])));
}

function drawWorkers(workers) {
	fill('workers', table('Workers', [{ name: 'Thread' },
		{ name: 'Open', num: true }, { name: 'Connections', num: true },
		{ name: 'From clients', num: true },
		{ name: 'From MXs', num: true }],
	workers.map((w, i) => ['#' + (i + 1), count(w.sessions_open),
		count(w.connections), bytes(w.client_bytes),
		bytes(w.upstream_bytes)])));
}

function facts(pairs) {
	return el('dl.facts', null, pairs.map(([name, value, kind]) =>
		el('div', null, el('dt', null, name),
			el(kind ? 'dd.' + kind : 'dd', null, value))));
}

function drawMx(status) {
	const c = status.counters, l = status.latencies;
	const latency = (h) => h.count === 0 ? '\u2013' :
		`${duration(h.latency_p50_us)}, 99 % in ` +
		duration(h.latency_p99_us);
	fill('mx', facts([
		['Connect', latency(l.connect)],
		['Reply to DATA', latency(l.data_reply)],
		['Final reply', latency(l.final_reply)],
		['Could not connect', count(c.connect_failed),
			c.connect_failed > 0 ? 'alarm' : null],
		['Timeouts', count(c.timeout_upstream)],
		['Malformed replies', count(c.protocol_upstream)],
		['TLS', `${count(c.tls_upstream)} handshakes, ` +
			`${count(c.tls_resumed)} resumed`],
		['TLS failed', `${count(c.tls_failed)}, ` +
			`${count(c.tls_fallback)} went on in clear`],
	]));
}

function drawRecord(status) {
	const r = status.record;
	const sink = (s) => !s.on ? el('span.muted', null, 'off') : s.ok ?
		badge('good', 'writing') : badge('bad', 'failing');
	fill('record', facts([
		['SQLite', sink(r.sqlite)], ['JSON lines', sink(r.json)],
		['Written', count(r.written)],
		['Waiting', count(r.queued)],
		['Lost, queue full', count(status.counters.record_dropped),
			status.counters.record_dropped > 0 ? 'alarm' : null],
		['Not written', count(r.failed),
			r.failed > 0 ? 'alarm' : null],
	]), r.on ? null : el('p.empty', null, 'Nothing is recorded. Set ',
		el('code', null, 'record.sqlite'), ' in weir.conf to keep ' +
		'what every session did.'));
}

function drawStatus(status) {
	remember(status);
	document.querySelector('main').classList.add('live');
	setText('hostname', status.hostname);
	setText('about', `up ${span(status.uptime_s)}, since ` +
		`${when(status.started_at)}, version ${status.version}`);
	drawTiles(status.counters);
	drawAlerts(status);
	drawPolicies(status.policies);
	drawTreatment(status.mx);
	drawSources(status.sources);
	drawListeners(status.listeners);
	drawWorkers(status.workers);
	drawMx(status);
	drawRecord(status);
}
