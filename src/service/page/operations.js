/*
 * What an operator can do, to which addresses, and what was done.
 */
import { button } from './actions.js';
import { eachSource } from './alarms.js';
import { get } from './api.js';
import { el, lines, wire } from './dom.js';
import { count, time, words } from './format.js';
import { sourceState } from './overview.js';
import { badge, card, empty, notice, table } from './widgets.js';

function orders() {
	return card('weir', el('dl.orders', null,
		el('div', null, el('dt', null, button('reload', 'Reload')),
			el('dd', null, 'Read the configuration again; if it ' +
				'is wrong, nothing changes.')),
		el('div', null, el('dt', null, button('drain', 'Drain')),
			el('dd', null, 'Take no new connection, let open ' +
				'sessions end, and stop.'))));
}

function why(a) {
	return a.suspended ? el('span.note', null, 'by hand', a.suspended_until
		? [', until ', time(a.suspended_until)] : null) :
		a.up ? null : el('span.note', null, a.why, a.since ?
			[', since ', time(a.since)] : null);
}

function addresses(sources) {
	const list = eachSource(sources);
	return card('Source addresses', list.length === 0 ? empty('No source ' +
		'address is configured, so none can be suspended. The kernel ' +
		'chooses.') : table({ label: 'Source addresses', columns: [
		{ name: 'Address' }, { name: 'Pool' }, { name: 'State' },
		{ name: 'Weight', num: true }, { name: 'Open', num: true },
		{ name: 'So far', num: true }, { name: 'Action' }],
	rows: list.map((a) => ({ key: a.pool.name + a.address, cells: [
		el('code', null, a.address), [a.pool.name || el('span.muted',
			null, 'upstream.source'), a.pool.ehlo_name ?
			el('span.note', null, a.pool.ehlo_name) : null],
		el('div', null, sourceState(a), why(a)),
		a.weight === undefined ? '\u2013' : count(a.weight),
		count(a.open), count(a.connections), a.pool.name === '' ?
			null : a.suspended ?
			button('resume', 'Resume', a.address) :
			button('suspend', 'Suspend', a.address)] })) }));
}

function done(list) {
	return card('What was done', list.length === 0 ? empty('Nothing was ' +
		'ordered yet. Every reload, drain, suspend and resume is ' +
		'listed here.') : table({ label: 'Operations', columns: [
		{ name: 'When' }, { name: 'What' }, { name: 'By' },
		{ name: 'Result' }],
	rows: list.map((o, i) => ({ key: o.occurred_at + i, cells: [
		time(o.occurred_at), [words(o.operation), o.argument ? [' ',
			el('code.wire', null, o.argument)] : null],
		wire(o.by), o.result === 'ok' ? badge('good', 'done') :
			el('div', null, badge('bad', /^refused /.test(
				o.result) ? 'refused' : 'failed'),
				lines(o.result))] })) }));
}

export const operations = {
	name: 'operations',
	title: () => 'Operations',
	every: 5,
	async load() {
		const sources = await get('api/v1/sources');
		try {
			const list = await get('api/v1/operations?limit=50');
			return { sources, list: list.operations ?? list };
		} catch (error) {
			if (error.status === 0 || error.status === 401)
				throw error;
			return { sources, error: error.message };
		}
	},
	draw: ({ sources, list, error }) => [orders(), addresses(sources),
		error ? notice('warn', `What was done: ${error}.`) :
			done(list)],
	on: { operation: () => 'load' },
};
