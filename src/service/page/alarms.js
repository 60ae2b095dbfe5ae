/*
 * What somebody should act on, in words: each with where to look.
 */
import { el } from './dom.js';
import { plural } from './format.js';

/* All source addresses with their pool; "" is upstream.source. */
export function eachSource(sources) {
	return [...sources.pools, { name: '', ehlo_name: '',
		addresses: sources.default }].flatMap((pool) =>
		pool.addresses.map((a) => ({ ...a, pool })));
}

/* [kind, href, text] of one of the API's alarms. */
function inWords({ about, name, text }, policies) {
	switch (about) {
	case 'policy':
		return [policies.find((p) => p.name === name)?.required ?
			'bad' : 'warn', '#/policies', `Policy ${name}: ` +
			`${text}. Its on_error decides meanwhile.`];
	case 'source':
		return ['warn', '#/operations', `Source address ${name} is ` +
			`out: ${text}.`];
	case 'mx':
		return ['bad', '#/mx/' + encodeURIComponent(name),
			`${name} has ${text.replace(': mail from', '')}`];
	case 'record':
		return ['warn', '#/config', `The ${name === 'sqlite' ?
			'SQLite' : 'JSON'} record cannot be written: ` +
			`${text}. Mail goes on.`];
	default:
		return ['bad', '#/policies', `weir is not ready: ${text}.`];
	}
}

/* One line for a group and a state, however many addresses it is about. */
function joined(list) {
	const lines = new Map();
	for (const [kind, href, text] of list) {
		const at = href.startsWith('#/mx/') ? text.lastIndexOf(' ') :
			text.length;
		const key = text.slice(0, at);
		const line = lines.get(key) || [kind, href, []];
		line[2].push(text.slice(at + 1));
		lines.set(key, line);
	}
	return [...lines].map(([key, [kind, href, of]]) => [kind, href,
		of[0] === '' ? key : `${key} ${of.join(', ')}.`]);
}

/* What has happened since the start, and may be over: no alarm. */
function* ofCounters(c) {
	if (c.record_dropped > 0)
		yield ['warn', '#/config', plural(c.record_dropped, 'part',
			'parts') + ' of the record were lost because its ' +
			'queue was full.'];
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
export function troubles(status) {
	return [...joined(status.alarms.map((a) =>
		inWords(a, status.policies))), ...ofCounters(status.counters)]
		.sort((a, b) => (a[0] === 'bad' ? 0 : 1) -
			(b[0] === 'bad' ? 0 : 1));
}

export function troubleList(list) {
	return el('ul.alarms', null, list.map(([kind, href, text]) =>
		el('li.' + kind, { key: text },
			el('a', { href }, el('span.hide', null, kind === 'bad' ?
				'Alarm: ' : 'Warning: '), text))));
}
