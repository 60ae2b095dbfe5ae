/*
 * Policies: whether they answer, how fast, what they say, and what an observer
 * would have changed.
 */
import { get } from './api.js';
import { el, wire } from './dom.js';
import { count, duration, plural, share, sum, words } from './format.js';
import { bars, card, empty, facts, kindOf, notice,
	toSessions } from './widgets.js';
import { policyState } from './overview.js';

const CAUSES = { connect: 'no connection', handshake: 'handshake failed',
	timeout: 'no answer in time', protocol: 'broke the protocol',
	invalid_decision: 'invalid decision', overload: 'too many questions ' +
	'at once', circuit_open: 'circuit open' };

function positive(counters) {
	return Object.entries(counters || {}).filter(([, n]) => n > 0);
}

function counted(title, counters, none, names = {}, kinds = kindOf) {
	const list = positive(counters);
	return el('div', { key: title }, el('h3', null, title),
		list.length === 0 ? empty(none) : bars(list.map(([name, n]) =>
			[names[name] || name, n]), kinds));
}

function latency(p) {
	return el('div', { key: 'latency' }, el('h3', null, 'Latency'),
		p.requests === 0 ? empty('Not asked yet.') : facts([
			['Median', duration(p.latency_p50_us)],
			['90\u202f%', duration(p.latency_p90_us)],
			['99\u202f%', duration(p.latency_p99_us)],
			['Ping', p.pong_us > 0 ? duration(p.pong_us) : null],
			['Late by, median', p.answers_dropped.late > 0 ?
				duration(p.late_p50_us) : null],
			['Late answers', p.answers_dropped.late > 0 ?
				count(p.answers_dropped.late) : null]]));
}

function standing(p) {
	return facts([
		['Endpoint', el('code', null, p.endpoint)],
		['Mode', [words(p.mode), p.required ? ', required' : '']],
		['Stage', String(p.stage)],
		['Software', p.software ? [wire(p.software), p.version ?
			[', rules ', wire(p.version)] : ''] : null],
		['Workers that have it', count(p.ready_workers)],
		['Asked', count(p.requests)],
		['Told', count(p.notifications)],
		['Connected', plural(p.connects, 'time', 'times')],
	]);
}

function observer(p) {
	const n = sum(p.would_change);
	if (p.mode !== 'observe' && n === 0)
		return null;
	return el('div', { key: 'observer' }, el('h3', null,
		'Would have changed'), n === 0 ? empty(
		'Nothing: as an enforcer it had done what was done anyway.') :
		[el('p', null, share(n / Math.max(1, p.requests)) +
			' of what it was asked about.'),
		bars(positive(p.would_change), kindOf)]);
}

function policyCard(p) {
	const errors = sum(p.errors);
	return el('section.card.policy', { key: p.name,
		'aria-label': 'Policy ' + p.name }, el('div.bar', null,
		el('h2', null, wire(p.name), ' ', policyState(p)),
		toSessions({ policy: p.name }, 'Its sessions')),
	p.state !== 'ready' || p.breaker !== 'closed' ? notice(p.required ?
		'bad' : 'warn', 'It is not asked now; its on_error decides. ' +
		'weir goes on trying: start the policy server, or look ' +
		'into its log.') : null,
	el('div.four', null, standing(p), latency(p),
		counted('Verdicts', p.actions, 'None yet.'),
		el('div', null, counted(`Errors ${errors > 0 ? '(' +
			share(errors / Math.max(1, p.requests)) + ')' : ''}`,
		p.errors, 'None.', CAUSES, () => 'bad'), observer(p))));
}

export const policies = {
	name: 'policies',
	title: () => 'Policies',
	every: 5,
	load: () => get('api/v1/policies'),
	draw: (list) => list.length === 0 ? card('No policy', empty(
		'All mail is relayed as it comes. Add a ', el('code', null,
			'policy "name" { endpoint = "unix:/run/\u2026" }'),
		' block to weir.conf and reload; mode = "observe" tries it ' +
		'without effect.')) : list.map(policyCard),
	on: { policy: () => 'load' },
};
