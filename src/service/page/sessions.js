/*
 * Part 3: the list of sessions, and one session as a timeline, drawn from
 * /api/v1/sessions and /api/v1/sessions/ID.
 */
'use strict';

const PAGE_ROWS = 50;

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

const OUTCOMES = { delivered: 'good', deferred: 'warn', rejected: 'bad',
	discarded: 'other', aborted: 'none' };

const CAUSES = {
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
};

function outcomeBadge(outcome) {
	return badge(OUTCOMES[outcome] || 'none', outcome);
}

function address(text) {
	return text === '' || text === '<>' ? '<> (bounce)' : text;
}

function resultOf(s) {
	if (s.outcome)
		return [outcomeBadge(s.outcome), s.code ?
			el('span.small.muted', null, ' ' + s.code) : null];
	return [badge('none', s.ended ? 'no mail' : 'open'),
		el('div.small.muted', null, CAUSES[s.cause] || s.cause)];
}

function sessionRow(s) {
	const open = el('button.link', { type: 'button', 'data-id': s.id,
		title: whenFull(s.started) }, when(s.started));
	const cell = (label, spec, ...children) =>
		el(spec, { 'data-label': label }, children);
	return el('tr', { 'data-id': s.id },
		cell('Time', 'td', open),
		cell('Client', 'td', el('code', null, s.client)),
		cell('MX', 'td', el('code', null, s.mx)),
		cell('From', 'td', el('span.cut', { title: s.sender },
			s.sender === null ? '\u2013' : address(s.sender))),
		cell('To', 'td', el('span.cut', { title: s.recipient },
			s.recipient || '\u2013')),
		cell('Result', 'td', el('div', null, resultOf(s))),
		cell('Took', 'td.num', duration(s.took)));
}

/* Keeps the rows that say the same, so that the focus stays where it is. */
function drawSessions(list, search, older) {
	const body = document.querySelector('#sessions tbody');
	const known = new Map([...body.children].map((row) =>
		[row.dataset.id, row]));
	const rows = list.map((s) => {
		const fresh = sessionRow(s), old = known.get(s.id);
		return old !== undefined && old.isEqualNode(fresh) ? old :
			fresh;
	});
	const same = rows.length === body.children.length &&
		rows.every((row, i) => row === body.children[i]);
	if (!same) {
		const focus = document.activeElement.dataset.id;
		body.replaceChildren(...rows);
		if (focus !== undefined && document.activeElement ===
			document.body)
			body.querySelector('button[data-id="' +
				CSS.escape(focus) + '"]')?.focus();
	}
	byId('sessions').hidden = list.length === 0;
	byId('older').hidden = list.length < PAGE_ROWS;
	byId('newest').hidden = !older;
	setText('sessions-note', list.length > 0 ? '' : older ?
		'There are no older sessions.' : search !== '' ?
		`No session matches "${search}". Try a part of an address, ` +
		'such as @example.com or 192.0.2.' :
		'No session yet. Send a message through a listener above, ' +
		'or redirect port 25 to it (see contrib/).');
}

/* ------------------------------------------------------------- one session */

function relative(at, start) {
	if (at === null || start === null)
		return '';
	return at <= start ? '0' : '+' + duration(at - start);
}

function timelineItem(item, start) {
	const [kind, who] = item.who;
	return el('li.' + kind, null,
		el('span.at', { title: whenFull(item.at) },
			relative(item.at, start)),
		el('span.who', null, who),
		el('span.text.mono', null, item.text));
}

function decisionText(d) {
	const parts = [`${d.policy} at ${(d.phase || '').replace(/_/g, ' ')}: ` +
		(d.error ? `${d.error.replace(/_/g, ' ')}, so ${d.action}` :
			d.action)];
	if (d.rule)
		parts.push('rule ' + d.rule);
	if (d.score)
		parts.push('score ' + d.score);
	if (d.reason)
		parts.push(d.reason);
	parts.push(...d.annotations);
	if (d.reply)
		parts.push('replies "' + d.reply + '"');
	if (d.text)
		parts.push(d.text);
	if (d.latency)
		parts.push('after ' + duration(d.latency));
	if (d.observed)
		parts.push(d.wouldChange ? 'observed only, would have ' +
			'changed the outcome' : 'observed only');
	else if (!d.applied)
		parts.push('not applied');
	return parts.join(', ');
}

function rehomingText(r) {
	const parts = [`${r.error ? 'not moved' : 'moved'} from ${r.from}, ` +
		`to ${r.to}`];
	if (r.error)
		parts.push(r.error);
	if (r.rule)
		parts.push('rule ' + r.rule);
	if (r.took)
		parts.push('took ' + duration(r.took));
	if (r.trips)
		parts.push(`${r.trips} round trips`);
	return parts.join(', ');
}

function tlsText(t) {
	if (!t)
		return null;
	if (t.error)
		return 'failed: ' + t.error;
	return [t.version, t.cipher, t.verified ? 'verified chain' :
		t.subject ? 'chain not verified' : 'no certificate',
		t.resumed ? 'resumed' : null, t.subject]
		.filter((part) => part).join(', ');
}

/* For whom the MX was asked to be somebody, and was it? */
function resultsText(results) {
	return results.map((t) => `for ${t.domain}: ${t.result}` +
		(t.policy === 'no-policy-found' ? '' : ` (${t.policy})`))
		.join(', ');
}

function processText(p) {
	return p && [`uid ${p.uid}`, p.pid ? `pid ${p.pid}` : null, p.command,
		p.cgroup].filter((part) => part).join(', ');
}

function sessionFacts(s) {
	return facts([
		['Started', whenFull(s.started)],
		['Took', s.ended ? duration(s.took) : 'still open'],
		['Ended', CAUSES[s.cause] || s.cause || '\u2013'],
		['Listener', s.listener],
		['Client', s.client],
		['Sent by', processText(s.process)],
		['MX', s.mx],
		['From address', s.source],
		['TLS of the client', tlsText(s.clientTls)],
		['TLS to the MX', tlsText(s.tls) || 'none'],
		['TLS demanded', resultsText(s.tlsResults)],
		['Connect', s.error ? 'failed: ' + s.error :
			s.reused ? 'reused, after session ' + s.reused :
			duration(s.connect)],
		['Received', s.clientBytes === null ? '\u2013' :
			`${bytes(s.clientBytes)} from the client, ` +
			`${bytes(s.upstreamBytes)} from the MX`],
		['Id', el('code', null, s.id)],
	].filter(([, value]) => value));
}

function byWhom(r) {
	const names = { mx: 'the MX', weir: 'weir' };
	return !r.by ? r.reply : r.reply === '' ? `by ${names[r.by] || r.by}` :
		`by ${names[r.by] || r.by}: ${r.reply}`;
}

function transactionRows(s) {
	return table('Transactions', [{ name: 'From' }, { name: 'To' },
		{ name: 'Result' }, { name: 'Size', num: true },
		{ name: 'Took', num: true }], s.transactions.map((t) => [
		[address(t.sender), s.rehomings.length > 0 && t.way ?
			el('div.small.muted', null, t.way) : null],
		t.recipients.length === 0 ? '\u2013' : t.recipients.map((r) =>
			el('div.wrap', null, r.address + ' ',
				r.accepted ? null : badge('bad', 'refused'),
				el('div.small.muted', null, byWhom(r)))),
		el('div', null, outcomeBadge(t.outcome),
			el('div.small.muted', null, byWhom(t))),
		bytes(t.size), duration(t.took)]));
}

/* The lines of a reply stand a microsecond apart, so that they sort: what was
 * noted meanwhile came behind the last of them. */
function behindReply(lines, at) {
	let i = 0;

	while (i < lines.length && lines[i].at <= at)
		i++;
	while (i > 0 && i < lines.length &&
		lines[i].direction === lines[i - 1].direction &&
		lines[i].at === lines[i - 1].at + 1)
		i++;
	return i > 0 ? Math.max(at, lines[i - 1].at) : at;
}

function sessionTimeline(s) {
	const items = s.lines.map((l) => ({ at: l.at, text: l.text,
		who: DIRECTIONS[l.direction] || DIRECTIONS['--'] }));
	for (const d of s.decisions)
		items.push({ at: d.at, text: decisionText(d),
			who: ['decision', d.policy] });
	for (const r of s.rehomings)
		items.push({ at: behindReply(s.lines, r.at),
			text: rehomingText(r),
			who: ['decision', r.policy || 'weir'] });
	items.forEach((item, i) => { item.order = i; });
	items.sort((a, b) => a.at - b.at || a.order - b.order);
	return items;
}

function drawSession(s) {
	const items = sessionTimeline(s);
	setText('session-title', 'Session of ' + when(s.started));
	fill('session-body', sessionFacts(s),
		s.transactions.length > 0 ? [el('h3', null, 'Messages'),
			transactionRows(s)] : null,
		el('h3', null, 'Transcript'),
		items.length === 0 ? el('p.empty', null, 'No line was ' +
			'recorded.') : [
			el('p.legend.muted', null, 'Times count from the ' +
				'start of the session. The bodies of ' +
				'messages are never recorded.'),
			el('ol.line-list', null, items.map((item) =>
				timelineItem(item, s.started)))]);
}
