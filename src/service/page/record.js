/*
 * What the record says, in the page's own words: the only part that knows the
 * names of its columns. Times become microseconds since 1970.
 */
'use strict';

function toUs(text) {
	const match = /^(.{19})(?:\.(\d{1,6}))?Z$/.exec(text || '');
	const ms = match === null ? NaN : Date.parse(match[1] + 'Z');
	return Number.isNaN(ms) ? null : ms * 1000 +
		Number((match[2] || '').padEnd(6, '0'));
}

function joinPort(ip, port) {
	if (!ip)
		return '';
	return !port ? ip : ip.includes(':') ? `[${ip}]:${port}` :
		`${ip}:${port}`;
}

function orNull(value) {
	return value === undefined ? null : value;
}

/* The line without its end, which every line has. */
function withoutEnd(text) {
	return text.endsWith('\\r\\n') ? text.slice(0, -4) : text;
}

function replyText(r) {
	return [r.code || '', r.enhanced || '', r.reply || '']
		.filter((part) => part !== '').join(' ');
}

function number(value) {
	return value === null || value === undefined ? NaN : value;
}

function fromList(s) {
	const started = toUs(s.occurred_at);
	return {
		id: s.id, started, before: started,
		client: s.client || '', mx: s.destination || '',
		sender: orNull(s.sender), recipient: s.recipients || '',
		outcome: s.outcome, code: s.code,
		ended: Boolean(s.cause), cause: s.cause,
		took: number(s.duration_ms) * 1000,
	};
}

function fromRehoming(r) {
	const way = (source, address, port, name) =>
		`${source || 'any address'} to ${address} port ${port} as ` +
		(name || 'nobody');

	return { at: toUs(r.occurred_at), policy: r.policy, rule: r.rule,
		error: r.reason, took: r.duration_us, trips: r.round_trips,
		from: way(r.from_source, r.from_upstream, r.from_upstream_port,
			r.from_ehlo_name),
		to: way(r.to_source, r.to_upstream, r.to_upstream_port,
			r.to_ehlo_name) };
}

function fromDecision(d) {
	return {
		at: toUs(d.occurred_at), policy: d.policy, phase: d.phase,
		action: d.result || d.action || 'annotation',
		error: d.error, text: d.error_text, rule: d.rule,
		score: d.score, reason: d.reason, latency: d.latency_us,
		applied: d.applied, observed: d.observed,
		wouldChange: d.would_change,
		annotations: (d.annotations || []).map((pair) =>
			[].concat(pair).join(' = ')),
		reply: replyText(d),
	};
}

function fromTransaction(t, recipients) {
	return {
		sender: t.sender || '', outcome: t.outcome, by: t.decided_by,
		reply: replyText(t), size: t.size, took: number(t.duration_us),
		way: t.source && `from ${t.source} to ` +
			joinPort(t.upstream, t.upstream_port),
		recipients: recipients.filter((r) =>
			r.transaction_id === t.id).map((r) => ({
			address: r.address, accepted: r.accepted,
			by: r.decided_by, reply: replyText(r) })),
	};
}

function fromShow(s) {
	return Object.assign(fromList(s), {
		client: joinPort(s.client, s.client_port),
		mx: joinPort(s.destination, s.destination_port),
		source: joinPort(s.source, s.source_port),
		listener: s.listener, error: s.connect_error,
		connect: number(s.timings && s.timings.connect_us),
		clientBytes: orNull(s.client_bytes),
		upstreamBytes: orNull(s.upstream_bytes),
		reused: s.upstream_reused, tls: s.tls,
		clientTls: s.client_tls, process: s.process,
		transactions: s.transactions.map((t) =>
			fromTransaction(t, s.recipients)),
		decisions: s.decisions.map(fromDecision),
		rehomings: s.rehomings.map(fromRehoming),
		tlsResults: s.tls_results.filter((t) => t.domain),
		lines: s.lines.map((l) => ({ at: toUs(l.occurred_at),
			direction: l.direction,
			text: withoutEnd(l.data || '') })),
	});
}
