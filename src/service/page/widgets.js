/*
 * The parts that every view is made of. A state is always said in words, with
 * a sign of its own beside the colour.
 */
import { el, svg, wire } from './dom.js';
import { count, duration, share, words } from './format.js';

const KINDS = {
	delivered: 'good', deferred: 'warn', rejected: 'bad',
	discarded: 'other', aborted: 'none',
	normal: 'good', suspect: 'warn', recovering: 'warn', throttled: 'bad',
	blocked: 'bad',
	ready: 'good', connecting: 'warn', handshake: 'warn', down: 'bad',
	up: 'good', relay: 'good', reject: 'bad', tempfail: 'warn',
	discard: 'other', disconnect: 'bad',
};

export function badge(kind, text) {
	return el('span.badge.' + kind, null, text);
}

export function state(name, text) {
	return badge(KINDS[name] || 'none', text || words(name));
}

export function kindOf(name) {
	return KINDS[name] || 'none';
}

/*
 * table({ label, id, columns: [{ name, num, spec, sort, title }], rows:
 * [{ key, cells, spec }], sorted: 'name' })
 * The first cell names its row. On a narrow screen a row becomes a card, with
 * the names of the columns beside the cells.
 */
export function table({ label, columns, rows, sorted, spec = '' }) {
	const head = (c) => {
		const cell = 'th' + (c.num ? '.num' : '') +
			(c.spec ? '.' + c.spec : '');
		if (c.sort === undefined)
			return el(cell, { scope: 'col', title: c.title },
				c.name);
		return el(cell, { scope: 'col', title: c.title, 'aria-sort':
			sorted === c.sort ? 'descending' : null },
		el('button.sort', { type: 'button', 'data-sort': c.sort },
			c.name));
	};
	const body = (row) => el('tr' + (row.spec ? '.' + row.spec : ''),
		{ key: row.key }, row.cells.map((cell, i) => {
			const c = columns[i];
			return el((i === 0 ? 'th' : 'td') + (c.num ? '.num' :
				'') + (c.spec ? '.' + c.spec : ''),
			i === 0 ? { scope: 'row' } : { 'data-label': c.name },
			cell);
		}));
	return el('table' + (spec && '.' + spec), { 'aria-label': label },
		el('thead', null, el('tr', null, columns.map(head))),
		el('tbody', null, rows.map(body)));
}

export function empty(...children) {
	return el('p.empty', null, children);
}

export function notice(kind, ...children) {
	return el('p.notice.' + kind, null, children);
}

export function facts(pairs) {
	return el('dl.facts', null, pairs.filter(([, value]) =>
		value !== null && value !== undefined && value !== '')
		.map(([name, value, kind]) => el('div', { key: name },
			el('dt', null, name),
			el(kind ? 'dd.' + kind : 'dd', null, value))));
}

export function card(title, ...children) {
	const id = 't-' + title.toLowerCase().replace(/[^a-z]+/g, '-');
	return el('section.card', { 'aria-labelledby': id, key: id },
		el('h2', { id }, title), children);
}

/* A number of which everybody knows at once whether it is much. */
export function tile({ key, name, value, unit, note, kind, trend }) {
	return el('div.tile' + (kind ? '.' + kind : ''), { key: key },
		el('dt', null, name),
		el('dd', null, el('span.value', null, value),
			unit ? el('span.unit', null, ' ' + unit) : null,
			el('span.note', null, note || '\u00a0')),
		trend ? el('dd.trend', { 'aria-hidden': 'true' },
			spark(trend)) : null);
}

function spark(values) {
	const width = 120, height = 24;
	const top = Math.max(...values, 0) || 1;
	const step = width / Math.max(1, values.length - 1);
	const path = values.map((v, i) => (i * step).toFixed(1) + ',' +
		(height - 1 - v / top * (height - 3)).toFixed(1));
	return svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'spark',
		preserveAspectRatio: 'none' }, values.length < 2 ? null :
		svg('path', { d: 'M' + path.join('L') }));
}

/* A share, as a number with a bar behind it. */
export function meter(part, kind) {
	const width = Math.max(0, Math.min(1, part || 0)) * 100;
	return el('span.meter', null, svg('svg', { class: 'bar ' + kind,
		viewBox: '0 0 100 4', preserveAspectRatio: 'none',
		'aria-hidden': 'true' },
	svg('rect', { class: 'back', width: 100, height: 4 }),
	svg('rect', { class: 'part', width: width.toFixed(1), height: 4 })),
	el('span.share', null, share(part)));
}

/* [name, n] pairs as bars below one another. */
export function bars(pairs, kinds = () => 'none') {
	const top = Math.max(...pairs.map(([, n]) => n), 1);
	return el('ul.bars', null, pairs.map(([name, n]) =>
		el('li', { key: name }, wire(words(name), 'span'),
			svg('svg', { class: 'bar ' + kinds(name),
				viewBox: '0 0 100 4', preserveAspectRatio:
				'none', 'aria-hidden': 'true' },
			svg('rect', { class: 'part', height: 4,
				width: (n / top * 100).toFixed(1) })),
			el('b.num', null, count(n)))));
}

export function quantiles(p50, p99) {
	return el('span.whole', null, duration(p50), el('span.muted', null,
		' / '), duration(p99));
}

/* { name: [[value, text], ...] } as links that say which is chosen. */
export function choice(label, options, chosen, href) {
	return el('nav.choice', { 'aria-label': label }, options.map(
		([value, text]) => el('a', { href: href(value),
			'aria-current': value === chosen ? 'true' : null },
		text)));
}

export function link(href, ...children) {
	return el('a', { href }, children);
}

export function toSession(id, ...children) {
	return link('#/session/' + encodeURIComponent(id), children);
}

export function toGroup(group) {
	return el('a.wire', { href: '#/mx/' + encodeURIComponent(group) },
		group);
}

export function toSessions(filters, ...children) {
	return link('#/sessions?' + new URLSearchParams(filters), children);
}
