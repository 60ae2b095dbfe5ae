/*
 * What a session's connections to MXs teach about source addresses: whether
 * they can be bound (service/source_health) and how the MXs treat what comes
 * from there (service/mx_health).
 */
#include "daemon/driver_internal.h"

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
	leg->source = (struct addr){ .family = ADDR_NONE };
}

void
driver_measure_failed(struct leg *leg)
{
	mx_health_unreached(shared_of(leg)->mx, &leg->source,
	    &leg->destination, now_us(leg));
}

void
driver_measure_begin(struct leg *leg)
{
	source_health_opened(shared_of(leg)->sources, &leg->local);
	leg->visit = mx_visit_begin(shared_of(leg)->mx, &leg->local,
	    &leg->destination);
}

void
driver_measure(struct leg *leg, const struct session_action *a)
{
	if (a->u.measure.what == SESSION_MEASURE_GREETING)
		mx_visit_greeted(leg->visit, a->u.measure.reply, now_us(leg));
	else
		mx_visit_judged(leg->visit, a->u.measure.reply,
		    a->u.measure.what == SESSION_MEASURE_CONTENT,
		    a->u.measure.data_reply_us, now_us(leg));
}

void
driver_measure_end(struct leg *leg)
{
	mx_visit_end(leg->visit);
	leg->visit = NULL;
	source_health_closed(shared_of(leg)->sources, &leg->local);
}
