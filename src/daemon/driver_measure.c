/*
 * What a session's connections to MXs teach about source addresses: whether
 * they can be bound (service/source_health) and how the MXs treat what comes
 * from there (service/mx_health).
 */
#include "daemon/driver_internal.h"

#include <errno.h>

static struct worker_shared *
shared_of(const struct leg *leg)
{
	return leg->driver->worker->shared;
}

static uint64_t
now_us(const struct leg *leg)
{
	return loop_now_us(leg->driver->worker->loop);
}

/* What was measured before, where a policy hears of it. */
const struct policy_health *
driver_measured(struct driver *d, const struct session_policy *policies)
{
	unsigned hear = 0;
	size_t i;

	for (i = 0; i < d->config->n_policies; i++)
		hear |= policies[i].decide | policies[i].notify;
	if (hear & POLICY_PHASE_BIT(POLICY_PHASE_CONNECT))
		d->view = mx_health_view(d->worker->shared->mx,
		    &d->destination, loop_now_us(d->worker->loop));
	return d->view == NULL ? NULL : &d->view->health;
}

/* A connect_request's on_bind_failed: that is not the MX's doing. */
void
driver_bind_failed(void *ctx, const struct addr *source)
{
	struct leg *leg = ctx;

	source_health_failed(shared_of(leg)->sources, source);
}

/* What it says about the MX that connect(2) came to this errno. */
enum mx_result
driver_measure_failed(int error)
{
	switch (error) {
	case ETIMEDOUT:
		return MX_RESULT_TIMED_OUT;
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENOPROTOOPT:	/* ICMP: protocol unreachable */
		return MX_RESULT_REFUSED;
	default:		/* our own ports, memory, firewall */
		return MX_RESULT_NONE;
	}
}

/* May it be dialled? */
bool
driver_measure_enter(struct leg *leg)
{
	struct metrics *m = leg->driver->worker->metrics;

	mx_ticket_give_back(leg->ticket);	/* of a dial before */
	if (mx_ticket_take(shared_of(leg)->mx,
	    &leg->driver->config->deliverability, &leg->local,
	    &leg->destination, now_us(leg), &leg->ticket, leg->why) !=
	    MX_TICKET_FULL)
		return true;
	metrics_add(&m->counters[METRICS_CAPPED], 1);
	return false;
}

void
driver_measure_begin(struct leg *leg)
{
	if (leg->ticket == NULL)	/* it was left by another session, or
					   the kernel has chosen the source */
		leg->ticket = mx_ticket_for(shared_of(leg)->mx,
		    &leg->driver->config->deliverability, &leg->local,
		    &leg->destination, now_us(leg));
	source_health_opened(shared_of(leg)->sources, &leg->local);
	leg->visit = mx_visit_begin(shared_of(leg)->mx, &leg->local,
	    &leg->destination);
}

void
driver_measure(struct leg *leg, const struct session_action *a)
{
	struct mx_sample *m = a->u.measure.sample;
	struct mx_health *h = shared_of(leg)->mx;
	char group[MX_GROUP_MAX];

	if (a->u.measure.greeting != NULL) {
		mx_visit_greeted(leg->visit, a->u.measure.greeting,
		    now_us(leg));
		return;
	}
	m->min_rtt_us = stream_min_rtt_us(leg->stream);
	if (m->min_rtt_us != 0)
		leg->driver->min_rtt_us = m->min_rtt_us;
	if (m->source.family == ADDR_NONE)
		m->source = leg->local;
	if (h == NULL || m->source.family == ADDR_NONE)
		return;		/* from where? */
	m->group = mx_visit_group(leg->visit);
	if (m->group[0] == '\0') {
		mx_health_group(h, &m->destination, group, m->now_us);
		m->group = group;
	}
	mx_health_learn(h, m);
}

/* What the session cannot know of its facts. */
void
driver_record_transaction(struct driver *d, const struct fact *f)
{
	struct mx_health *h = d->worker->shared->mx;
	struct fact copy = *f;
	char group[MX_GROUP_MAX];

	if (f->u.transaction.remote.family != ADDR_NONE) {
		mx_health_group(h, &f->u.transaction.remote, group, f->now_us);
		copy.u.transaction.mx_group = group;
	}
	record_session_fact(d->record, &copy);
}

void
driver_record_close(struct driver *d, const struct fact *f)
{
	struct fact copy = *f;

	copy.u.close.min_rtt_us = d->min_rtt_us;
	record_session_fact(d->record, &copy);
}

void
driver_measure_end(struct leg *leg)
{
	mx_visit_end(leg->visit);
	leg->visit = NULL;
	source_health_closed(shared_of(leg)->sources, &leg->local);
}
