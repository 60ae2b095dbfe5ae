/*
 * What somebody sees first in the morning, and in an incident.
 */
import { eachSource, troubleList, troubles } from './alarms.js';
import { get } from './api.js';
import * as charts from './charts.js';
import { el } from './dom.js';
import { bytes, count, duration, perSecond, plural, share,
	time } from './format.js';
import { haveStatus, live, rate } from './live.js';
import { grouped, OF_ALL } from './mx.js';
import { badge, card, choice, empty, facts, meter, notice, quantiles, state, table,
	tile, toGroup } from './widgets.js';

const OUTCOMES = [
	{ key: 'delivered', name: 'delivered', colour: 'good' },
	{ key: 'deferred', name: 'deferred', colour: 'warn' },
	{ key: 'rejected', name: 'rejected', colour: 'bad' },
	{ key: 'discarded', name: 'discarded', colour: 'other' },
	{ key: 'aborted', name: 'aborted', colour: 'none' },
];
const SPANS = [['60', 'Hour'], ['360', '6 hours'], ['1440', 'Day']];
const TOP = 10;

/* ------------------------------------------------------------------- tiles */

function all(seconds) {
	return OUTCOMES.reduce((total, o) =>
		total + (rate(o.key, seconds) || 0), 0);
}

function part(key, kind) {
	const total = all(60);
	const now = rate(key, 60);
	const name = key[0].toUpperCase() + key.slice(1);
	const c = live.status.counters;
	return tile({ key, name, kind: total > 0 && now / total > 0.2 ? kind :
		null, value: total > 0 ? share(now / total) : share(null),
	note: count(c[key]) + ' since the start' });
}

function tiles() {
	const s = live.status, l = s.latencies.final_reply;
	const trend = live.ticks.slice(-120).map((t) => OUTCOMES.reduce(
		(n, o) => n + (t[o.key] || 0), 0) / t.seconds);
	return el('dl.tiles', { 'aria-label': 'Now' },
		tile({ key: 'rate', name: 'Messages', unit: '/s', trend,
			value: live.ticks.length === 0 ? '\u2026' :
				perSecond(all(10)), note: 'over 10 s' }),
		part('delivered'), part('deferred', 'warn'),
		part('rejected', 'bad'),
		tile({ key: 'open', name: 'Open sessions',
			value: count(live.ticks.at(-1)?.sessions_open ??
				s.counters.sessions_open),
			note: perSecond(rate('connections')) +
				'/s connect' }),
		tile({ key: 'final', name: 'Final reply, median',
			value: l.count === 0 ? '\u2013' :
				duration(l.latency_p50_us),
			note: l.count === 0 ? 'none yet' : '99\u202f% in ' +
				duration(l.latency_p99_us) }));
}

/* ------------------------------------------------------------------ panels */

function attention() {
	const list = troubles(live.status);
	return card('Needs attention', list.length === 0 ?
		el('p.calm', null, badge('good', 'Nothing'), ' weir is ' +
			'ready, its policies answer, no MX blocks an ' +
			'address, and the record is written.') :
		troubleList(list));
}

function mxPanel(mx) {
	return card('MX groups', mx.length === 0 ? empty('No MX has been ' +
		'spoken to yet. Groups appear with the first mail.') : [table({
		label: 'MX groups that matter most', spec: 'dense', columns: [
			{ name: 'Group' }, { name: 'State', spec: 'bare' },
			{ name: 'Deferred', num: true, title: OF_ALL },
			{ name: 'Rejected', num: true, title: OF_ALL }],
		rows: grouped(mx).slice(0, TOP).map((m) => ({ key: m.group,
			cells: [toGroup(m.group), state(m.state),
				meter(m.deferred, 'warn'),
				meter(m.rejected, 'bad')] })) }),
	el('p.all', null, el('a', { href: '#/mx' }, 'All MX groups'))]);
}

function policyPanel(policies) {
	return card('Policies', policies.length === 0 ? empty('No policy is ' +
		'configured: all mail is relayed as it comes. Add a ',
	el('code', null, 'policy "name" { endpoint = "unix:/run/\u2026" }'),
	' block to weir.conf and reload.') : table({ label: 'Policies',
		columns: [{ name: 'Policy' }, { name: 'State' },
			{ name: 'Asked', num: true },
			{ name: 'Median / 99\u202f%', num: true },
			{ name: 'Errors', num: true }],
		rows: policies.map((p) => ({ key: p.name, cells: [
			el('a.wire', { href: '#/policies' }, p.name),
			policyState(p), count(p.requests),
			p.requests > 0 ? quantiles(p.latency_p50_us,
				p.latency_p99_us) : '\u2013',
			share(Object.values(p.errors).reduce((a, b) =>
				a + b, 0) / Math.max(1, p.requests))] })) }));
}

export function policyState(p) {
	return p.state === 'ready' && p.breaker !== 'closed' ?
		badge('warn', 'circuit ' + p.breaker) :
		state(p.state, p.state === 'handshake' ? 'shaking hands' :
			p.state);
}

export function sourceState(a) {
	return a.suspended ? badge('warn', 'suspended') : !a.watched ?
		badge('warn', 'not watched') : a.up ? badge('good', 'up') :
			badge('bad', 'out');
}

function sourcePanel(sources) {
	const list = eachSource(sources);
	return card('Source addresses', list.length === 0 ? empty('The kernel ' +
		'chooses the source address. Name addresses in ',
	el('code', null, 'upstream.source'), ' or in a ',
	el('code', null, 'pool'), ' to watch them here.') : table({
		label: 'Source addresses', columns: [{ name: 'Address' },
			{ name: 'Pool' }, { name: 'State' },
			{ name: 'Open', num: true },
			{ name: 'So far', num: true }],
		rows: list.map((a) => ({ key: a.pool.name + a.address, cells: [
			el('code', null, a.address),
			a.pool.name || el('span.muted', null, 'default'),
			[sourceState(a), a.up ? null : el('span.note', null,
				a.why)], count(a.open), count(a.connections)]
		})) }));
}

function machine(s) {
	const c = s.counters, l = s.latencies;
	const tails = (h) => h.count === 0 ? '\u2013' :
		quantiles(h.latency_p50_us, h.latency_p99_us);
	const sink = (one) => !one.on ? el('span.muted', null, 'off') :
		one.ok ? badge('good', 'writing') : badge('bad', 'failing');
	return card('This weir', facts([
		['Running since', time(s.started_at)],
		['Traffic', perSecondBytes()],
		['Connect, median / 99\u202f%', tails(l.connect)],
		['Reply to DATA, median / 99\u202f%', tails(l.data_reply)],
		['MXs not reached', count(c.connect_failed)],
		['MX timeouts', count(c.timeout_upstream)],
		['TLS with MXs', `${count(c.tls_upstream)}, ` +
			`${count(c.tls_failed)} failed`],
		['Record: SQLite', sink(s.record.sqlite)],
		['Record: JSON lines', sink(s.record.json)],
		['Record: waiting', plural(s.record.queued, 'part', 'parts')],
		['Lost with the run before', s.record.sessions_lost > 0 ?
			plural(s.record.sessions_lost, 'session',
				'sessions') : null],
	]));
}

function perSecondBytes() {
	const now = rate('client_bytes');
	return now === null ? '\u2026' : bytes(now) + '/s';
}

/* ------------------------------------------------------------------ charts */

function chartSpecs(series) {
	const p = series.points;
	const to = p.length > 0 ? p.at(-1).at_us / 1000 : Date.now();
	const common = { to, from: to - series.minutes * 60000 };
	const line = (name, colour, value, more) => ({ name, colour,
		points: charts.points(p, value), ...more });
	const ms = (us) => us > 0 ? us / 1e6 : null;
	const seconds = (v) => duration(v * 1e6);
	const each = (n) => n / series.step_s;
	return {
		outcomes: { ...common, title: 'Messages per second',
			stacked: true, least: 1, format: (v) => perSecond(v),
			lines: OUTCOMES.map((o) => line(o.name, o.colour,
				(q) => each(q[o.key]))) },
		final: { ...common, title: 'Final reply', format: seconds,
			lines: [line('median', 'accent', (q) =>
				ms(q.final_p50_us), { fill: true }),
			line('99 %', 'other', (q) => ms(q.final_p99_us),
				{ thin: true })] },
		open: { ...common, title: 'Open sessions', least: 5,
			format: (v) => count(Math.round(v)),
			lines: [line('open', 'accent', (q) => q.sessions_open,
				{ fill: true })] },
		connect: { ...common, title: 'Connecting to MXs',
			format: seconds, lines: [line('median', 'accent',
				(q) => ms(q.connect_p50_us), { fill: true })] },
	};
}

function chartPlaces({ minutes, error }) {
	minutes = String(minutes);
	return error ? notice('warn', `There are no charts: ${error}.`) : el('section.charts', { 'aria-labelledby': 'charts-title' },
		el('div.bar', null, el('h2', { id: 'charts-title' },
			'What happened'), choice('How far back', SPANS,
			minutes, (m) => '#/?minutes=' + m)),
		el('div.grid', null,
			charts.place('outcomes', 'Messages per second'),
			charts.place('final', 'Final reply'),
			charts.place('open', 'Open sessions'),
			charts.place('connect', 'Connecting to MXs')));
}

/* New points behind those that are known: an hour of them is long. What is
 * kept in minutes is asked for once a minute. */
async function loadSeries(minutes, old) {
	const fits = old?.minutes === minutes && old.points?.length > 0;
	if (fits && minutes > 60 && Date.now() - old.asked < 55000)
		return old;
	const tail = fits && minutes <= 60;
	const fresh = { ...await get('api/v1/series?minutes=' +
		(tail ? 3 : minutes)), minutes, asked: Date.now() };
	if (!tail)
		return fresh;
	if (fresh.points.length === 0)
		return old;
	const from = fresh.points[0].at_us;
	const until = fresh.points.at(-1).at_us - minutes * 6e7;
	return { ...fresh, points: old.points.filter((p) =>
		p.at_us < from && p.at_us >= until).concat(fresh.points) };
}

export const overview = {
	name: '',
	title: () => 'Overview',
	every: 10,
	async load(route, old) {
		const minutes = Number(route.query.get('minutes')) || 60;
		const [series] = await Promise.all([
			loadSeries(minutes, old?.series).catch((error) => {
				if (error.status === 0 || error.status === 401)
					throw error;
				return { minutes, error: error.message };
			}), haveStatus()]);
		return { series };
	},
	draw({ series }) {
		const s = live.status;
		return [tiles(), attention(), chartPlaces(series),
		el('div.panels.overview', { key: 'panels' }, mxPanel(s.mx),
			policyPanel(s.policies), sourcePanel(s.sources),
			machine(s))];
	},
	after({ series }) {
		if (!series.error)
			for (const [key, spec] of Object.entries(
				chartSpecs(series)))
				charts.draw(key, spec);
	},
	on: { status: () => true, tick: () => true },
};
