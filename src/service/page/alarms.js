/*
 * What somebody should act on, in words: each with where to look.
 */
import { el } from './dom.js';
import { plural } from './format.js';

const POLICY_STATES = { down: 'down', connecting: 'connecting',
	handshake: 'shaking hands', ready: 'ready' };

/* All source addresses with their pool; "" is upstream.source. */
export function eachSource(sources) {
	return [...sources.pools, { name: '', ehlo_name: '',
		addresses: sources.default }].flatMap((pool) =>
		pool.addresses.map((a) => ({ ...a, pool })));
}

function poolName(pool) {
	return pool.name === '' ? 'upstream.source' : `pool ${pool.name}`;
}

function* ofPolicies(policies) {
	for (const p of policies)
		if (p.state !== 'ready')
			yield [p.required ? 'bad' : 'warn', '#/policies',
				`Policy ${p.name} is ${POLICY_STATES[p.state]
					|| p.state} (${p.endpoint}). Its ` +
				'on_error decides meanwhile.'];
		else if (p.breaker !== 'closed')
			yield ['warn', '#/policies', `Policy ${p.name} ` +
				'failed too often: its circuit is ' +
				`${p.breaker} and on_error decides until a ` +
				'probe succeeds.'];
}

/* One for a group, however many addresses it has turned against. */
function* ofMx(mx) {
	const found = new Map();
	for (const m of mx)
		if (m.state === 'blocked' || m.state === 'throttled') {
			const key = m.group + ' has ' + m.state + ' ';
			found.set(key, [...(found.get(key) || []), m]);
		}
	for (const [text, list] of found)
		yield ['bad', '#/mx/' + encodeURIComponent(list[0].group),
			text + list.map((m) => m.source).join(', ') + '.'];
}

function* ofSources(sources) {
	for (const a of eachSource(sources))
		if (!a.up)
			yield ['warn', '#/operations', `Source address ` +
				`${a.address} of ${poolName(a.pool)} is ` +
				`out: ${a.why}.`];
}

function* ofRecord(record, c) {
	for (const [name, sink] of [['SQLite', record.sqlite],
		['JSON', record.json]])
		if (sink.on && !sink.ok)
			yield ['warn', '#/config', `The ${name} record ` +
				`cannot be written: ${sink.error}. Mail ` +
				'goes on.'];
	if (c.record_dropped > 0)
		yield ['warn', '#/config', plural(c.record_dropped, 'part',
			'parts') + ' of the record were lost because its ' +
			'queue was full.'];
}

function* ofCounters(c) {
	if (c.loops > 0)
		yield ['warn', '#/config', plural(c.loops, 'connection',
			'connections') + ' came without an original ' +
			'destination or pointed at weir itself: check the ' +
			'redirect rules.'];
	if (c.over_limit > 0)
		yield ['warn', '#/config', plural(c.over_limit,
			'connection was', 'connections were') +
			' refused at limits.connections.'];
	if (c.tls_injection > 0)
		yield ['bad', '#/sessions?q=injection', plural(c.tls_injection,
			'session', 'sessions') + ' had plain text injected ' +
			'ahead of TLS: somebody on the path to an MX is ' +
			'tampering.'];
}

/* [kind, href, text], the worst first. */
export function alarms(status) {
	const list = status.ready ? [] : [['bad', '#/policies',
		'weir is not ready: ' + status.why_not + '.']];
	list.push(...ofPolicies(status.policies), ...ofMx(status.mx),
		...ofSources(status.sources),
		...ofRecord(status.record, status.counters),
		...ofCounters(status.counters));
	return list.sort((a, b) => (a[0] === 'bad' ? 0 : 1) -
		(b[0] === 'bad' ? 0 : 1));
}

export function alarmList(status) {
	return el('ul.alarms', null, alarms(status).map(([kind, href, text]) =>
		el('li.' + kind, { key: text },
			el('a', { href }, el('span.hide', null, kind === 'bad' ?
				'Alarm: ' : 'Warning: '), text))));
}
