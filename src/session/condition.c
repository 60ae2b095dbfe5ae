/*
 * Conditions: which sessions, transactions and recipients a policy is asked
 * about, by its block in weir.conf.
 *
 * Client and listener are known when the session begins; the rest is looked at
 * when MAIL and RCPT come to the policy's stage, with the addresses as the
 * stages before have left them.
 */
#include "session/content.h"

#include <assert.h>

#include "policy/condition.h"
#include "smtp/path.h"

static_assert(POLICY_MAX <= 16, "struct recipient has a bit for each policy");

static bool
client_is_meant(const struct config_policy *c, const struct addr *client)
{
	size_t i;

	for (i = 0; i < c->n_clients; i++)
		if (addr_prefix_has(&c->clients[i], client))
			return true;
	return c->n_clients == 0;
}

static bool
listener_is_meant(const struct config_policy *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_listeners; i++)
		if (strcmp(c->listeners[i], name) == 0)
			return true;
	return c->n_listeners == 0;
}

static bool
size_is_meant(const struct config_policy *c, uint64_t size)
{
	return size >= c->size_min && (c->size_max == 0 || size <= c->size_max);
}

void
session_seats_begin(struct session *s)
{
	size_t i;

	for (i = 0; i < s->config->n_policies; i++) {
		const struct config_policy *c = &s->config->policies[i];

		s->seats[i].excluded = c->sample == 0 ||
		    !client_is_meant(c, &s->client) ||
		    !listener_is_meant(c, s->listener->name);
	}
}

/* The size that MAIL announces; false: it does not. */
static bool
announced_size(const struct policy_event *event, uint64_t *size_r)
{
	size_t i;

	for (i = 0; i < event->u.mail.n_params; i++) {
		struct span p = event->u.mail.params[i];

		if (span_starts_nocase(p, SPAN("SIZE=")))
			return span_to_u64(span_skip(p, 5), size_r) == 0;
	}
	return false;
}

static void
seat_meets_mail(struct seat *seat, const struct config_policy *c,
    const struct policy_event *event)
{
	struct span domain;
	uint64_t size;

	seat->out = (c->size_min > 0 || c->size_max > 0) &&
	    announced_size(event, &size) && !size_is_meant(c, size);
	seat->enforced = true;
	if (c->n_senders == 0 && c->sample == 100 && c->enforce == 100)
		return;
	domain = smtp_path_domain(event->u.mail.sender);
	seat->out |= !policy_domain_is_listed(domain, c->senders,
	    c->n_senders) || !policy_bucket_is_in(domain, c->sample);
	seat->enforced = c->enforce == 100 || (domain.len > 0 &&
	    policy_bucket_is_in(domain, c->enforce));
}

static bool
recipient_is_meant(const struct config_policy *c, struct span recipient)
{
	return c->n_recipients == 0 || policy_domain_is_listed(
	    smtp_path_domain(recipient), c->recipients, c->n_recipients);
}

/**
 * session_seats_meet - hold MAIL or RCPT against the conditions of the
 * policies [from, to), as the event shows it to them. Other events change
 * nothing.
 */
void
session_seats_meet(struct session *s, const struct policy_event *event,
    size_t from, size_t to)
{
	struct recipient *r;

	for (; from < to; from++) {
		const struct config_policy *c = &s->config->policies[from];
		const uint16_t bit = (uint16_t)(1u << from);

		if (event->type == POLICY_PHASE_MAIL)
			seat_meets_mail(&s->seats[from], c, event);
		if (event->type != POLICY_PHASE_RCPT || s->transaction == NULL)
			continue;
		r = &s->transaction->recipients[event->u.rcpt.index];
		if (recipient_is_meant(c, event->u.rcpt.recipient))
			r->meets |= bit;
		else
			r->meets &= (uint16_t)~bit;
	}
}

/* A recipient was accepted: policies for its domain are shown the message. */
void
session_seats_stand(struct session *s, const struct transaction *t,
    unsigned index)
{
	size_t i;

	if (t != s->transaction)
		return;
	for (i = 0; i < s->config->n_policies; i++)
		if (t->recipients[index].meets & 1u << i)
			s->seats[i].standing_recipients++;
}

/* Will somebody be asked about the message, or be told of DATA, once one of
 * the recipients is accepted that the MX has not spoken about yet? */
bool
session_seats_may_stand(const struct session *s, const struct transaction *t)
{
	uint16_t meets = 0;
	size_t i;

	for (i = 0; i < t->n_recipients; i++)
		meets |= t->recipients[i].meets;
	for (i = 0; i < s->config->n_policies; i++) {
		const struct session_policy *p = &s->seats[i].policy;
		unsigned wants = (p->decide | p->notify) &
		    POLICY_PHASE_BIT(POLICY_PHASE_DATA);

		if (!session_seat_observes(s, i, POLICY_PHASE_DATA))
			wants |= p->decide & POLICY_PHASES_CONTENT;
		if (s->config->policies[i].n_recipients > 0 && wants != 0 &&
		    (meets & 1u << i) != 0)
			return true;
	}
	return false;
}

static bool
size_is_wrong(const struct config_policy *c, const struct transaction *t)
{
	return t != NULL && t->content != NULL && t->content->complete &&
	    !size_is_meant(c, t->content->size);
}

/* Do the conditions exclude it at the phase (RCPT: of this recipient)? */
bool
session_seat_is_out(const struct session *s, size_t i,
    enum policy_phase phase, unsigned index)
{
	const struct config_policy *c = &s->config->policies[i];
	const struct seat *seat = &s->seats[i];
	const struct transaction *t = s->transaction;

	if (seat->excluded)
		return true;
	if (!session_phase_is_of_transaction(phase) &&
	    phase != POLICY_PHASE_TRANSACTION_END)
		return false;
	if (seat->out)
		return true;
	if (phase == POLICY_PHASE_RCPT)
		return t != NULL && index < t->n_recipients &&
		    !(t->recipients[index].meets & 1u << i);
	if (c->n_recipients > 0 && phase >= POLICY_PHASE_DATA &&
	    phase <= POLICY_PHASE_END_OF_MESSAGE &&
	    seat->standing_recipients == 0)
		return true;
	return phase == POLICY_PHASE_END_OF_MESSAGE && size_is_wrong(c, t);
}

/* Is what it says recorded, and that is all? Before a sender is known, a
 * policy that is enforced for some only is for nobody. */
bool
session_seat_observes(const struct session *s, size_t i,
    enum policy_phase phase)
{
	const struct config_policy *c = &s->config->policies[i];

	if (c->mode == POLICY_MODE_OBSERVE)
		return true;
	return c->enforce < 100 && !(s->seats[i].enforced &&
	    (session_phase_is_of_transaction(phase) ||
	    phase == POLICY_PHASE_TRANSACTION_END));
}
