/*
 * One session: what became of it, both legs against the clock, and every line.
 */
import { get } from './api.js';
import { el, wire } from './dom.js';
import { bytes, duration, joinPort, NONE, plural, toUs, utc, when,
	words } from './format.js';
import { address, CAUSES } from './sessions.js';
import { drawing } from './timeline.js';
import { badge, card, empty, facts, link, state, table, toGroup,
	toSession } from './widgets.js';

/* What communications.direction means. */
const DIRECTIONS = {
	'->': ['client', 'client \u2192 MX'],
	'<-': ['mx', 'client \u2190 MX'],
	'>|': ['client', 'client \u2192 weir'],
	'|>': ['weir', 'weir \u2192 MX'],
	'|<': ['mx', 'weir \u2190 MX'],
	'<|': ['weir', 'client \u2190 weir'],
	'--': ['event', 'event'],
};

/* The line without its end, which every line has. */
function withoutEnd(text) {
	return text.endsWith('\\r\\n') ? text.slice(0, -4) : text;
}

function replyText(r) {
	return [r.code, r.enhanced, r.reply].filter(Boolean).join(' ');
}

/* Times as microseconds, and what is asked for often. */
function prepare(s) {
	const started = toUs(s.occurred_at);
	const lines = s.lines.map((l) => ({ at: toUs(l.occurred_at),
		direction: l.direction, text: withoutEnd(l.data || '') }));
	const last = lines.length > 0 ? lines.at(-1).at : started;
	return { ...s, started, lines, connect: s.timings?.connect_us,
		ended: Math.max(last, started + (s.duration_ms || 0) * 1000),
		decisions: s.decisions.map((d) => ({ ...d,
			at: toUs(d.occurred_at), latency: d.latency_us })) };
}

/* ------------------------------------------------------------------- facts */

function tlsText(t) {
	if (!t)
		return null;
	if (t.error)
		return ['failed: ', wire(t.error)];
	return [[t.version, t.cipher, t.verified ? 'verified chain' :
		t.subject ? 'chain not verified' : 'no certificate',
	t.resumed ? 'resumed' : null, t.handshake_us > 0 ?
		duration(t.handshake_us) : null].filter(Boolean).join(', '),
	t.subject ? [', ', wire(t.subject)] : null,
	t.verify_error ? [': ', wire(t.verify_error)] : null];
}

/* For whom the MX was asked to be somebody, and was it? */
function resultsText(results) {
	return results.filter((t) => t.domain).map((t, i) => [i > 0 ? '; ' :
		'', 'for ', wire(t.domain), `: ${words(t.result)}` +
		(t.policy === 'no-policy-found' ? '' : ` (${t.policy})`),
	t.reason ? [', ', wire(t.reason)] : '']);
}

function noTls(s) {
	const why = s.tls_results.find((t) => !t.domain && t.reason);
	return why ? ['none: ', wire(why.reason)] : 'none';
}

function processText(p) {
	return p && [`uid ${p.uid}`, p.pid ? `, pid ${p.pid}` : null,
		p.command ? [', ', wire(p.command)] : null,
		p.cgroup ? [', ', wire(p.cgroup)] : null];
}

function group(s) {
	const name = s.transactions.find((t) => t.mx_group)?.mx_group;
	return name ? toGroup(name) : null;
}

/* weir's words when deliverability.cap allows no more sessions. */
const HELD = 'held back by weir itself: deliverability.cap allows no more';

/* From the beginning. */
function capped(s) {
	return s.capped && s.connect_error;
}

function sessionFacts(s) {
	const results = resultsText(s.tls_results);
	return facts([
		['Started', el('span', { title: utc(s.started) },
			when(s.started))],
		['Took', s.cause ? duration(s.ended - s.started) :
			'still open'],
		['Ended', capped(s) ? HELD : s.cause ? CAUSES[s.cause] ||
			s.cause : NONE],
		['Listener', s.listener && wire(s.listener)],
		['Client', el('code', null, joinPort(s.client,
			s.client_port))],
		['Sent by', processText(s.process)],
		['MX', el('code', null, joinPort(s.destination,
			s.destination_port))],
		['MX name', s.mx_name && wire(s.mx_name)],
		['MX group', group(s)],
		['Round trip', s.timings?.min_rtt_us > 0 ?
			duration(s.timings.min_rtt_us) : null],
		['From address', el('code', null, joinPort(s.source,
			s.source_port) || NONE)],
		['TLS of the client', tlsText(s.client_tls)],
		['TLS to the MX', tlsText(s.tls) || noTls(s)],
		['TLS demanded', results.length > 0 ? results : null],
		['Connect', s.connect_error ? [capped(s) ? 'not tried: ' :
			'failed: ',
			wire(s.connect_error)] : s.upstream_reused ?
			['reused, after ', toSession(s.upstream_reused,
				s.upstream_reused)] : duration(s.connect)],
		['Received', s.client_bytes === null ? NONE :
			`${bytes(s.client_bytes)} from the client, ` +
			`${bytes(s.upstream_bytes)} from the MX`],
		['Id', el('code', null, s.id)],
	]);
}

/* ---------------------------------------------------------------- messages */

function byWhom(r) {
	const names = { mx: 'the MX', weir: 'weir' };
	return [r.decided_by ? `by ${names[r.decided_by] || ''}` : '',
		r.decided_by && !names[r.decided_by] ? wire(r.decided_by) :
			'', replyText(r) === '' ? '' : [': ',
			wire(replyText(r))],
		r.category ? ` (${words(r.category)})` : ''];
}

function rewritten(r) {
	return r.rewritten === null || r.rewritten === undefined ? null :
		el('span.note', null, 'sent as ', wire(r.rewritten));
}

function to(s, t) {
	const list = s.recipients.filter((r) => r.transaction_id === t.id);
	return list.length === 0 ? el('span.muted', null, t.code >= 400 ?
		'refused before any recipient' : 'no recipient') :
		list.map((r) => el('div', { key: r.number },
			wire(r.address), ' ', r.accepted ? null :
				badge('bad', 'refused'), rewritten(r),
			el('span.note', null, byWhom(r))));
}

/* Who writes to whom. */
function between(s) {
	return s.transactions.length === 0 ? capped(s) ? HELD : null :
		[address(s.sender || ''), s.recipients_text ? [' to ',
			wire(s.recipients_text)] : ', no recipient accepted'];
}

function messages(s) {
	return card('Messages', s.transactions.length === 0 ? empty(
		'No MAIL was said in this session.') : table({
		label: 'Messages', columns: [{ name: 'From' }, { name: 'To' },
			{ name: 'Result' }, { name: 'Size', num: true },
			{ name: '354 after', num: true },
			{ name: 'Final reply after', num: true },
			{ name: 'Took', num: true }],
		rows: s.transactions.map((t) => ({ key: t.id, cells: [
			[address(t.sender || ''), rewritten(t),
				s.rehomings.length > 0 && t.source ?
					el('span.note', null, `from ` +
						`${t.source} to ` +
						joinPort(t.upstream,
							t.upstream_port)) :
					null],
			el('div', null, to(s, t)),
			el('div', null, state(t.outcome), el('span.note', null,
				byWhom(t))), bytes(t.size),
			duration(t.data_us), duration(t.reply_us),
			duration(t.duration_us)] })) }));
}

/* --------------------------------------------------------------- transcript */

function decisionText(d) {
	const parts = [[`${words(d.phase) || 'annotation'}: ` + (d.error ?
		`${words(d.error)}, so ${d.result}` : d.result || d.action ||
		'')]];
	if (d.rule)
		parts.push(['rule ', wire(d.rule)]);
	if (d.score)
		parts.push(`score ${d.score}`);
	if (d.reason)
		parts.push(wire(d.reason));
	for (const pair of d.annotations || [])
		parts.push(wire([].concat(pair).join(' = ')));
	if (replyText(d) !== '')
		parts.push(['replies "', wire(replyText(d)), '"']);
	if (d.error_text)
		parts.push(wire(d.error_text));
	if (d.latency)
		parts.push('after ' + duration(d.latency));
	if (d.observed)
		parts.push(d.would_change ? 'observed only, would have ' +
			'changed the outcome' : 'observed only');
	else if (!d.applied)
		parts.push('not applied');
	return parts.flatMap((p, i) => i > 0 ? [', ', p] : [p]);
}

function rehomingText(r) {
	const way = (source, to, port, name) =>
		`${source || 'any address'} to ${to} port ${port} as ` +
		(name || 'nobody');
	return [`${r.result === 'done' ? 'moved' : 'not moved'} from ` +
		way(r.from_source, r.from_upstream, r.from_upstream_port,
			r.from_ehlo_name) + ', to ' + way(r.to_source,
		r.to_upstream, r.to_upstream_port, r.to_ehlo_name),
	r.reason ? [', ', wire(r.reason)] : '', r.rule ? [', rule ',
		wire(r.rule)] : '', r.duration_us ? ', took ' +
		duration(r.duration_us) : '', r.round_trips ? ', ' +
		plural(r.round_trips, 'round trip', 'round trips') : ''];
}

/* The lines of a reply stand a microsecond apart, so that they sort: what was
 * noted meanwhile came behind the last of them. */
function behindReply(lines, at) {
	let i = lines.findIndex((l) => l.at > at);
	if (i < 0)
		i = lines.length;
	while (i > 0 && i < lines.length &&
		lines[i].direction === lines[i - 1].direction &&
		lines[i].at === lines[i - 1].at + 1)
		i++;
	return i > 0 ? Math.max(at, lines[i - 1].at) : at;
}

function items(s) {
	const list = s.lines.map((l) => ({ at: l.at, text: l.text,
		who: DIRECTIONS[l.direction] || DIRECTIONS['--'] }));
	for (const d of s.decisions)
		list.push({ at: d.at, text: decisionText(d),
			who: ['decision', d.policy] });
	for (const r of s.rehomings)
		list.push({ at: behindReply(s.lines, toUs(r.occurred_at)),
			text: rehomingText(r),
			who: ['decision', r.policy || 'weir'] });
	return list.map((item, order) => ({ ...item, order }))
		.sort((a, b) => a.at - b.at || a.order - b.order);
}

function transcript(s) {
	const list = items(s);
	let before = s.started;
	return card('Transcript', list.length === 0 ? empty('No line was ' +
		'recorded.') : [el('p.note', null, 'Times count from the ' +
		'start of the session; what took long is marked. The bodies ' +
		'of messages are never recorded.'),
	el('ol.lines', null, list.map((item, i) => {
		const gap = item.at - before;
		before = item.at;
		return el('li.' + item.who[0] + (gap > 1e6 ? '.long' : ''),
			{ key: i }, el('span.at', { title:
				utc(item.at) }, item.at <= s.started ? '0' :
				'+' + duration(item.at - s.started)),
			el('span.gap', null, gap >= 1000 ? duration(gap) : ''),
			el('span.who', null, wire(item.who[1])),
			el('span.text', null, typeof item.text === 'string' ?
				wire(item.text) : item.text));
	}))]);
}

export const session = {
	name: 'session', tab: 'sessions',
	title: () => 'Session',
	missing: 'This session is not in the record: it may be too old, or ' +
		'not yet written.',
	async load(route, old) {
		return old ?? prepare(await get('api/v1/sessions/' +
			encodeURIComponent(route.argument)));
	},
	draw: (s) => [el('p.back', null, link('#/sessions', 'All sessions')),
		el('p.verdict', null, s.outcome ? state(s.outcome) : badge(
			'none', 'no mail'), el('span', null, between(s))),
		s.lines.length > 1 ? drawing(s) : null,
		card('Facts', sessionFacts(s)), messages(s), transcript(s)],
};
