/*
 * How MXs treat our mail: all groups by urgency, and one group with what its
 * state rests on.
 */
import { get } from './api.js';
import * as charts from './charts.js';
import { el } from './dom.js';
import { ago, count, duration, NONE, perSecond, share, time,
	toUs } from './format.js';
import { detectors, evidence, MEANING } from './evidence.js';
import { bars, card, choice, empty, link, meter, quantiles, state, table,
	toGroup, toSessions } from './widgets.js';

const RANK = ['blocked', 'throttled', 'suspect', 'recovering', 'normal'];
const PHASES = ['connect', 'greeting', 'ehlo', 'tls', 'mail', 'rcpt', 'data',
	'body', 'final', 'quit'];
const PHASE_NAMES = { connect: 'Connect', greeting: 'Greeting',
	ehlo: 'EHLO', tls: 'TLS handshake', mail: 'MAIL', rcpt: 'RCPT',
	data: 'DATA to 354', body: 'Sending content', final: 'Final reply',
	quit: 'QUIT' };
const HOURS = [['1', 'Hour'], ['24', 'Day'], ['168', 'Week']];

function rank(name) {
	const at = RANK.indexOf(name);
	return at < 0 ? RANK.length : at;
}

export const OF_ALL = 'Of all messages in this hour and the last one';
const OF_ADDRESS = 'Deferred and rejected for what is about the address: ' +
	'the fading rates by which weir judges. Refusals of a mailbox or of ' +
	'content are not in them';

/* What became of all messages, whatever the reason. */
function shares(entries) {
	const of = (key) => entries.reduce((n, m) => n + m.results[key], 0);
	const deferred = of('deferred'), rejected = of('rejected');
	const messages = of('delivered') + deferred + rejected;
	return { messages, deferred: messages > 0 ? deferred / messages : null,
		rejected: messages > 0 ? rejected / messages : null };
}

/* Entries of one group as one: the worst state, and what became of all. */
function merge(group, entries) {
	const worst = entries.reduce((a, b) => rank(b.state) < rank(a.state) ?
		b : a);
	const final = entries.map((m) => m.phases?.final).filter((f) =>
		f?.count > 0).sort((a, b) => b.count - a.count)[0];
	return { group, state: worst.state, since: worst.state_since,
		...shares(entries),
		open: entries.reduce((n, m) => n + m.open, 0), final,
		sources: entries.length, hit: entries.filter((m) =>
			m.state === worst.state).length,
		reply: Math.max(...entries.map((m) => m.data_reply_p50_ms)) };
}

/* One for each group. */
export function grouped(list) {
	const groups = new Map();
	for (const m of list)
		groups.set(m.group, [...(groups.get(m.group) || []), m]);
	return [...groups].map(([name, entries]) => merge(name, entries))
		.sort(ORDERS.urgency);
}

const ORDERS = {
	urgency: (a, b) => rank(a.state) - rank(b.state) || b.messages *
		(b.deferred + b.rejected) - a.messages *
		(a.deferred + a.rejected) || b.messages - a.messages,
	group: (a, b) => a.group.localeCompare(b.group),
	messages: (a, b) => b.messages - a.messages,
	deferred: (a, b) => b.deferred - a.deferred,
	rejected: (a, b) => b.rejected - a.rejected,
	reply: (a, b) => b.reply - a.reply,
	final: (a, b) => (b.final?.p99_us || 0) - (a.final?.p99_us || 0),
	open: (a, b) => b.open - a.open,
};

const COLUMNS = [
	{ name: 'Group', sort: 'group', spec: 'name' },
	{ name: 'State', sort: 'urgency', spec: 'bare' },
	{ name: 'Since', spec: 'wide' },
	{ name: 'From', spec: 'wide', title: 'Source addresses in that state, ' +
		'of those that send to it' },
	{ name: 'Messages', num: true, sort: 'messages', spec: 'more', title:
		'In this hour and the last one' },
	{ name: 'Deferred', num: true, sort: 'deferred', title: OF_ALL },
	{ name: 'Rejected', num: true, sort: 'rejected', title: OF_ALL },
	{ name: '354 in', num: true, sort: 'reply', spec: 'more', title: 'Median time from ' +
		'DATA to the reply 354' },
	{ name: 'Final, median / 99\u202f%', num: true, sort: 'final',
		spec: 'more', title: 'From the end of the content to the final reply' },
	{ name: 'Open', num: true, sort: 'open', spec: 'more', title:
		'Connections now' },
];

function row(g) {
	return { key: g.group, spec: rank(g.state) < 2 ? 'hot' : '', cells: [
		toGroup(g.group), state(g.state), g.since ? time(g.since) :
			NONE, `${g.hit} of ${g.sources}`,
		count(g.messages), meter(g.deferred, 'warn'),
		meter(g.rejected, 'bad'), g.reply > 0 ?
			duration(g.reply * 1000) : NONE,
		g.final ? quantiles(g.final.p50_us, g.final.p99_us) : NONE,
		count(g.open)] };
}

function summary(groups) {
	const by = Object.groupBy ? Object.groupBy(groups, (g) => g.state) :
		groups.reduce((all, g) => ({ ...all, [g.state]:
			[...(all[g.state] || []), g] }), {});
	return el('p.summary', null, RANK.filter((name) => by[name])
		.map((name) => el('span', { key: name }, state(name),
			' ', count(by[name].length), ' ')));
}

export const mx = {
	name: 'mx',
	title: () => 'MX groups',
	every: 5,
	order: 'urgency',
	filter: '',
	async load(route, old) {
		this.filter = old === null ? '' : this.filter;
		return grouped(await get('api/v1/mx'));
	},
	draw(groups) {
		if (groups.length === 0)
			return empty('No MX has been spoken to since weir ' +
				'started. Send a message through a listener: ' +
				'its MX appears here, by the organization ' +
				'that its greeting names.');
		const chosen = groups.filter((g) => g.group.toLowerCase()
			.includes(this.filter)).sort(ORDERS[this.order]);
		return [el('div.bar', null, summary(groups),
			el('label.row', null, 'Filter ', el('input', {
				id: 'mx-filter', type: 'search',
				autocomplete: 'off', spellcheck: 'false' }))),
		chosen.length === 0 ? empty('No group has "' + this.filter +
			'" in its name.') : table({ label: 'MX groups',
			spec: 'dense', columns: COLUMNS,
			sorted: this.order, rows: chosen.map(row) })];
	},
	click(event) {
		const sort = event.target.closest('[data-sort]');
		if (sort !== null)
			this.order = sort.dataset.sort;
		return sort !== null;
	},
	input(event) {
		this.filter = event.target.value.trim().toLowerCase();
		return true;
	},
	on: { mx: () => 'load' },
};

/* --------------------------------------------------------------- one group */

function verdict(g) {
	const worst = g.sources.reduce((a, b) => rank(b.state) <
		rank(a.state) ? b : a, g.sources[0]);
	return el('div.verdict', { key: 'verdict' }, state(g.state),
		el('p', null, MEANING[g.state] || ''),
		worst?.state_since ? el('p.muted', null, 'Since ',
			time(worst.state_since), `, ${ago(worst.state_since)}`)
			: null);
}

function sourceRows(g) {
	return card('By source address', table({ label: 'By source address',
		columns: [{ name: 'Address' }, { name: 'State' },
			{ name: 'Messages', num: true },
			{ name: 'Deferred', num: true, title: OF_ALL },
			{ name: 'Rejected', num: true, title: OF_ALL },
			{ name: 'About the address', num: true,
				title: OF_ADDRESS },
			{ name: 'Connect', num: true },
			{ name: 'Final, median / 99\u202f%', num: true },
			{ name: 'Round trip', num: true, title: 'The least ' +
				'that TCP has seen: the network\u2019s part' },
			{ name: 'Open', num: true },
			{ name: 'Cap', num: true, title: 'Sessions that ' +
				'were let in, of how many may be now' }],
		rows: g.sources.map((m) => ({ ...m, all: shares([m]) })).map(
		(m) => ({ key: m.source, cells: [
			el('code', null, m.source), state(m.state),
			count(m.all.messages), meter(m.all.deferred, 'warn'),
			meter(m.all.rejected, 'bad'), el('span.whole', null,
				share(m.deferred), el('span.muted', null,
					' / '), share(m.rejected)),
			duration(m.phases?.connect?.p50_us || NaN),
			m.phases?.final?.count > 0 ? quantiles(
				m.phases.final.p50_us, m.phases.final.p99_us) :
				NONE,
			duration(m.min_rtt_us || NaN), count(m.open),
			m.cap ? `${count(m.cap.open)} of ` +
				count(m.cap.limit) : NONE] })) }));
}

function categories(g) {
	const all = {};
	for (const m of g.sources)
		for (const [name, n] of Object.entries(m.categories ||
			m.apart || {}))
			all[name] = (all[name] || 0) + n;
	const pairs = Object.entries(all).filter(([, n]) => n >= 0.5)
		.sort((a, b) => b[1] - a[1]);
	return card('Why it refuses', pairs.length === 0 ? empty(
		'Nothing was refused.') : bars(pairs.map(([name, n]) =>
		[name, Math.round(n)]), (name) => name === 'throttle' ||
		name === 'greylist' ? 'warn' : 'bad'),
	el('p.all', null, toSessions({ mx: g.group, code: '5xx' },
		'Sessions with 5xx'), ' ', toSessions({ mx: g.group,
		code: '4xx' }, 'with 4xx'), ' ', toSessions({ mx: g.group },
		'all')));
}

function transitions(g) {
	return card('What changed', !g.transitions?.length ? empty(
		'Its state has not changed.') : el('ol.events', null,
		g.transitions.map((t) => el('li', { key: t.occurred_at +
			t.source }, time(t.occurred_at), el('div', null,
			el('code', null, t.source), ' ', t.from === t.to ?
				null : [state(t.from), ' \u2192 '],
			state(t.to), evidence(t.evidence))))));
}

function why(g) {
	const known = g.sources.filter((m) => m.state !== 'normal');
	return known.length === 0 ? null : card('Evidence', el('div.whys', null,
		known.map((m) =>
		el('div.why', { key: m.source }, el('h3', null,
			el('code', null, m.source), ' ', state(m.state)),
		evidence(m.evidence) ?? el('p', null, `Of ${count(Math.round(
			m.weight))} messages it deferred ${share(m.deferred)} ` +
			`and rejected ${share(m.rejected)} for what is ` +
			'about the address.')))));
}

function measured(g) {
	const list = g.sources.map((m) => detectors(m, PHASE_NAMES))
		.filter(Boolean);
	return list.length === 0 ? null : card('Measured', list);
}

function historyCharts(g, hours) {
	const present = PHASES.filter((name) => g.history.some((h) =>
		h.phases?.[name]));
	return el('section.charts', { 'aria-labelledby': 'charts-title',
		key: 'charts' }, el('div.bar', null,
		el('h2', { id: 'charts-title' }, 'What happened'),
		choice('How far back', HOURS, hours, (h) => '#/mx/' +
			encodeURIComponent(g.group) + '?hours=' + h)),
	g.history.length === 0 ? empty('There is no history yet: it is ' +
		'kept minute by minute from the first mail on.') :
		[charts.place('mx-outcomes', 'Messages per minute'),
			charts.legend(TIMES),
			el('div.multiples', null, present.map((name) =>
				charts.place('mx-' + name, PHASE_NAMES[name],
					true)))]);
}

const TIMES = [{ name: 'median time', colour: 'accent' },
	{ name: '99 % are faster', colour: 'other', thin: true }];

const OUTCOMES = [['delivered', 'good'], ['deferred', 'warn'],
	['rejected', 'bad'], ['unreached', 'none']];

/* Steps without mail are gaps. */
function drawHistory(g, hours) {
	const to = Date.now(), from = to - hours * 3600000;
	const list = g.history.map((h) => ({ ...h, at_us: h.from_us ??
		toUs(h.at) })).sort((a, b) => a.at_us - b.at_us);
	const step = g.step_s * 1000;
	const least = 12 * step;	/* else two points are a long slope */
	/* The last step is not over. */
	const minutes = (h) => Math.max(60000, Math.min(step, to -
		h.at_us / 1000)) / 60000;
	const line = (name, colour, value, more) => ({ name, colour,
		points: charts.points(list, value), ...more });
	charts.draw('mx-outcomes', { title: 'Messages per minute', from, to,
		span: least, stacked: true, least: 1,
		format: (v) => perSecond(v), lines: OUTCOMES.map(([key,
			colour]) => line(key, colour, (h) => OUTCOMES.some(
			([name]) => h[name] > 0) ? h[key] / minutes(h) :
			null)) });
	const top = Math.max(...list.flatMap((h) => Object.values(h.phases ||
		{}).map((p) => p.p99_us || 0)), 1) / 1e6;
	for (const name of PHASES)
		charts.draw('mx-' + name, { title: PHASE_NAMES[name], from,
			to, span: least, small: true, least: top / 50,
			format: (v) => duration(v * 1e6), lines: [
				line('median', 'accent', (h) => inSeconds(
					h.phases?.[name]?.p50_us)),
				line('99 %', 'other', (h) => inSeconds(
					h.phases?.[name]?.p99_us),
				{ thin: true })] });
}

function inSeconds(us) {
	return us > 0 ? us / 1e6 : null;
}

export const group = {
	name: 'group', tab: 'mx',
	title: (route) => route.argument,
	missing: 'weir has not spoken to this group of MXs since it started.',
	every: 10,
	load: async (route) => ({ history: [], transitions: [],
		...await get('api/v1/mx/' + encodeURIComponent(route.argument)
			+ '?hours=' + (Number(route.query.get('hours')) ||
			24)) }),
	draw: (g, route) => [el('p.back', { key: 'back' },
		link('#/mx', 'All MX groups')), verdict(g),
	why(g), sourceRows(g), historyCharts(g,
		route.query.get('hours') || '24'),
	el('div.panels', { key: 'panels' }, categories(g),
		transitions(g)), measured(g)],
	after: (g, route) => g.history.length > 0 && drawHistory(g,
		Number(route.query.get('hours')) || 24),
	on: { mx: () => 'load' },
};
