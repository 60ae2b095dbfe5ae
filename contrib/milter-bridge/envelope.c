/*
 * CONNECT to DATA, and unknown commands. A filter's connection is opened at
 * CONNECT, and again at MAIL when it is gone: it is told the client and its
 * HELO first then, as if it had been there all the time.
 */
#include "milter-bridge/internal.h"

enum turn { TURN_OVER, TURN_WAIT, TURN_STOP };

/* Sends CONNECT and HELO to who has not heard them. */
static enum turn
introduce(struct milter_session *s, struct milter_member *m)
{
	const struct milter_terms *terms = &m->filter.terms;

	if (!m->told_connect && buf_len(&s->connect) > 0) {
		m->told_connect = true;
		if (milter_negotiate_wants(terms, MILTER_CONNECT))
			milter_session_send(s, m, MILTER_CONNECT,
			    buf_span(&s->connect));
		if (!milter_filter_is_idle(&m->filter))
			return TURN_WAIT;
	}
	if (!m->told_helo && buf_len(&s->helo) > 0) {
		m->told_helo = true;
		if (milter_negotiate_wants(terms, MILTER_HELO))
			milter_session_send(s, m, MILTER_HELO,
			    buf_span(&s->helo));
		if (!milter_filter_is_idle(&m->filter))
			return TURN_WAIT;
	}
	return TURN_OVER;
}

/* Sends the job's own command. */
static enum turn
ask(struct milter_session *s, struct milter_member *m,
    const struct milter_job *job)
{
	enum milter_command command = job->command;

	if (m->asked || buf_len(&job->packet) == 0)
		return TURN_OVER;
	m->asked = true;
	if (command == MILTER_MAIL)
		m->in_message = true;
	else if (command != MILTER_UNKNOWN && !m->in_message)
		return TURN_OVER;
	if (!milter_negotiate_wants(&m->filter.terms, command))
		return TURN_OVER;
	milter_session_send(s, m, command, buf_span(&job->packet));
	return milter_filter_is_idle(&m->filter) ? TURN_OVER : TURN_WAIT;
}

static enum turn
take_turn(struct milter_session *s, struct milter_member *m,
    const struct milter_job *job)
{
	bool early = job->command == MILTER_CONNECT ||
	    job->command == MILTER_HELO || job->command == MILTER_UNKNOWN;
	enum turn turn;

	if (m->accepts_session || (m->accepts_message && !early))
		return TURN_OVER;
	if (m->failed != NULL)
		return !early && milter_session_fall_back(s, m) ? TURN_STOP :
		    TURN_OVER;
	switch (m->filter.state) {
	case MILTER_FILTER_CLOSED:
		if (job->command != MILTER_MAIL)
			return TURN_OVER;
		milter_filter_open(&m->filter);
		return TURN_WAIT;
	case MILTER_FILTER_OPENING:
		return TURN_WAIT;
	case MILTER_FILTER_READY:
		break;
	}
	if (!milter_filter_is_idle(&m->filter))
		return TURN_WAIT;
	turn = introduce(s, m);
	/* its answer to those may have changed what it wants to hear */
	return turn != TURN_OVER || m->accepts_session ? turn :
	    ask(s, m, job);
}

static void
begin_mail(struct milter_session *s, const struct milter_job *job)
{
	milter_content_close(s);
	s->has_verdict = false;
	milter_macros_set(&s->macros, MACRO_I, buf_span(&job->id));
	milter_macros_address(&s->macros, MACRO_MAIL_ADDR,
	    buf_span(&job->address));
	for (size_t i = 0; i < s->n_members; i++) {
		s->members[i].failed = NULL;
		s->members[i].accepts_message = false;
	}
}

static void
begin(struct milter_session *s, struct milter_job *job)
{
	job->begun = true;
	s->at = 0;
	if (job->command == MILTER_MAIL)
		begin_mail(s, job);
	if (job->command == MILTER_RCPT)
		milter_macros_address(&s->macros, MACRO_RCPT_ADDR,
		    buf_span(&job->address));
	if (job->command == MILTER_HELO) {
		buf_clear(&s->helo);
		buf_append(&s->helo, buf_span(&job->packet));
		buf_clear(&job->packet);
	}
	for (size_t i = 0; i < s->n_members; i++) {
		struct milter_member *m = &s->members[i];

		m->asked = false;
		if (job->command == MILTER_HELO)
			m->told_helo = false;
		if (job->command == MILTER_CONNECT &&
		    m->filter.state == MILTER_FILTER_CLOSED)
			milter_filter_open(&m->filter);
	}
}

/* Filters behind the one that refused a recipient hear of it if they asked
 * for that; what they say to it is nothing to anybody. */
static enum turn
tell_refused(struct milter_session *s, struct milter_member *m,
    const struct milter_job *job)
{
	struct milter_macros *macros = &s->macros;

	if (!m->in_message || m->accepts_message || m->accepts_session ||
	    m->failed != NULL || m->filter.state != MILTER_FILTER_READY ||
	    (m->filter.terms.ways & MILTER_REFUSED_RCPT) == 0)
		return TURN_OVER;
	if (!milter_filter_is_idle(&m->filter))
		return TURN_WAIT;
	milter_macros_set(macros, MACRO_RCPT_MAILER, SPAN("error"));
	milter_macros_set(macros, MACRO_RCPT_HOST,
	    span_str(s->verdict.smtp.enhanced));
	milter_macros_set(macros, MACRO_RCPT_ADDR, s->verdict.smtp.lines[0]);
	return ask(s, m, job);
}

bool
milter_envelope_run(struct milter_session *s, struct milter_job *job)
{
	if (!job->begun)
		begin(s, job);
	if (s->holds)
		return true;
	if (!s->has_verdict)
		s->verdict = (struct milter_verdict){ 0 };
	for (; s->at < s->n_members; s->at++) {
		enum turn turn = s->has_verdict ?
		    job->command == MILTER_RCPT ?
		    tell_refused(s, &s->members[s->at], job) : TURN_STOP :
		    take_turn(s, &s->members[s->at], job);

		if (turn == TURN_WAIT)
			return false;
		if (turn == TURN_STOP)
			break;
	}
	/* weir drops one recipient, a filter means the message */
	if (s->has_verdict && s->verdict.action == MILTER_DISCARDS)
		s->holds = true;
	return true;
}

void
milter_envelope_reply(struct milter_session *s, struct milter_member *m,
    enum milter_command command, const struct milter_reply *reply)
{
	if (s->has_verdict)
		return;
	if (reply->type == MILTER_ACCEPT) {
		if (command == MILTER_CONNECT || command == MILTER_HELO)
			m->accepts_session = true;
		else if (command != MILTER_UNKNOWN)
			m->accepts_message = true;
	} else if (milter_verdict_of(&s->verdict, reply, command, &s->room)) {
		s->verdict.rule = m->filter.setup->address.text;
		s->has_verdict = true;
		if (s->verdict.action == MILTER_DISCARDS &&
		    !s->grants->discard)
			milter_session_refuse(s, m, "discard",
			    "weir.conf does not grant discard",
			    MILTER_REFUSAL_TEMPFAIL);
	}
}
