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

function fromList(s) {
	const started = toUs(s.occurred_at);
	return {
		id: s.id, started, before: started,
		client: joinPort(s.client_address, 0),
		mx: joinPort(s.destination_address, 0),
		sender: orNull(s.mail_from), recipient: s.mail_to || '',
		outcome: s.outcome, code: s.code, reply: s.reply || '',
		ended: Boolean(s.cause), cause: s.cause,
		took: s.duration_us === null ? NaN : s.duration_us,
	};
}

function fromDecision(d) {
	return {
		at: toUs(d.occurred_at), policy: d.policy, phase: d.phase,
		action: d.result || d.action || 'annotation',
		error: d.error, text: d.error_text, rule: d.rule,
		score: d.score, reason: d.reason, latency: d.latency_us,
		applied: Boolean(d.applied), observed: Boolean(d.observed),
		reply: replyText(d),
	};
}

function fromShow(s) {
	const recipients = s.recipients || [];
	return Object.assign(fromList(s), {
		client: joinPort(s.client_address, s.client_port),
		mx: joinPort(s.destination_address, s.destination_port),
		source: joinPort(s.source_address, s.source_port),
		listener: s.listener, error: s.connect_error,
		connect: orNull(s.connect_us),
		clientBytes: orNull(s.client_bytes),
		upstreamBytes: orNull(s.upstream_bytes),
		tls: s.upstream_tls_version || s.upstream_tls_error ? {
			version: s.upstream_tls_version,
			cipher: s.upstream_tls_cipher,
			error: s.upstream_tls_error,
			verified: s.upstream_tls_verified,
			resumed: s.upstream_tls_resumed,
			subject: s.upstream_tls_subject,
		} : null,
		transactions: (s.transactions_list || []).map((t) => ({
			sender: t.sender || '', outcome: t.outcome,
			by: t.decided_by, reply: replyText(t), size: t.size,
			took: t.duration_us,
			recipients: (t.recipients_list || recipients.filter(
				(r) => r.transaction_id === t.id))
				.map((r) => ({ address: r.address,
					accepted: Boolean(r.accepted),
					by: r.decided_by,
					reply: replyText(r) })),
		})),
		decisions: (s.decisions || []).map(fromDecision),
		lines: (s.communications || []).map((l) => ({
			at: toUs(l.occurred_at), direction: l.direction,
			text: withoutEnd(l.data || '') })),
	});
}
