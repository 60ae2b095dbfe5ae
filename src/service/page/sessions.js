/*
 * Sessions: searched for, or as they end.
 */
import { get } from './api.js';
import { el, wire } from './dom.js';
import { duration, NONE, plural, time, toUs } from './format.js';
import { badge, empty, link, state, table } from './widgets.js';
import { live } from './live.js';

const ROWS = 50, TAIL_MAX = 200, SLOW_MS = 500;

export const CAUSES = {
	quit: 'ended by QUIT',
	client_gone: 'the client went away',
	upstream_gone: 'the MX went away',
	connect_failed: 'no connection to the MX',
	client_timeout: 'the client timed out',
	upstream_timeout: 'the MX timed out',
	upstream_protocol: 'the MX broke the protocol',
	tls_failed: 'TLS failed',
	policy: 'ended by a policy',
	refused: 'refused by weir',
	drain: 'weir was stopping',
	tunnel: 'a blind tunnel',
	limit: 'a limit was reached',
	internal: 'a failure of weir',
	killed: 'weir itself was killed',
};

const FIELDS = [
	{ name: 'q', label: 'Anything', hint: 'part of an address or id' },
	{ name: 'sender', label: 'Sender', hint: 'anna@example.com, ' +
		'@example.com' },
	{ name: 'recipient', label: 'Recipient', hint: 'bob@example.net, ' +
		'@example.net' },
	{ name: 'client', label: 'Client', hint: '192.0.2.7' },
	{ name: 'mx', label: 'MX', hint: 'address or group' },
	{ name: 'code', label: 'Code', hint: '550, 5xx, 5.7.1' },
	{ name: 'outcome', label: 'Outcome', options: ['', 'delivered',
		'deferred', 'rejected', 'discarded', 'aborted'] },
	{ name: 'policy', label: 'Policy', hint: 'its name' },
	{ name: 'since', label: 'Since', hint: '2h, 7d, 2026-11-22T08:00:00Z' },
	{ name: 'until', label: 'Until', hint: '1h, or a time' },
];

function input(f, value) {
	const id = 'f-' + f.name;
	return el('div.field', { key: f.name }, el('label', { for: id },
		f.label), f.options ? el('select', { id, name: f.name },
		f.options.map((o) => el('option', { value: o,
			selected: o === value }, o || 'any'))) :
		el('input', { id, name: f.name, placeholder: f.hint, value,
			autocomplete: 'off', spellcheck: 'false',
			maxlength: 320 }));
}

function form(query) {
	return el('form.search', { key: 'form', role: 'search',
		'aria-label': 'Sessions' }, FIELDS.map((f) =>
		input(f, query.get(f.name) || '')), el('div.field.buttons',
		null, el('button.primary', null, 'Search'),
		el('a', { href: '#/sessions', 'data-clear': true }, 'Clear'),
		link('#/sessions?tail=1', 'Live tail')));
}

export function address(text) {
	return text === '' || text === '<>' ? '<> (bounce)' : wire(text);
}

function why(s) {
	return s.capped ? 'held back by weir\u2019s own cap' :
		CAUSES[s.cause] || s.cause;
}

function result(s) {
	return [s.outcome ? [state(s.outcome), s.code ? el('code.code', null,
		s.code) : null] : badge('none', s.cause ? 'no mail' : 'open'),
		!s.capped && (s.outcome || s.cause === 'quit') ? null :
			el('span.note', { title: s.connect_error }, why(s))];
}

function row(s) {
	return { key: s.id, cells: [
		el('a', { href: '#/session/' + encodeURIComponent(s.id) },
			time(s.occurred_at)),
		el('span', null, result(s)),
		s.sender === null || s.sender === undefined ? NONE :
			el('span.cut', { title: s.sender }, address(s.sender)),
		el('span.cut', { title: s.recipients }, s.recipients ?
			wire(s.recipients) : NONE),
		el('code', null, s.client),
		el('code', null, s.destination),
		s.tls ? s.tls.replace('TLS', 'TLS ') : el('span.muted', null,
			'clear'),
		s.duration_ms === null ? NONE :
			duration(s.duration_ms * 1000)] };
}

const COLUMNS = [{ name: 'Began' }, { name: 'Result', spec: 'bare' },
	{ name: 'Sender', spec: 'bare.full' },
	{ name: 'Recipients', spec: 'bare.full' },
	{ name: 'Client', spec: 'wide' }, { name: 'MX', spec: 'more' },
	{ name: 'TLS', spec: 'wide' },
	{ name: 'Took', num: true, spec: 'more' }];

function filters(query) {
	const known = FIELDS.map((f) => f.name);
	return [...query].filter(([name, value]) => known.includes(name) &&
		value !== '');
}

function nothing(data, query) {
	if (data.tail)
		return empty(live.link === 'live' ? 'Waiting for the next ' +
			'session to end \u2026' : 'There is no live stream ' +
			'now: trying again.');
	if (data.before)
		return empty('There are no older sessions.');
	return filters(query).length > 0 ? empty('No session in the record ' +
		'matches. Use fewer fields, or a part of an address such as ' +
		'@example.com; what is older than record.retention is gone.') :
		empty('No session yet. Send a message through a listener ' +
		'(Configuration names them), or redirect port 25 to it with ' +
		'contrib/weir-rules.');
}

function pager(list, query, before) {
	const to = (more) => '#/sessions?' + new URLSearchParams(
		[...filters(query), ...more]);
	return el('p.pager', { key: 'pager' }, before ? link(to([]),
		'Back to the newest') : null, list.length < ROWS ? null :
		link(to([['before', toUs(list.at(-1).occurred_at)]]),
			'Older sessions'));
}

export const sessions = {
	name: 'sessions',
	title: (route) => route.query.has('tail') ? 'Sessions, live' :
		'Sessions',
	every: 10,
	async load(route, old) {
		const { query } = route;
		const asked = query.toString();
		if (query.has('tail'))
			return old?.asked === asked ? old : { list: [], asked,
				tail: true, omitted: 0 };
		const before = query.get('before');
		/* Pages of the past do not change; and what takes the database
		 * long is not asked again and again. */
		if (old?.asked === asked && !this.anew && (before || old.slow))
			return old;
		this.anew = false;
		const begun = performance.now();
		const list = await get('api/v1/sessions?' +
			new URLSearchParams([...filters(query),
				...(before ? [['before', before]] : []),
				['limit', ROWS]]));
		const slow = performance.now() - begun > SLOW_MS;
		return { asked, before, list, slow };
	},
	draw(data, { query }) {
		const { list } = data;
		return [data.tail ? el('p.bar', { key: 'tail' },
			el('span', null, badge(live.link === 'live' ? 'good' :
				'warn', live.link === 'live' ? 'Live' :
				'No stream'), ' Sessions as they end, the ' +
			`newest first, at most ${TAIL_MAX}.` +
			(data.omitted > 0 ? ` ${plural(data.omitted,
				'session was', 'sessions were')} left out: ` +
				'there are too many to read.' : '')),
			link('#/sessions', 'Search instead')) : form(query),
		data.slow ? el('p.note', { key: 'slow' }, 'This ' +
			'search takes long: it is repeated by the button only.'
		) : null,
		list.length === 0 ? nothing(data, query) : table({
			label: 'Sessions', spec: 'dense.sessions',
			columns: COLUMNS, rows: list.map(row) }),
		data.tail ? null : pager(list, query, data.before)];
	},
	click(event) {
		if (event.target.closest('[data-clear]') !== null)
			for (const field of event.target.closest('form')
				.elements)
				field.value = '';
		return false;
	},
	submit(event) {
		event.preventDefault();
		const query = new URLSearchParams();
		for (const [name, value] of new FormData(event.target))
			if (value.trim() !== '')
				query.set(name, value.trim());
		const hash = '#/sessions' + (query.size > 0 ? '?' + query :
			'');
		this.anew = true;
		if (location.hash === hash)
			return 'load';
		location.hash = hash;
		return false;
	},
	on: {
		session(s, data) {
			if (!data.tail)
				return false;
			data.list.unshift(s);
			data.list.length = Math.min(data.list.length,
				TAIL_MAX);
			return true;
		},
		omitted(o, data) {
			data.omitted += o.n ?? 0;
			return Boolean(data.tail);
		},
	},
};
