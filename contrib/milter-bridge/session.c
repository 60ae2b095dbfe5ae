/*
 * The queue. weir may say several things before the first is answered (MAIL,
 * a hundred RCPT and DATA in one write); a filter takes one at a time.
 */
#include "milter-bridge/internal.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/log.h"

static void
free_first(struct milter_session *s)
{
	struct milter_job *job = s->first;

	if (job->ask.question != NULL)
		s->calls->drop(s->ctx, job->ask.question);
	s->first = job->next;
	if (s->first == NULL)
		s->last = &s->first;
	buf_release(&job->packet);
	buf_release(&job->address);
	buf_release(&job->id);
	milter_fields_release(&job->fields);
	free(job);
}

/* A filter must not be shown less than there is, so there is no way on: weir
 * does what on_error says, and a service manager starts the bridge anew. */
static void
need(bool got)
{
	if (got)
		return;
	log_event(LOG_ERROR, "memory", "what=session");
	abort();
}

static bool
run(struct milter_session *s, struct milter_job *job)
{
	need(!buf_failed(&job->packet) && !buf_failed(&job->address) &&
	    !buf_failed(&job->id) && !buf_failed(&s->helo) &&
	    !buf_failed(&s->connect));
	if (!job->begun && !s->holds)
		s->has_verdict = false;
	if (job->command == MILTER_HEADER || job->command == MILTER_BODY ||
	    job->command == MILTER_END)
		return milter_content_run(s, job);
	return milter_envelope_run(s, job);
}

void
milter_session_advance(struct milter_session *s)
{
	while (s->first != NULL && run(s, s->first)) {
		void *question = s->first->ask.question;

		s->first->ask.question = NULL;
		free_first(s);
		if (question != NULL)
			s->calls->decide(s->ctx, question, &s->verdict);
		/* a notification cannot be refused: the next question is */
		else if (s->has_verdict)
			s->holds = true;
	}
	if (s->first == NULL) {
		event_del(s->timer);
		milter_content_go_on(s);
	}
}

/* Half of the time for the first question is over: ask for as much as the
 * filters may need; weir grants what its operator allows. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct milter_session *s = arg;
	uint32_t extra_ms = 0;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < s->n_members; i++)
		extra_ms += s->setup->filters[i].connect_ms +
		    s->setup->filters[i].command_ms +
		    s->setup->filters[i].content_ms;
	for (struct milter_job *job = s->first; job != NULL; job = job->next)
		if (job->ask.question != NULL && !job->extended) {
			job->extended = true;
			s->calls->work(s->ctx, job->ask.question, extra_ms);
		}
}

static struct milter_job *
add(struct milter_session *s, enum milter_command command,
    struct milter_ask ask)
{
	struct milter_job *job = calloc(1, sizeof *job);
	struct timeval half = {
		.tv_sec = ask.deadline_ms / 2000,
		.tv_usec = ask.deadline_ms / 2 % 1000 * 1000,
	};

	need(job != NULL);
	job->command = command;
	job->ask = ask;
	buf_init(&job->packet, 0);
	buf_init(&job->address, 0);
	buf_init(&job->id, 0);
	*s->last = job;
	s->last = &job->next;
	if (ask.question != NULL && !event_pending(s->timer, EV_TIMEOUT, NULL))
		event_add(s->timer, &half);
	return job;
}

void
milter_session_send(struct milter_session *s, struct milter_member *m,
    enum milter_command command, struct span packet)
{
	const struct milter_terms *terms = &m->filter.terms;
	enum milter_stage stage = milter_macros_stage(command);

	buf_clear(&s->out);
	if (command != MILTER_ABORT)
		milter_macros_put(&s->out, &s->macros, command,
		    stage < MILTER_STAGES && terms->chosen[stage] ?
		    &terms->symbols[stage] : NULL);
	buf_append(&s->out, packet);
	need(!buf_failed(&s->out) && packet.len > 0);
	m->command = command;
	milter_filter_send(&m->filter, buf_span(&s->out), command,
	    command != MILTER_ABORT &&
	    milter_negotiate_answers(terms, command));
	buf_release(&s->out);
}

bool
milter_session_fall_back(struct milter_session *s, struct milter_member *m)
{
	if (!milter_verdict_fallback(&s->verdict, m->filter.setup->fallback,
	    m->failed))
		return false;
	s->verdict.rule = m->filter.setup->address.text;
	s->has_verdict = true;
	return true;
}

void
milter_session_refuse(struct milter_session *s, const struct milter_member *m,
    const char *what, const char *why, enum milter_refusal refusal)
{
	static const char *const words[] = {
		[MILTER_REFUSAL_TEMPFAIL] = "tempfail",
		[MILTER_REFUSAL_REJECT] = "reject",
		[MILTER_REFUSAL_IGNORE] = "ignore",
	};

	log_event(LOG_WARNING, "milter.refused",
	    "milter=%s id=%s change=%s outcome=%s reason=\"%s\"",
	    m->filter.setup->address.text, s->macros.values[MACRO_I] == NULL ?
	    "-" : s->macros.values[MACRO_I], what, words[refusal], why);
	if (refusal == MILTER_REFUSAL_IGNORE)
		return;
	s->has_verdict = milter_verdict_fallback(&s->verdict,
	    refusal == MILTER_REFUSAL_REJECT ? MILTER_FALLBACK_REJECT :
	    MILTER_FALLBACK_TEMPFAIL, why);
	s->verdict.rule = m->filter.setup->address.text;
}

/* What a filter may do that weir cannot is said when it says so, and again
 * when it does it. */
static void
on_ready(const struct milter_filter *f)
{
	uint32_t cannot = f->terms.actions & (MILTER_DO_ADD_RCPT |
	    MILTER_DO_DEL_RCPT | MILTER_DO_QUARANTINE |
	    MILTER_DO_CHANGE_FROM | MILTER_DO_ADD_RCPT_ARGS);

	log_event(LOG_DEBUG, "milter.ready",
	    "milter=%s version=%u actions=0x%x protocol=0x%x unsupported=0x%x",
	    f->setup->address.text, f->terms.version, f->terms.actions,
	    f->terms.ways, cannot);
}

static void
on_filter(void *ctx, struct milter_filter *f, const struct milter_reply *reply,
    const char *error)
{
	struct milter_member *m = ctx;
	struct milter_session *s = m->session;

	if (error != NULL) {
		/* libmilter leaves when nothing happens for two hours */
		bool idle = !m->in_message && s->first == NULL;

		log_event(idle ? LOG_DEBUG : LOG_WARNING, "milter.failed",
		    "milter=%s id=%s command=%s reason=\"%s\"",
		    f->setup->address.text, s->macros.values[MACRO_I] == NULL ?
		    "-" : s->macros.values[MACRO_I],
		    m->command == 0 ? "-" : milter_command_name(m->command),
		    error);
		m->told_connect = m->told_helo = false;
		if (!idle)
			m->failed = error;
	} else if (reply == NULL) {
		on_ready(f);
	} else if (reply->type == MILTER_PROGRESS) {
		if (s->first != NULL && s->first->ask.question != NULL)
			s->calls->work(s->ctx, s->first->ask.question,
			    f->setup->content_ms);
	} else if (m->command == MILTER_HEADER || m->command == MILTER_EOH ||
	    m->command == MILTER_BODY || m->command == MILTER_END) {
		milter_content_reply(s, m, m->command, reply);
	} else {
		milter_envelope_reply(s, m, m->command, reply);
	}
	milter_session_advance(s);
}

struct milter_session *
milter_session_new(struct event_base *base, const struct milter_setup *setup,
    const struct milter_grants *grants,
    const struct milter_session_calls *calls, void *ctx)
{
	struct milter_session *s = calloc(1, sizeof *s + setup->n_filters *
	    sizeof s->members[0]);

	if (s == NULL)
		return NULL;
	s->base = base;
	s->setup = setup;
	s->grants = grants;
	s->calls = calls;
	s->ctx = ctx;
	s->last = &s->first;
	milter_store_init(&s->content.body);
	milter_store_init(&s->content.changed);
	s->timer = event_new(base, -1, 0, on_timer, s);
	for (; s->timer != NULL && s->n_members < setup->n_filters;
	    s->n_members++) {
		struct milter_member *m = &s->members[s->n_members];

		m->session = s;
		if (milter_filter_init(&m->filter, base,
		    &setup->filters[s->n_members], on_filter, m) != 0)
			break;
	}
	if (s->n_members == setup->n_filters)
		return s;
	milter_session_free(s);
	return NULL;
}

void
milter_session_free(struct milter_session *s)
{
	if (s == NULL)
		return;
	while (s->first != NULL)
		free_first(s);
	for (size_t i = 0; i < s->n_members; i++)
		milter_filter_release(&s->members[i].filter);
	milter_content_close(s);
	if (s->timer != NULL)
		event_free(s->timer);
	milter_macros_release(&s->macros);
	buf_release(&s->connect);
	buf_release(&s->helo);
	buf_release(&s->out);
	buf_release(&s->room);
	free(s);
}

void
milter_session_connect(struct milter_session *s, struct milter_ask ask,
    struct span listener, struct milter_peer client,
    struct milter_peer destination)
{
	struct milter_macros *m = &s->macros;
	char text[96];

	milter_packet_connect(&s->connect, SPAN(""), client.address,
	    (uint16_t)client.port);
	milter_macros_set(m, MACRO_J, span_str(s->setup->hostname));
	milter_macros_set(m, MACRO_V, span_str(s->grants->software));
	milter_macros_set(m, MACRO_DAEMON_NAME, listener);
	milter_macros_set(m, MACRO_DAEMON_ADDR, destination.address);
	milter_macros_set(m, MACRO_IF_ADDR, destination.address);
	milter_macros_set(m, MACRO_CLIENT_ADDR, client.address);
	milter_macros_set(m, MACRO_CLIENT_NAME, SPAN("unknown"));
	milter_macros_set(m, MACRO_CLIENT_PTR, SPAN("unknown"));
	(void)snprintf(text, sizeof text, "%u", client.port);
	milter_macros_set(m, MACRO_CLIENT_PORT, span_str(text));
	(void)snprintf(text, sizeof text, "%u", destination.port);
	milter_macros_set(m, MACRO_DAEMON_PORT, span_str(text));
	(void)snprintf(text, sizeof text, "unknown [%.*s]",
	    (int)span_take(client.address, 64).len,
	    (const char *)client.address.data);
	milter_macros_set(m, MACRO_UNDERSCORE, span_str(text));
	add(s, MILTER_CONNECT, ask);
	milter_session_advance(s);
}

void
milter_session_tls(struct milter_session *s, struct span version,
    struct span cipher, unsigned bits, struct span subject,
    struct span issuer)
{
	char text[32];

	/* "TLS1.3" is "TLSv1.3" to filters */
	(void)snprintf(text, sizeof text, "TLSv%.*s",
	    version.len > 3 && version.len < 20 ? (int)version.len - 3 : 0,
	    (const char *)version.data + 3);
	milter_macros_set(&s->macros, MACRO_TLS_VERSION, span_str(text));
	milter_macros_set(&s->macros, MACRO_CIPHER, cipher);
	(void)snprintf(text, sizeof text, "%u", bits);
	milter_macros_set(&s->macros, MACRO_CIPHER_BITS, span_str(text));
	milter_macros_set(&s->macros, MACRO_CERT_SUBJECT, subject);
	milter_macros_set(&s->macros, MACRO_CERT_ISSUER, issuer);
}

void
milter_session_auth(struct milter_session *s, struct span mechanism,
    struct span identity)
{
	milter_macros_set(&s->macros, MACRO_AUTH_TYPE, mechanism);
	milter_macros_set(&s->macros, MACRO_AUTH_AUTHEN, identity);
}

void
milter_session_helo(struct milter_session *s, struct milter_ask ask,
    struct span name)
{
	struct milter_job *job = add(s, MILTER_HELO, ask);

	milter_packet_texts(&job->packet, MILTER_HELO, &name, 1);
	milter_session_advance(s);
}

/* Postfix shows what it does not know: the others are no mail. */
static bool
is_known(struct span verb)
{
	static const char *const known[] = {
		"NOOP", "VRFY", "EXPN", "ETRN", "HELP", "RSET", "STARTTLS",
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_eq_nocase(verb, span_str(known[i])))
			return true;
	return false;
}

void
milter_session_command(struct milter_session *s, struct milter_ask ask,
    struct span verb, struct span arguments)
{
	struct milter_job *job = add(s, MILTER_UNKNOWN, ask);
	size_t start;

	if (!is_known(verb)) {
		start = milter_packet_begin(&job->packet, MILTER_UNKNOWN);
		buf_append(&job->packet, verb);
		if (arguments.len > 0)
			buf_append_byte(&job->packet, ' ');
		milter_packet_text(&job->packet, arguments);
		milter_packet_end(&job->packet, start);
	}
	milter_session_advance(s);
}

static struct milter_job *
add_address(struct milter_session *s, enum milter_command command,
    struct milter_ask ask, const struct span *arguments, size_t n)
{
	struct milter_job *job = add(s, command, ask);
	size_t start;

	buf_append(&job->address, arguments[0]);
	start = milter_packet_begin(&job->packet, command);
	buf_append_byte(&job->packet, '<');
	buf_append(&job->packet, arguments[0]);
	milter_packet_text(&job->packet, SPAN(">"));
	for (size_t i = 1; i < n; i++)
		milter_packet_text(&job->packet, arguments[i]);
	milter_packet_end(&job->packet, start);
	return job;
}

void
milter_session_mail(struct milter_session *s, struct milter_ask ask,
    struct span id, const struct span *arguments, size_t n)
{
	struct milter_job *job = add_address(s, MILTER_MAIL, ask, arguments,
	    n);

	buf_append(&job->id, id);
	milter_session_advance(s);
}

void
milter_session_rcpt(struct milter_session *s, struct milter_ask ask,
    const struct span *arguments, size_t n)
{
	(void)add_address(s, MILTER_RCPT, ask, arguments, n);
	milter_session_advance(s);
}

void
milter_session_data(struct milter_session *s, struct milter_ask ask)
{
	struct milter_job *job = add(s, MILTER_DATA, ask);

	milter_packet_texts(&job->packet, MILTER_DATA, NULL, 0);
	milter_session_advance(s);
}

void
milter_session_headers(struct milter_session *s, struct milter_ask ask,
    struct milter_fields *fields)
{
	struct milter_job *job = add(s, MILTER_HEADER, ask);

	job->fields = *fields;
	*fields = (struct milter_fields){ 0 };
	milter_session_advance(s);
}

void
milter_session_body(struct milter_session *s, struct span data)
{
	struct milter_job *job = add(s, MILTER_BODY, (struct milter_ask){ 0 });

	buf_append(&job->packet, data);
	milter_session_advance(s);
}

void
milter_session_end(struct milter_session *s, struct milter_ask ask)
{
	(void)add(s, MILTER_END, ask);
	milter_session_advance(s);
}

/* Whatever is not done by now is not wanted any more. */
void
milter_session_transaction_end(struct milter_session *s)
{
	while (s->first != NULL)
		free_first(s);
	event_del(s->timer);
	for (size_t i = 0; i < s->n_members; i++) {
		struct milter_member *m = &s->members[i];

		if (!milter_filter_is_idle(&m->filter) && m->in_message) {
			milter_filter_close(&m->filter);
			m->told_connect = m->told_helo = false;
		} else if (m->in_message) {
			static const uint8_t abort_packet[] = {
				0, 0, 0, 1, MILTER_ABORT
			};

			milter_session_send(s, m, MILTER_ABORT,
			    span_of(abort_packet, sizeof abort_packet));
		}
		m->in_message = false;
	}
	milter_content_close(s);
}
