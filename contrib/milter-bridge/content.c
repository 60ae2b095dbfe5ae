/*
 * The message. The first filter reads it while it comes; each one behind it
 * reads what the filters before it made of it, from what was kept. What a
 * filter changes is done when it has spoken its last word, all or nothing: a
 * filter that dies on the way has changed nothing.
 */
#include "milter-bridge/internal.h"

/* What weir allows in one decision. */
#define EDITS_MAX 512u

static const uint8_t eoh_packet[] = { 0, 0, 0, 1, MILTER_EOH };
static const uint8_t end_packet[] = { 0, 0, 0, 1, MILTER_END };

/* One change that a filter wants, its name and value behind it. */
struct change {
	enum milter_reply_type type;
	uint32_t index;
	size_t name, value;
};

void
milter_content_close(struct milter_session *s)
{
	struct milter_content *c = &s->content;

	milter_fields_release(&c->fields);
	milter_store_release(&c->body);
	milter_store_release(&c->changed);
	buf_release(&c->changes);
	*c = (struct milter_content){ .body = c->body, .changed = c->changed };
	s->holds = false;
}

static bool
takes_part(const struct milter_member *m)
{
	return m->in_message && !m->accepts_message && !m->accepts_session &&
	    m->failed == NULL;
}

/* Will a member behind the present one read the body? */
static bool
is_kept(const struct milter_session *s)
{
	for (size_t i = s->at + 1; i < s->n_members; i++)
		if (takes_part(&s->members[i]) && milter_negotiate_wants(
		    &s->members[i].filter.terms, MILTER_BODY))
			return true;
	return false;
}

static struct milter_store *
source(struct milter_content *c)
{
	return c->is_changed ? &c->changed : &c->body;
}

/* Gives back what nobody will read, and lets as much follow. */
static void
make_room(struct milter_session *s)
{
	struct milter_content *c = &s->content;
	bool reads = !s->has_verdict && s->at < s->n_members &&
	    takes_part(&s->members[s->at]) && !c->skip &&
	    milter_negotiate_wants(&s->members[s->at].filter.terms,
	    MILTER_BODY);
	uint64_t done = reads && !c->is_changed ? c->offset : c->body.size;

	if (s->has_verdict || !is_kept(s))
		milter_store_forget(&c->body, done);
	if (!c->ended)
		s->calls->take(s->ctx, done);
}

static void
next_member(struct milter_session *s)
{
	struct milter_content *c = &s->content;

	s->at++;
	c->step = CONTENT_HEADERS;
	c->skip = false;
	c->field = 0;
	c->offset = 0;
	buf_clear(&c->changes);
}

/* Sends the next field; false: there is none. */
static bool
send_field(struct milter_session *s, struct milter_member *m)
{
	struct milter_content *c = &s->content;
	const struct milter_terms *terms = &m->filter.terms;
	struct span name, value;
	struct buf packet;

	if (c->skip || !milter_negotiate_wants(terms, MILTER_HEADER) ||
	    !milter_fields_next(&c->fields, &c->field, &name, &value))
		return false;
	buf_init(&packet, 0);
	milter_packet_header(&packet, name, value,
	    (terms->ways & MILTER_LEADING_SPACE) != 0);
	milter_session_send(s, m, MILTER_HEADER, buf_span(&packet));
	buf_release(&packet);
	return true;
}

/* Sends the next piece of the body: a full one, but for the last. False: there
 * is none (yet). */
static bool
send_body(struct milter_session *s, struct milter_member *m)
{
	struct milter_content *c = &s->content;
	uint64_t rest = source(c)->size - c->offset;
	struct buf chunk, packet;

	if (c->skip || !milter_negotiate_wants(&m->filter.terms, MILTER_BODY) ||
	    rest == 0 || (rest < MILTER_PAYLOAD_MAX && !c->ended))
		return false;
	buf_init(&chunk, 0);
	buf_init(&packet, 0);
	c->offset += milter_store_read(source(c), c->offset,
	    MILTER_PAYLOAD_MAX, &chunk);
	if (buf_len(&chunk) > 0) {
		milter_packet_body(&packet, buf_span(&chunk));
		milter_session_send(s, m, MILTER_BODY, buf_span(&packet));
	}
	buf_release(&packet);
	buf_release(&chunk);
	return true;
}

/* One step with an idle member. False: more of the message must come. */
static bool
step(struct milter_session *s, struct milter_member *m)
{
	struct milter_content *c = &s->content;

	switch (c->step) {
	case CONTENT_HEADERS:
		if (!send_field(s, m)) {
			c->step = CONTENT_EOH;
			c->skip = false;
		}
		return true;
	case CONTENT_EOH:
		c->step = CONTENT_BODY;
		if (milter_negotiate_wants(&m->filter.terms, MILTER_EOH))
			milter_session_send(s, m, MILTER_EOH,
			    span_of(eoh_packet, sizeof eoh_packet));
		return true;
	case CONTENT_BODY:
		if (send_body(s, m))
			return true;
		if (!c->ended)
			return false;
		c->step = CONTENT_END;
		return true;
	case CONTENT_END:
		milter_session_send(s, m, MILTER_END,
		    span_of(end_packet, sizeof end_packet));
		return true;
	}
	return false;
}

/* Goes on until somebody must be waited for (false) or all have spoken. */
static bool
pump(struct milter_session *s)
{
	struct milter_content *c = &s->content;

	while (s->at < s->n_members && !s->has_verdict) {
		struct milter_member *m = &s->members[s->at];

		if (c->body.failed || c->changed.failed || c->fields.failed) {
			milter_session_refuse(s, m, "content",
			    "no memory or disk for the message",
			    MILTER_REFUSAL_TEMPFAIL);
		} else if (m->failed != NULL) {
			if (!milter_session_fall_back(s, m))
				next_member(s);
		} else if (!takes_part(m)) {
			next_member(s);
		} else if (!milter_filter_is_idle(&m->filter) ||
		    !step(s, m)) {
			return false;
		}
	}
	return true;
}

static void
begin(struct milter_session *s, struct milter_job *job)
{
	struct milter_content *c = &s->content;

	job->begun = true;
	if (!s->has_verdict)
		s->verdict = (struct milter_verdict){ 0 };
	if (job->command == MILTER_HEADER) {
		bool holds = s->holds;

		milter_content_close(s);
		s->holds = holds;
		c->open = true;
		c->fields = job->fields;
		job->fields = (struct milter_fields){ 0 };
		s->at = 0;
	} else if (job->command == MILTER_BODY) {
		if (c->open)
			milter_store_append(&c->body, buf_span(&job->packet));
		buf_release(&job->packet);
	} else {
		c->ended = true;
	}
}

/* What the filters have made of the message. */
static void
conclude(struct milter_session *s)
{
	struct milter_content *c = &s->content;
	struct milter_member *m = &s->members[s->n_members - 1];
	size_t edits = milter_fields_edits(&c->fields, NULL, NULL);

	if (s->has_verdict)
		return;
	s->verdict = (struct milter_verdict){
		.fields = edits == 0 ? NULL : &c->fields,
		.body = c->is_changed ? &c->changed : NULL,
		.body_size = c->body.size,
	};
	if (edits > 0 && !s->grants->headers)
		milter_session_refuse(s, m, "headers",
		    "weir.conf does not grant headers",
		    MILTER_REFUSAL_TEMPFAIL);
	else if (edits > EDITS_MAX)
		milter_session_refuse(s, m, "headers",
		    "too many changes for one decision",
		    MILTER_REFUSAL_TEMPFAIL);
	else if (c->is_changed && !s->grants->body)
		milter_session_refuse(s, m, "replbody",
		    "weir.conf does not grant body", MILTER_REFUSAL_TEMPFAIL);
	else if (c->is_changed && c->changed.size + buf_len(&c->fields.text) >
	    s->grants->max_decision)
		milter_session_refuse(s, m, "replbody",
		    "the new body does not fit a frame to weir",
		    MILTER_REFUSAL_TEMPFAIL);
}

void
milter_content_go_on(struct milter_session *s)
{
	if (!s->content.open)
		return;
	(void)pump(s);
	make_room(s);
	s->holds |= s->has_verdict;
}

bool
milter_content_run(struct milter_session *s, struct milter_job *job)
{
	struct milter_content *c = &s->content;
	bool done;

	if (!job->begun)
		begin(s, job);
	if (!c->open) {
		/* its header section was too large for weir to show: there is
		 * nothing to be said of it, which is for on_error */
		if (job->ask.question != NULL && !s->has_verdict)
			s->calls->drop(s->ctx, job->ask.question);
		if (!s->has_verdict)
			job->ask.question = NULL;
		return true;
	}
	done = pump(s);
	make_room(s);
	switch (job->command) {
	case MILTER_HEADER:
		if (done && !s->has_verdict)
			s->verdict.scope = MILTER_FOR_TRANSACTION;
		return done || s->at > 0 || (c->step == CONTENT_BODY &&
		    milter_filter_is_idle(&s->members[0].filter));
	case MILTER_BODY:
		if (s->has_verdict)
			s->holds = true;
		return true;
	default:
		if (done)
			conclude(s);
		return done;
	}
}

/* Keeps a change until the filter's last word. */
static void
keep(struct milter_session *s, struct milter_member *m,
    const struct milter_reply *reply)
{
	struct milter_content *c = &s->content;
	const char *name = milter_reply_name(reply->type);
	struct change change = {
		.type = reply->type, .index = reply->index,
		.name = reply->name.len, .value = reply->value.len,
	};

	if (s->has_verdict)
		return;
	switch (reply->type) {
	case MILTER_QUARANTINE:
		milter_session_refuse(s, m, name,
		    "weir has no quarantine", s->setup->quarantine);
		return;
	case MILTER_CHANGE_FROM:
	case MILTER_ADD_RCPT:
	case MILTER_ADD_RCPT_ARGS:
	case MILTER_DEL_RCPT:
		milter_session_refuse(s, m, name,
		    "the MX has the envelope already", s->setup->envelope);
		return;
	default:
		break;
	}
	if (buf_len(&c->changes) > 2 * s->grants->max_decision) {
		milter_session_refuse(s, m, name,
		    "the changes do not fit a frame to weir",
		    MILTER_REFUSAL_TEMPFAIL);
		return;
	}
	buf_append(&c->changes, span_of(&change, sizeof change));
	buf_append(&c->changes, reply->name);
	buf_append(&c->changes, reply->value);
}

/* A new body with every line end as CRLF: *cr is the state between pieces. */
static void
append_lines(struct milter_store *body, struct span piece, bool *cr)
{
	struct buf out;

	buf_init(&out, 0);
	for (size_t i = 0; i < piece.len; i++) {
		uint8_t c = piece.data[i];

		if (*cr || c == '\n')
			buf_append_str(&out, "\r\n");
		if (c != '\r' && c != '\n')
			buf_append_byte(&out, c);
		*cr = c == '\r';
	}
	body->failed |= buf_failed(&out);
	milter_store_append(body, buf_span(&out));
	buf_release(&out);
}

/* The filter lets the message pass: do what it wants changed. */
static void
apply(struct milter_session *s)
{
	struct milter_content *c = &s->content;
	struct span rest = buf_span(&c->changes), name, value;
	struct milter_store body;
	bool replaces = false, cr = false;
	struct change change;

	milter_store_init(&body);
	c->fields.failed |= buf_failed(&c->changes);
	while (rest.len > 0) {
		memcpy(&change, rest.data, sizeof change);
		rest = span_skip(rest, sizeof change);
		name = span_take(rest, change.name);
		rest = span_skip(rest, change.name);
		value = span_take(rest, change.value);
		rest = span_skip(rest, change.value);
		if (change.type == MILTER_REPLACE_BODY) {
			replaces = true;
			append_lines(&body, value, &cr);
		} else if (change.type == MILTER_CHANGE_HEADER) {
			milter_fields_change(&c->fields, change.index, name,
			    value);
		} else {
			milter_fields_insert(&c->fields,
			    change.type == MILTER_ADD_HEADER ? SIZE_MAX :
			    change.index, name, value);
		}
	}
	if (cr)
		milter_store_append(&body, SPAN("\r\n"));
	if (replaces) {
		milter_store_release(&c->changed);
		c->changed = body;
		c->is_changed = true;
	}
}

void
milter_content_reply(struct milter_session *s, struct milter_member *m,
    enum milter_command command, const struct milter_reply *reply)
{
	struct milter_verdict verdict;

	if (milter_reply_right(reply->type) != 0) {
		keep(s, m, reply);
		return;
	}
	if (command == MILTER_END)
		m->in_message = false;
	if (s->has_verdict)
		return;
	if (reply->type == MILTER_SKIP) {
		s->content.skip = command != MILTER_EOH;
	} else if (milter_verdict_of(&verdict, reply, command, &s->room)) {
		s->verdict = verdict;
		s->verdict.rule = m->filter.setup->address.text;
		s->has_verdict = true;
		if (verdict.action == MILTER_DISCARDS && !s->grants->discard)
			milter_session_refuse(s, m, "discard",
			    "weir.conf does not grant discard",
			    MILTER_REFUSAL_TEMPFAIL);
	} else if (command == MILTER_END) {
		apply(s);
	} else if (reply->type == MILTER_ACCEPT) {
		m->accepts_message = true;
	}
}
