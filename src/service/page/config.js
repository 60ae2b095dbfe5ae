/*
 * The configuration in force, and where weir listens.
 */
import { get } from './api.js';
import { el, wire } from './dom.js';
import { bytes, count, time } from './format.js';
import { haveStatus, live } from './live.js';
import { card, empty, notice, table } from './widgets.js';

function shownValue(v) {
	return v === '' || v === null ? el('span.muted', null, '(empty)') :
		el('code.wire', null, String(v));
}

function keyTable(keys) {
	return table({ label: 'Configuration', spec: 'dense.keys', columns: [
		{ name: 'Key' }, { name: 'Value' }, { name: 'Default' },
		{ name: 'Line', num: true }],
	rows: keys.map((k, i) => ({ key: k.key + i, spec: k.is_default ?
		'default' : '', cells: [el('code', null, k.key),
		shownValue(k.value), k.is_default ? el('span.muted', null,
			'the same') : shownValue(k.default
			.replace(/^"(.*)"$|^{}$/, '$1')),
		k.line > 0 ? String(k.line) : '\u2013'] })) });
}

function listeners(list) {
	return card('Listeners', list.length === 0 ? empty('No listener is ' +
		'open: add a ', el('code', null, 'listener'), ' block.') :
		table({ label: 'Listeners', columns: [{ name: 'Name' },
			{ name: 'Address' }, { name: 'Mode' }],
		rows: list.map((l) => ({ key: l.name, cells: [wire(l.name),
			el('code', null, l.address), l.destination ?
				`${l.mode} to ${l.destination}` : l.mode] }))
		}));
}

function workers(list) {
	return card('Workers', table({ label: 'Workers', columns: [
		{ name: 'Thread' }, { name: 'Open', num: true },
		{ name: 'Connections', num: true },
		{ name: 'From clients', num: true },
		{ name: 'From MXs', num: true }],
	rows: list.map((w, i) => ({ key: i, cells: [`#${i + 1}`,
		count(w.sessions_open), count(w.connections),
		bytes(w.client_bytes), bytes(w.upstream_bytes)] })) }));
}

function file(c, all) {
	const chosen = c.keys.filter((k) => all || !k.is_default);
	return el('section.card', { 'aria-labelledby': 't-file' },
		el('div.bar', null, el('h2', { id: 't-file' },
			'Configuration'), el('label.row', null, el('input', {
			type: 'checkbox', id: 'all-keys' }),
		' Show defaults, too')), el('p.note', null, el('code', null,
			c.file), ', read ', time(c.loaded_at)),
		chosen.length === 0 ? empty('Everything is as it is by ' +
			'default.') : keyTable(chosen));
}

export const config = {
	name: 'config',
	title: () => 'Configuration',
	every: 30,
	all: false,
	async load(route, old) {
		this.all = old === null ? false : this.all;
		await haveStatus();
		try {
			return await get('api/v1/config');
		} catch (error) {
			if (error.status === 0 || error.status === 401)
				throw error;
			return { error: error.message };
		}
	},
	draw(c) {
		return [el('div.panels', { key: 'panels' },
			listeners(live.status.listeners),
			workers(live.status.workers)),
		c.error ? notice('warn', `The configuration: ${c.error}.`) :
			file(c, this.all)];
	},
	change(event) {
		this.all = event.target.checked;
		return true;
	},
	on: { reload: () => 'load', status: () => true },
};
