/*
 * Who sends, who is refused, and whose refusals look like more than bad luck.
 */
import { get } from './api.js';
import { el, wire } from './dom.js';
import { bytes, count, NONE, plural, share, time, words } from './format.js';
import { card, choice, empty, meter, notice, table, toGroup, toSession,
	toSessions } from './widgets.js';

const BY = [['senders', 'Senders'], ['sender_domains', 'Sender domains'],
	['recipients', 'Recipients'],
	['recipient_domains', 'Recipient domains'], ['clients', 'Clients'],
	['processes', 'Processes'], ['reasons', 'Reasons'],
	['codes', 'Codes']];
const SINCE = [['1h', 'Hour'], ['24h', 'Day'], ['all', 'Since start']];
const OF = [['', 'All'], ['refused', 'Refused']];
/* Which search finds what is counted. */
const FILTERS = { senders: (key) => ({ sender: key || '<>' }),
	sender_domains: (key) => ({ sender: '@' + key }),
	recipients: (key) => ({ recipient: key }),
	recipient_domains: (key) => ({ recipient: '@' + key }),
	clients: (key) => ({ client: key }),
	codes: (key) => ({ code: key.split(' ').at(-1) }) };

function name(key, by) {
	return key === '' ? by === 'senders' ? '<> (bounces)' : '(none)' :
		wire(key, 'span');
}

function topTable(top) {
	const most = Math.max(...top.entries.map((e) => e.error), 0);
	return [table({ label: 'Top ' + words(top.by), spec: 'dense', columns: [
		{ name: words(top.by)[0].toUpperCase() +
			words(top.by).slice(1), spec: 'full' },
		{ name: 'Messages', num: true }, { name: 'Share', num: true },
		{ name: 'Deferred', num: true },
		{ name: 'Rejected', num: true },
		{ name: 'Content', num: true, spec: 'more' }],
	rows: top.entries.map((e) => ({ key: e.key, cells: [
		FILTERS[top.by] ? toSessions(FILTERS[top.by](e.key),
			name(e.key, top.by)) : name(e.key, top.by),
		[count(e.count), e.error > 0 ? el('span.muted', { title:
			'At most so many too many' }, ' \u2212' +
			count(e.error)) : null],
		meter(e.count / Math.max(1, top.total), 'accent'),
		meter(e.deferred / Math.max(1, e.count), 'warn'),
		meter(e.rejected / Math.max(1, e.count), 'bad'),
		bytes(e.bytes)] })) }), el('p.note', null,
		`Of ${plural(top.total, 'message', 'messages')}.` +
		(most > 0 ? ' Counted in bounded memory: a number may be too ' +
		'high by as much as stands behind it.' : ''))];
}

/* Refusals that say something about the sender, and at a rate that does. */
const SUSPICIOUS = { mailbox: 'writes to mailboxes that do not exist',
	blocklist: 'is on a blocklist', content: 'is refused for its content',
	authentication: 'fails SPF, DKIM or DMARC', policy: 'breaks a rule ' +
	'of the MX' };

/* A client has more than one sender: what tells is how much comes to nothing. */
function ofClients(clients) {
	return (clients.entries ?? []).filter((c) => c.rejected >= 5 &&
		c.rejected * 2 >= c.count).map((c) => ({ key: c.key, cells: [
		toSessions({ client: c.key }, wire(c.key, 'span')),
		`is refused ${share(c.rejected / c.count)} of what it sends`,
		count(c.rejected), NONE, NONE] }));
}

function suspicious(report, clients) {
	const by = new Map();
	for (const r of report.rows) {
		if (SUSPICIOUS[r.category] === undefined || !r.sender)
			continue;
		const key = r.sender + '\n' + r.category;
		const old = by.get(key) || { sender: r.sender, count: 0,
			category: r.category, groups: new Set(), example:
			r.example_session, last: r.last_at };
		old.count += r.count;
		old.groups.add(r.mx_group);
		by.set(key, old);
	}
	const list = [...by.values()].filter((s) => s.count >= 5)
		.sort((a, b) => b.count - a.count).slice(0, 10);
	const rows = [...list.map((s) => ({ key: s.sender + s.category,
		cells: [toSessions({ sender: s.sender }, name(s.sender,
			'senders')), SUSPICIOUS[s.category], count(s.count),
		count(s.groups.size), time(s.last)] })), ...ofClients(clients)];
	return card('Suspicious', rows.length === 0 ? empty('No sender was ' +
		'refused five times for its content, its recipients or its ' +
		'authentication, and no client half of what it sent.') :
		table({ label: 'Suspicious senders and clients',
		columns: [{ name: 'Who' }, { name: 'What it does' },
			{ name: 'Refusals', num: true },
			{ name: 'MX groups', num: true },
			{ name: 'Last', spec: 'wide' }], rows }));
}

function reportCard(report) {
	const who = { mx: 'MX', weir: 'weir' };
	return card('Refused in the last day', report.rows.length === 0 ?
		empty('Nothing was refused.') : table({
			label: 'Refusals by sender, MX group and code',
			spec: 'dense', columns: [
				{ name: 'Sender', spec: 'full' },
				{ name: 'MX group', spec: 'name' },
				{ name: 'By', spec: 'more.whole' },
				{ name: 'Code', spec: 'whole' },
				{ name: 'What it is', spec: 'more' },
				{ name: 'Times', num: true },
				{ name: 'Recipients', num: true,
					spec: 'more' },
				{ name: 'Last', spec: 'wide' },
				{ name: 'In its words', spec: 'bare.full' }],
			rows: report.rows.map((r, i) => ({ key: i + r.sender,
				cells: [r.sender === null ? 'before MAIL' :
					toSessions({ sender: r.sender || '<>' },
						name(r.sender, 'senders')),
				r.mx_group ? toGroup(r.mx_group) : NONE,
				who[r.decided_by] || wire(r.decided_by ?? ''),
				el('code', null, [r.code, r.enhanced]
					.filter(Boolean).join(' ')),
				r.behaviour ? wire(r.behaviour, 'span') :
					words(r.category),
				count(r.count), count(r.recipients),
				time(r.last_at), toSession(r.example_session,
					wire(r.example_text || 'a session'))]
			})) }));
}

async function orError(promise) {
	try {
		return await promise;
	} catch (error) {
		if (error.status === 0 || error.status === 401)
			throw error;
		return { error: error.message };
	}
}

export const senders = {
	name: 'senders',
	title: () => 'Senders and clients',
	every: 10,
	async load(route, old) {
		const by = route.query.get('by') || 'senders';
		const since = route.query.get('since') || '24h';
		const of = route.query.get('of') || '';
		/* The database is asked for the report once a minute. */
		const fresh = Date.now() - (old?.asked ?? 0) < 60000;
		const [top, report, clients] = await Promise.all([
			orError(get('api/v1/top?' + new URLSearchParams({ by,
				since, limit: 25, ...(of === '' ? {} :
					{ outcome: of }) }))),
			fresh ? old.report :
				orError(get('api/v1/report?since=24h')),
			orError(get('api/v1/top?by=clients&since=24h&' +
				'limit=200'))]);
		return { by, since, of, top, report, clients,
			asked: fresh ? old.asked : Date.now() };
	},
	draw({ by, since, of, top, report, clients }) {
		const href = (b, s, o) => `#/senders?by=${b}&since=${s}` +
			(o ? '&of=' + o : '');
		return [el('section.card', { 'aria-labelledby': 't-top' },
			el('div.bar', null, el('h2', { id: 't-top' }, 'Top'),
				choice('Counted by', BY, by, (b) =>
					href(b, since, of)),
				choice('Since', SINCE, since, (s) =>
					href(by, s, of)),
				choice('Which', OF, of, (o) =>
					href(by, since, o))),
			top.error ? notice('warn', top.error + '.') :
				top.entries.length === 0 ? empty('No message ' +
					'in this time.') : topTable(top)),
		report.error ? notice('warn', 'The report of refusals: ' +
			report.error + '.') : [suspicious(report, clients),
			reportCard(report)]];
	},
};
