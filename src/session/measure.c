/*
 * A phase lasts from when the MX had all that it needed, which for a pipelined
 * command is not before the reply to the one before it, to when its reply was
 * there: mx_reply.took_us.
 */
#include "session/content.h"
#include "session/internal.h"
#include "session/route.h"

#include "mx/rules.h"

#include <assert.h>

static bool
is_of_connection(enum mx_phase phase)
{
	return phase <= MX_PHASE_TLS;
}

/* The virtual clock may stand still; 0 would mean that nothing was measured. */
static uint64_t
at_least_1(uint64_t us)
{
	return us > 0 ? us : 1;
}

void
session_phase_of_connection(struct upstream *up, enum mx_phase phase,
    uint64_t us)
{
	assert(is_of_connection(phase));
	if (!up->measured.told && up->measured.phase_us[phase] == 0)
		up->measured.phase_us[phase] = at_least_1(us);
}

void
session_phase(struct transaction *t, enum mx_phase phase, uint64_t us)
{
	uint64_t *slot = &t->measured.phase_us[phase - MX_PHASE_MAIL];

	assert(!is_of_connection(phase) && phase <= MX_PHASE_FINAL);
	if (phase != MX_PHASE_BODY)
		t->measured.answered = phase;
	us = at_least_1(us);
	if (phase != MX_PHASE_RCPT || us > *slot)
		*slot = us;
}

uint64_t
session_phase_of(const struct transaction *t, enum mx_phase phase)
{
	return t->measured.phase_us[phase - MX_PHASE_MAIL];
}

void
session_phases_forget(struct transaction *t)
{
	memset(t->measured.phase_us, 0, sizeof(t->measured.phase_us));
}

/* Whoever writes an address differently is somebody else: that costs little. */
static uint64_t
hash_on(uint64_t hash, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		hash = (hash ^ bytes.data[i]) * UINT64_C(1099511628211);
	hash = (hash ^ hash >> 31) * UINT64_C(0x94d049bb133111eb);
	return hash ^ hash >> 29;
}

static void
lower_case(uint8_t *out, struct span in)
{
	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.data[i];

		out[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
	}
}

void
session_measure_recipient(struct transaction *t, struct span address)
{
	struct span domain = smtp_path_domain(address);

	t->measured.recipient = hash_on(UINT64_C(14695981039346656037),
	    address);
	if (domain.len > sizeof(t->measured.domain))
		domain.len = 0;		/* no domain is that long */
	lower_case(t->measured.domain, domain);
	t->measured.domain_len = (uint8_t)domain.len;
}

void
session_measure_anew(struct upstream *up)
{
	memset(up->measured.phase_us, 0, sizeof(up->measured.phase_us));
	up->measured.told = up->measured.said_421 = false;
}

/* r's lines are kept already: its own memory is not. */
void
session_measure_greeting(struct session *s, const struct policy_reply *r)
{
	struct policy_reply *kept = session_alloc(s, sizeof(*kept));

	*kept = *r;
	session_act(s, SESSION_MEASURE, SESSION_UPSTREAM)->
	    u.measure.greeting = kept;
}

enum mx_category
session_measure_category(const struct session *s, const struct policy_reply *r,
    enum mx_phase phase)
{
	const struct mx_refusal refusal = { .reply = r, .phase = phase,
	    .name = buf_span(&s->up->name),
	    .destination = s->up->route->destination };

	return mx_reply_category(s->config->rules, &refusal);
}

static struct mx_sample *
sample_new(struct session *s, enum mx_result result)
{
	struct session_action *a = session_act(s, SESSION_MEASURE,
	    SESSION_UPSTREAM);
	struct mx_sample *m = session_alloc(s, sizeof(*m));
	struct upstream *up = s->up;

	a->u.measure.sample = m;
	m->now_us = s->now_us;
	m->session = s->id.text;
	m->wall_us = s->wall_us + (s->now_us - s->start_us);
	m->source = up->local;
	m->destination = up->route->destination;
	m->result = result;
	m->category = result == MX_RESULT_DELIVERED ||
	    result == MX_RESULT_NONE ? MX_ACCEPTED : MX_OTHER;
	if (!up->measured.told)
		memcpy(m->phase_us, up->measured.phase_us, sizeof(up->measured.phase_us));
	up->measured.told = true;
	return m;
}

static void
sample_reply(struct session *s, struct mx_sample *m,
    const struct policy_reply *r, enum mx_phase phase)
{
	m->category = session_measure_category(s, r, phase);
	m->code = r->code;
	m->enhanced = r->enhanced;
	if (r->n_lines > 0)
		m->text = r->lines[0];
}

static void
sample_transaction(struct session *s, struct mx_sample *m,
    struct transaction *t)
{
	struct span sender = buf_span(t->is_rewritten ? &t->rewritten :
	    &t->sender);

	t->measured.told = true;
	m->sender_domain = session_keep(s, smtp_path_domain(sender));
	lower_case((uint8_t *)(uintptr_t)m->sender_domain.data,
	    m->sender_domain);
	m->recipient_domain = span_of(t->measured.domain,
	    t->measured.domain_len);
	if (t->measured.recipient != 0)
		m->contact = hash_on(t->measured.recipient, sender);
	m->size = session_content_sent(t->content);
	memcpy(&m->phase_us[MX_PHASE_MAIL], t->measured.phase_us, sizeof(t->measured.phase_us));
}

static enum mx_result
result_of(unsigned code)
{
	return code / 100 == 2 ? MX_RESULT_DELIVERED :
	    code / 100 == 5 ? MX_RESULT_REJECTED : MX_RESULT_DEFERRED;
}

void
session_measure_transaction(struct session *s, struct transaction *t,
    enum policy_outcome outcome, const struct policy_reply *r)
{
	struct policy_reply own;
	struct mx_sample *m;

	if (t->measured.told || outcome == POLICY_OUTCOME_ABORTED ||
	    strcmp(t->decided_by, "mx") != 0)
		return;
	if (r == NULL) {
		session_reply_split(s, buf_span(&t->last_reply), &own);
		r = &own;
	}
	m = sample_new(s, result_of(r->code));
	sample_reply(s, m, r, t->measured.answered);
	sample_transaction(s, m, t);
}

void
session_measure_refused(struct session *s, const struct policy_reply *r,
    enum mx_phase phase, uint64_t took_us)
{
	struct mx_sample *m = sample_new(s, result_of(r->code));

	sample_reply(s, m, r, phase);
	if (!is_of_connection(phase))
		m->phase_us[phase] = at_least_1(took_us);
}

/* An MX that does not know EHLO is told HELO next: that is no refusal. */
void
session_measure_ehlo_refused(struct session *s, const struct mx_reply *reply)
{
	struct policy_reply r;

	if (s->up->measured.told || reply->code / 10 == 50)
		return;
	session_reply_split(s, reply->raw, &r);
	session_measure_refused(s, &r, MX_PHASE_EHLO, 0);
}

/* Is a reply due to anything that matters? Who is at QUIT has all. */
static bool
owes(const struct session *s)
{
	const struct expected *e = TAILQ_FIRST(&s->up->expected);
	const struct transaction *t = s->transaction;

	if (s->up->phase == UPSTREAM_GREETING)
		return true;
	if (e == NULL)
		return t != NULL && session_content_is_with_mx(t->content);
	return e->what != EXPECT_KEEP && (e->pending == NULL ||
	    e->pending->command != &session_command_quit);
}

/* The transaction that is under way on the connection in use. */
static struct transaction *
under_way(struct session *s)
{
	struct transaction *t = s->transaction;

	return s->rehome == NULL && t != NULL && !t->ended && !t->measured.told ?
	    t : NULL;
}

/* One that took its leave with 421 has given its answer. */
void
session_measure_lost(struct session *s, enum mx_result result)
{
	struct transaction *t = under_way(s);
	struct mx_sample *m;

	if (s->up->measured.said_421 && t != NULL) {
		session_measure_transaction(s, t, session_outcome_of(t->code),
		    NULL);
		return;
	}
	if (s->up->measured.said_421 || !owes(s))
		return;
	m = sample_new(s, result);
	if (t != NULL && t->mail_sent)
		sample_transaction(s, m, t);
}

void
session_measure_leave(struct session *s, const struct mx_reply *reply)
{
	struct transaction *t = under_way(s);
	struct policy_reply r;
	struct mx_sample *m;

	if (t == NULL || !t->mail_sent)
		return;
	session_reply_split(s, reply->raw, &r);
	m = sample_new(s, MX_RESULT_DEFERRED);
	sample_reply(s, m, &r, t->measured.answered);
	sample_transaction(s, m, t);
}

void
session_measure_unreached(struct session *s, enum mx_result result)
{
	if (result == MX_RESULT_REFUSED || result == MX_RESULT_TIMED_OUT)
		sample_new(s, result);
}

void
session_measure_quit(struct session *s, uint64_t us)
{
	sample_new(s, MX_RESULT_NONE)->phase_us[MX_PHASE_QUIT] =
	    at_least_1(us);
}

void
session_measure_connection(struct session *s)
{
	if (!s->up->measured.told && s->up->measured.phase_us[MX_PHASE_CONNECT] > 0)
		sample_new(s, MX_RESULT_NONE);
}

void
session_measure_over(struct session *s)
{
	struct transaction *t = under_way(s);

	if (t != NULL)
		session_measure_transaction(s, t, session_transaction_outcome(t,
		    POLICY_OUTCOME_ABORTED), NULL);
	session_measure_connection(s);
}
