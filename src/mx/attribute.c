/*
 * The others are asked about the same kind of trouble only: that one address
 * is blocked says nothing about whether the MX is slow for all, or defers.
 */
#include "mx/attribute.h"

#include "base/clock.h"
#include "mx/detect_internal.h"

#define SIGNS 0.5f		/* of the threshold: the beginnings */
#define FINE 2			/* so many in a row went well */
#define AGAIN_US (UINT64_C(60) * CLOCK_US_PER_S)

static bool
is_refusal(enum mx_measure m)
{
	return m == MX_MEASURE_BLOCKS || m == MX_MEASURE_REFUSALS;
}

static bool
is_akin(enum mx_measure a, enum mx_measure b)
{
	return mx_measure_detector(a) == mx_measure_detector(b) &&
	    is_refusal(a) == is_refusal(b);
}

static bool
shows(const struct mx_detect *other, const struct mx_detect *d,
    enum mx_measure m)
{
	for (int i = 0; i < MX_MEASURE_COUNT; i++)
		if (other->levels[i] != MX_NORMAL &&
		    is_akin(m, (enum mx_measure)i))
			return true;
	if (m == MX_MEASURE_SLOWNESS)
		return mx_latency_is_shared(&d->latency, &other->latency,
		    mx_detect_slowest(d));
	return m < MX_MEASURE_RATES && other->rates[m].score >
	    SIGNS * mx_detect_threshold(other, m);
}

/* Something of it went well since then, and lately. */
static bool
is_fine(const struct mx_detect *d, uint64_t since_us)
{
	return d->good >= FINE && d->good_us > since_us;
}

enum mx_attribution
mx_attribute(struct mx_detect *const all[], size_t n, size_t which,
    uint64_t now_us)
{
	const struct mx_detect *d = all[which];
	const struct mx_sender *culprit;
	uint64_t since_us;
	enum mx_measure m;
	enum mx_state state;
	bool fine = false;

	(void)now_us;
	if (!mx_detect_worst(d, &m, &culprit, &state))
		return MX_ATTRIBUTION_NONE;
	if (culprit != NULL)
		return MX_ATTRIBUTION_SENDER_DOMAIN;
	if (m == MX_MEASURE_CONTENT)
		return MX_ATTRIBUTION_CONTENT;
	since_us = m < MX_MEASURE_RATES ? d->rates[m].run_us : d->state_us;
	for (size_t i = 0; i < n; i++) {
		if (i == which)
			continue;
		if (shows(all[i], d, m))
			return MX_ATTRIBUTION_GROUP;
		fine |= is_fine(all[i], since_us);
	}
	return fine ? MX_ATTRIBUTION_SOURCE : MX_ATTRIBUTION_UNKNOWN;
}

bool
mx_attribute_is_due(const struct mx_detect *d, bool moved, uint64_t now_us)
{
	const struct mx_sender *culprit;
	enum mx_measure m;
	enum mx_state state;

	if (d->state == MX_NORMAL || d->state == MX_RECOVERING)
		return false;
	mx_detect_worst(d, &m, &culprit, &state);
	return moved || (culprit != NULL &&
	    d->attribution != MX_ATTRIBUTION_SENDER_DOMAIN) || d->attribution == MX_ATTRIBUTION_UNKNOWN ||
	    now_us > d->attributed_us + AGAIN_US;
}

bool
mx_attribute_set(struct mx_detect *d, enum mx_attribution a, uint64_t now_us,
    struct mx_transition *t_r)
{
	bool other = a != d->attribution && a != MX_ATTRIBUTION_NONE;

	d->attributed_us = now_us;
	if (!other)
		return false;
	d->attribution = d->evidence.attribution = a;
	if (a != MX_ATTRIBUTION_SENDER_DOMAIN)
		d->evidence.sender_domain[0] = '\0';
	*t_r = (struct mx_transition){ .now_us = now_us,
	    .wall_us = now_us + d->wall_offset_us, .from = d->state,
	    .to = d->state, .evidence = d->evidence };
	return true;
}
