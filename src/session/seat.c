/*
 * A policy in a session: what it is at a phase, and what it is told.
 *
 * Everybody who wants to know whether somebody decides, listens or needs the
 * content asks here, so that subscriptions, scopes and stages are looked at in
 * one place.
 */
#include "session/internal.h"

bool
session_phase_is_of_transaction(enum policy_phase phase)
{
	return phase >= POLICY_PHASE_MAIL &&
	    phase <= POLICY_PHASE_END_OF_MESSAGE;
}

/* Behind the last policy of this one's stage. */
size_t
session_stage_end(const struct session *s, size_t i)
{
	const struct config_policy *p = s->config->policies;
	unsigned stage = p[i].stage;

	while (++i < s->config->n_policies && p[i].stage == stage)
		;
	return i;
}

/* A phase that its stage never heard the beginning of. */
static bool
seat_is_behind(const struct seat *seat, enum policy_phase phase)
{
	if (phase == POLICY_PHASE_SESSION_END)
		return !seat->in_session;
	return !seat->in_transaction && phase != POLICY_PHASE_MAIL &&
	    (session_phase_is_of_transaction(phase) ||
	    phase == POLICY_PHASE_TRANSACTION_END);
}

/* An observer without which mail would do as it does with it. Some are there
 * for an hour and then not for weeks (weir-policy capture): no row for each
 * message, no breaker that opens again and again. */
bool
session_seat_is_idle(const struct session *s, size_t i)
{
	const struct config_policy *c = &s->config->policies[i];

	return c->mode == POLICY_MODE_OBSERVE &&
	    c->on_error[POLICY_PHASE_MAIL] == POLICY_RELAY;
}

/**
 * session_seat_role - what a policy is at a phase.
 *
 * index  RCPT: of the recipient
 *
 * One that is lost is still asked: its vote is an error then. So is one that
 * was never there, once for each message, if that could say anything.
 */
enum seat_role
session_seat_role(const struct session *s, size_t i, enum policy_phase phase,
    unsigned index)
{
	const struct seat *seat = &s->seats[i];
	const unsigned bit = POLICY_PHASE_BIT(phase);
	bool observes;

	/* asked often, and mostly this is all */
	if (seat->policy.known && seat->standing == NULL &&
	    !((seat->policy.decide | seat->policy.notify) & bit))
		return SEAT_OUT;
	observes = session_seat_observes(s, i, phase);
	if (session_seat_is_out(s, i, phase, index))
		return SEAT_OUT;
	if (!seat->policy.known)
		return phase != POLICY_PHASE_MAIL || session_seat_is_idle(s, i) ?
		    SEAT_OUT : observes ? SEAT_OBSERVES : SEAT_DECIDES;
	if (seat_is_behind(seat, phase))
		return SEAT_OUT;
	/* A refusal for the session also speaks where its policy does not. */
	if (seat->standing != NULL && phase == POLICY_PHASE_MAIL &&
	    seat->standing_scope == POLICY_SCOPE_SESSION && !observes)
		return SEAT_DECIDES;
	if (!((seat->policy.decide | seat->policy.notify) & bit))
		return SEAT_OUT;
	if (!(seat->policy.decide & bit) || seat->relay_session)
		return SEAT_LISTENS;
	if (observes)
		return SEAT_OBSERVES;
	return session_phase_is_of_transaction(phase) &&
	    (seat->relay_transaction || seat->spectator) ?
	    SEAT_LISTENS : SEAT_DECIDES;
}

/* Is a decision of anybody awaited at the phase? */
bool
session_has_decider(const struct session *s, enum policy_phase phase)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		if (session_seat_role(s, i, phase, 0) == SEAT_DECIDES)
			return true;
	return false;
}

/* Does anybody who is there, or may come back, want to hear of the phase? */
bool
session_has_listener(const struct session *s, enum policy_phase phase)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		if (!s->seats[i].gave_up && s->seats[i].policy.known &&
		    session_seat_role(s, i, phase, 0) != SEAT_OUT)
			return true;
	return false;
}

/* Could a decider ever want the content of a message in this session? */
bool
session_wants_content(const struct session *s)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++) {
		const struct config_policy *c = &s->config->policies[i];

		if (s->seats[i].policy.decide & POLICY_PHASES_CONTENT &&
		    c->mode == POLICY_MODE_ENFORCE && c->enforce > 0 &&
		    !s->seats[i].excluded)
			return true;
	}
	return false;
}

bool
session_may_decide_content(const struct session *s, unsigned policy)
{
	const struct seat *seat = &s->seats[policy];

	return (seat->policy.decide & POLICY_PHASES_CONTENT) != 0 &&
	    !seat->excluded && !seat->out && !seat->relay_transaction &&
	    !seat->relay_session && !session_seat_observes(s, policy, POLICY_PHASE_BODY);
}

void
session_seat_send(struct session *s, size_t policy,
    const struct policy_event *event, uint32_t seq, uint32_t deadline_ms)
{
	struct policy_event *copy = session_alloc(s, sizeof(*copy));
	struct session_action *a;

	*copy = *event;
	session_view_fit(s, policy, copy);
	copy->seq = seq;
	copy->deadline_ms = deadline_ms;
	a = session_act(s, SESSION_ASK, SESSION_CLIENT);
	a->u.ask.policy = (unsigned)policy;
	a->u.ask.event = copy;
}

void
session_notify_one(struct session *s, size_t policy,
    struct policy_event *event)
{
	const struct seat *seat = &s->seats[policy];

	/* what it was not asked about it does not hear the answer to */
	if (event->type == POLICY_PHASE_REPLY && session_seat_is_out(s, policy,
	    event->u.reply.phase, event->u.reply.index))
		return;
	if (seat->lost || !seat->policy.known ||
	    !session_view_sees(s, policy, event))
		return;
	if (session_seat_role(s, policy, (enum policy_phase)event->type,
	    event->type == POLICY_PHASE_RCPT ? event->u.rcpt.index : 0) !=
	    SEAT_OUT)
		session_seat_send(s, policy, event, 0, 0);
}

void
session_notify(struct session *s, struct policy_event *event)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		session_notify_one(s, i, event);
}

/* The session, or a transaction, has begun for these. */
void
session_seats_reached(struct session *s, enum policy_phase phase, size_t from,
    size_t to)
{
	for (; from < to; from++) {
		s->seats[from].in_session = true;
		if (phase == POLICY_PHASE_MAIL)
			s->seats[from].in_transaction = true;
	}
}

void
session_seats_applied(struct session *s, const struct inquiry *q)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++)
		s->seats[i].applied = q != NULL && (int)i == q->merge.winner &&
		    q->votes[i].error == POLICY_OK;
}

/* What observers are compared with is then only its action. */
static void
standing_leaves(struct inquiry_list *list, size_t i,
    const struct policy_decision *standing)
{
	struct inquiry *q;

	TAILQ_FOREACH(q, list, link)
		if (q->votes[i].decision == standing)
			q->votes[i].decision =
			    policy_fallback(standing->action);
}

void
session_seats_new_transaction(struct session *s)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++) {
		struct seat *seat = &s->seats[i];

		seat->relay_transaction = seat->spectator = false;
		seat->applied = seat->relayed = false;
		seat->in_transaction = seat->out = seat->enforced = false;
		seat->standing_recipients = 0;
		seat->would = seat->would_session;
		seat->waited_us = 0;
		if (seat->waiting > 0)
			seat->wait_since_us = s->now_us;
		if (seat->standing != NULL &&
		    seat->standing_scope == POLICY_SCOPE_TRANSACTION) {
			standing_leaves(&s->inquiries, i, seat->standing);
			standing_leaves(&s->observed, i, seat->standing);
			session_later(s, session_decision_free,
			    seat->standing);
			seat->standing = NULL;
		}
	}
}
