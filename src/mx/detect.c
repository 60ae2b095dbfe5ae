/*
 * Measures are tested one by one, with thresholds that grow with the logarithm
 * of the traffic: whoever asks a thousand times more often is wrong a thousand
 * times more often at the same threshold.
 */
#include "mx/detect.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "mx/detect_internal.h"

#define FALSE_DAYS 20.0f	/* a false alarm of one measure in so many */
#define DAY_LEAST 500.0f	/* samples a day, before it is known */
#define DAY_US (UINT64_C(86400) * CLOCK_US_PER_S)
#define HOUR_US (UINT64_C(3600) * CLOCK_US_PER_S)
#define RELAPSE 3.0f		/* so much less evidence while recovering */
#define HITS_LEAST 3.0f
#define TAILS 1.3f		/* slow replies come in heavier tails than
				   those that a CUSUM is made for */

const struct mx_detect_kind mx_detect_kinds[MX_MEASURE_RATES] = {
	[MX_MEASURE_THROTTLES] = {
		{ 0.002f, 0.02f, 0.002f, 0 }, 0.03f, 0.05f, 0 },
	[MX_MEASURE_BLOCKS] = {
		{ 0.002f, 0.02f, 0.002f, 0 }, 0.05f, 0, 0.4f },
	[MX_MEASURE_HANGUPS] = {
		{ 0.005f, 0.1f, 0.002f, 0 }, 0.06f, 0.12f, 0 },
	[MX_MEASURE_DEFERRALS] = {
		{ 0.01f, 0.25f, 0.005f, 3 }, 0.08f, 0.15f, 0 },
	[MX_MEASURE_REFUSALS] = {
		{ 0.01f, 0.25f, 0.002f, 0 }, 0.08f, 0, 0.7f },
	[MX_MEASURE_AUTHENTICATION] = {
		{ 0.005f, 0.05f, 0.002f, 0 }, 0.08f, 0, 0 },
	[MX_MEASURE_CONTENT] = {
		{ 0.02f, 0.25f, 0.002f, 3 }, 0.1f, 0, 0 },
	[MX_MEASURE_UNREACHED] = {
		{ 0.01f, 0.1f, 0.002f, 3 }, 0.06f, 0.15f, 0.6f },
};
const struct mx_rate_prior mx_detect_sender_prior = {
	.rate = 0.01f, .most = 0.05f, .least = 0.002f };

void
mx_detect_init(struct mx_detect *d, uint64_t now_us)
{
	memset(d, 0, sizeof(*d));
	d->began_us = d->state_us = d->faded_us = now_us;
	mx_contacts_init(&d->contacts);
}

float
mx_detect_threshold(const struct mx_detect *d, enum mx_measure m)
{
	uint64_t age = d->seen_us > d->began_us ? d->seen_us - d->began_us : 0;
	float a_day, t;

	if (m == MX_MEASURE_STRANGERS)
		return MX_DETECT_STRANDED;
	age = age < HOUR_US ? HOUR_US : age > 7 * DAY_US ? 7 * DAY_US : age;
	a_day = d->n * (float)DAY_US / (float)age;
	if (a_day < DAY_LEAST)
		a_day = DAY_LEAST;
	t = logf(FALSE_DAYS * a_day);
	if (m == MX_MEASURE_SLOWNESS)
		t = TAILS * (t + logf(MX_LATENCY_PHASES));
	return d->state == MX_RECOVERING ? t - RELAPSE : t;
}

/* ---------------------------------------------------------------- replies */

static bool
is_decided(const struct mx_sample *s)
{
	return s->result <= MX_RESULT_REJECTED;
}

/* Is the sample a trial of this measure, and did it hit? */
static bool
is_trial(enum mx_measure m, const struct mx_sample *s)
{
	bool ok = s->result == MX_RESULT_DELIVERED;

	if (m == MX_MEASURE_UNREACHED)
		return s->result >= MX_RESULT_REFUSED ||
		    s->phase_us[MX_PHASE_CONNECT] > 0;
	if (!is_decided(s))
		return false;
	if (m == MX_MEASURE_AUTHENTICATION || m == MX_MEASURE_CONTENT)
		return ok || s->category == MX_AUTHENTICATION ||
		    s->category == MX_CONTENT;
	return ok || mx_category_is_about_source(s->category);
}

static bool
is_hit(enum mx_measure m, const struct mx_sample *s)
{
	if (s->result == MX_RESULT_DELIVERED)
		return false;
	switch (m) {
	case MX_MEASURE_THROTTLES:
		return s->category == MX_THROTTLE;
	case MX_MEASURE_BLOCKS:
		return s->category == MX_BLOCKLIST;
	case MX_MEASURE_HANGUPS:
		return s->code == 421;
	case MX_MEASURE_DEFERRALS:
		return s->result == MX_RESULT_DEFERRED;
	case MX_MEASURE_REFUSALS:
		return s->result == MX_RESULT_REJECTED;
	case MX_MEASURE_AUTHENTICATION:
		return s->category == MX_AUTHENTICATION;
	case MX_MEASURE_CONTENT:
		return s->category == MX_CONTENT;
	default:
		return s->result >= MX_RESULT_REFUSED;
	}
}

static void
raise(struct mx_detect *d, enum mx_measure m, enum mx_state level)
{
	if (d->levels[m] < level)
		d->levels[m] = (uint8_t)level;
}

static void
judge_rate(struct mx_detect *d, enum mx_measure m, bool hit)
{
	const struct mx_detect_kind *k = &mx_detect_kinds[m];
	struct mx_rate *r = &d->rates[m];
	float now;

	if (d->levels[m] != MX_NORMAL && r->calm >= MX_RATE_CALM) {
		d->levels[m] = MX_NORMAL;
		mx_rate_clear(r);
		return;
	}
	if (!hit || r->run_hits < HITS_LEAST)
		return;
	now = mx_rate_now(r);
	if (now < k->suspect || mx_rate_evidence(r, &k->prior) <
	    mx_detect_threshold(d, m))
		return;
	raise(d, m, k->blocked > 0 && now >= k->blocked ? MX_BLOCKED :
	    k->throttled > 0 && now >= k->throttled ? MX_THROTTLED :
	    MX_SUSPECT);
	mx_rate_alarm(r);
}

static void
count(struct mx_detect *d, enum mx_measure m, bool hit, uint64_t now_us)
{
	mx_rate_add(&d->rates[m], &mx_detect_kinds[m].prior, hit, now_us);
	judge_rate(d, m, hit);
}

/* A deferral that may be greylisting counts when that is out of the question.
 * true: it is to count now. */
static bool
is_deferral(struct mx_detect *d, const struct mx_sample *s)
{
	struct mx_contacts *c = &d->contacts;

	if (s->category == MX_GREYLIST) {
		mx_contacts_deferred(c, s->contact, s->now_us);
		return false;
	}
	if (s->code == 421 || (s->category != MX_OTHER &&
	    s->category != MX_POLICY) ||
	    mx_contacts_deferred(c, s->contact, s->now_us) !=
	    MX_CONTACT_UNCLEAR)
		return true;
	c->unclear++;
	return false;
}

static void
strangers_accepted(struct mx_detect *d, const struct mx_sample *s)
{
	struct mx_contacts *c = &d->contacts;
	const struct mx_rate *r = &d->rates[MX_MEASURE_DEFERRALS];

	switch (mx_contacts_accepted(c, s->contact, s->now_us)) {
	case MX_CONTACT_FRESH:
		if (r->run_hits <= 0)
			c->counted = 0;
		if (c->unclear < 1 || c->fresh < (r->run_hits > c->counted ?
		    MX_CONTACTS_FRESH : MX_CONTACTS_FRESH_ALONE))
			break;
		c->unclear--;
		c->counted++;
		count(d, MX_MEASURE_DEFERRALS, true, s->now_us);
		break;
	case MX_CONTACT_RETRIED:
		mx_rate_forgive(&d->rates[MX_MEASURE_DEFERRALS], 1);
		c->unclear = 0;
		break;
	case MX_CONTACT_COUNTS:
	case MX_CONTACT_UNCLEAR:
		break;
	}
}

static void
learn_sender(struct mx_detect *d, const struct mx_sample *s)
{
	bool bad = s->category != MX_ACCEPTED;
	struct mx_sender *row;

	if (!is_decided(s) || s->category == MX_MAILBOX ||
	    s->category == MX_GREYLIST || s->category == MX_TLS)
		return;
	row = mx_senders_add(&d->senders, s->sender_domain,
	    &mx_detect_sender_prior, bad, s->now_us);
	if (row == NULL)
		return;
	if (row->rate.alarm_rate > 0 && row->rate.calm >= MX_RATE_CALM)
		mx_rate_clear(&row->rate);
	else if (bad && row->rate.score >= mx_detect_threshold(d,
	    MX_MEASURE_SENDER) && row->rate.run_hits >= HITS_LEAST)
		mx_rate_alarm(&row->rate);
}

static void
learn_replies(struct mx_detect *d, const struct mx_sample *s)
{
	bool greylists, unclear;

	if (s->result == MX_RESULT_DELIVERED)
		strangers_accepted(d, s);
	unclear = s->result == MX_RESULT_DEFERRED && !is_deferral(d, s);
	greylists = mx_contacts_greylists(&d->contacts, s->now_us);
	d->levels[MX_MEASURE_STRANGERS] =
	    d->contacts.stranded >= MX_DETECT_STRANDED && !greylists ?
	    MX_SUSPECT : MX_NORMAL;
	for (int m = 0; m < MX_MEASURE_RATES; m++) {
		/* at a greylist it is one that was not deferred as such */
		bool open = unclear && m == MX_MEASURE_DEFERRALS;

		if (is_trial((enum mx_measure)m, s) && (!open || greylists))
			count(d, (enum mx_measure)m,
			    is_hit((enum mx_measure)m, s) && !open, s->now_us);
	}
	if (!unclear)
		learn_sender(d, s);
}

/* ---------------------------------------------------------------- latency */

/* An alarm ends when half of what raised it is gone. */
static bool
is_over(const struct mx_latency_figure *f)
{
	float half = 1 + (MX_LATENCY_TIMES - 1) / 2;

	return f->recent_ms < f->usual_ms + MX_LATENCY_MORE_MS / 2 ||
	    f->recent_ms < f->usual_ms * half;
}

static void
judge_phase(struct mx_detect *d, unsigned i, float threshold, uint64_t size)
{
	struct mx_latency_figure f;
	enum mx_state level;

	if (d->slow[i] == MX_NORMAL && d->latency.phases[i].score < threshold)
		return;
	mx_latency_look(&d->latency, i, size, &f);
	level = (enum mx_state)mx_latency_weight(&f);
	if (level > d->slow[i])
		d->slow[i] = (uint8_t)level;
	else if (d->slow[i] != MX_NORMAL && is_over(&f)) {
		d->slow[i] = MX_NORMAL;
		mx_latency_clear(&d->latency, i);
	}
}

static void
level_slowness(struct mx_detect *d)
{
	d->levels[MX_MEASURE_SLOWNESS] = MX_NORMAL;
	for (unsigned i = 0; i < MX_LATENCY_PHASES; i++)
		raise(d, MX_MEASURE_SLOWNESS, (enum mx_state)d->slow[i]);
}

static void
learn_latency(struct mx_detect *d, const struct mx_sample *s)
{
	unsigned bad = 0, had;
	float threshold;

	for (unsigned i = 0; i < MX_LATENCY_PHASES; i++)
		bad |= (d->slow[i] != MX_NORMAL ? 1u : 0u) << i;
	had = mx_latency_learn(&d->latency, s, bad);
	if (had == 0)
		return;
	threshold = mx_detect_threshold(d, MX_MEASURE_SLOWNESS);
	for (unsigned i = 0; i < MX_LATENCY_PHASES; i++)
		if (had & 1u << i)
			judge_phase(d, i, threshold, s->size);
	level_slowness(d);
	if (d->levels[MX_MEASURE_SLOWNESS] != MX_NORMAL)
		d->slow_us = s->now_us;
}

/* ------------------------------------------------------------------ state */

bool
mx_detect_worst(const struct mx_detect *d, enum mx_measure *m_r,
    const struct mx_sender **culprit_r, enum mx_state *state_r)
{
	int worst = -1;

	*state_r = MX_NORMAL;
	for (int m = 0; m < MX_MEASURE_COUNT; m++)
		if (d->levels[m] > *state_r) {
			*state_r = (enum mx_state)d->levels[m];
			worst = m;
		}
	*culprit_r = mx_senders_culprit(&d->senders,
	    worst == MX_MEASURE_AUTHENTICATION || worst == MX_MEASURE_CONTENT ?
	    MX_SENDER_LIKELY : MX_SENDER_SURE);
	if (*culprit_r != NULL && worst < 0 &&
	    (*culprit_r)->rate.alarm_rate <= 0)
		*culprit_r = NULL;
	if (*culprit_r != NULL && worst < 0) {
		worst = MX_MEASURE_SENDER;
		*state_r = MX_SUSPECT;
	} else if (worst >= 0 && mx_measure_detector((enum mx_measure)worst) !=
	    MX_DETECTOR_REPLIES)
		*culprit_r = NULL;
	else if (*culprit_r != NULL)
		*state_r = MX_SUSPECT;	/* the others fare well */
	if (worst >= 0)
		*m_r = (enum mx_measure)worst;
	return worst >= 0;
}

static enum mx_state
state_without_alarm(const struct mx_detect *d, uint64_t now_us)
{
	bool was_bad = d->bad_us != 0 && now_us < d->bad_us + MX_RECOVERY_US;

	if (d->state == MX_THROTTLED || d->state == MX_BLOCKED)
		return MX_RECOVERING;
	if (d->state == MX_RECOVERING)
		return now_us < d->state_us + MX_RECOVERY_US ?
		    MX_RECOVERING : MX_NORMAL;
	return was_bad && d->state == MX_SUSPECT ? MX_RECOVERING : MX_NORMAL;
}

/* s: NULL when only time has passed. */
static bool
settle(struct mx_detect *d, const struct mx_sample *s, uint64_t now_us,
    struct mx_transition *t)
{
	const struct mx_sender *culprit = NULL;
	enum mx_measure m = MX_MEASURE_COUNT;
	enum mx_state to;
	bool alarm = mx_detect_worst(d, &m, &culprit, &to);

	if (!alarm)
		to = state_without_alarm(d, now_us);
	if (to == MX_THROTTLED || to == MX_BLOCKED)
		d->bad_us = now_us;
	if (to == d->state)
		return false;
	*t = (struct mx_transition){ .now_us = now_us,
	    .wall_us = now_us + d->wall_offset_us, .from = d->state,
	    .to = to };
	if (alarm)
		mx_detect_evidence(d, m, culprit, s, &t->evidence);
	d->evidence = t->evidence;
	d->attribution = t->evidence.attribution;
	d->attributed_us = 0;
	d->state = to;
	d->state_us = now_us;
	d->state_wall_us = t->wall_us;
	return true;
}

static void
note(struct mx_detect *d, const struct mx_sample *s)
{
	bool good = s->result == MX_RESULT_DELIVERED ||
	    (is_decided(s) && !mx_category_is_about_source(s->category));

	if (s->now_us > d->seen_us)
		d->seen_us = s->now_us;
	d->wall_offset_us = s->wall_us - s->now_us;
	if (s->now_us > d->faded_us + HOUR_US) {
		d->n *= expf(-(float)(s->now_us - d->faded_us) /
		    (float)(7 * DAY_US));
		d->faded_us = s->now_us;
	}
	d->n++;
	if (good) {
		d->good_us = s->now_us;
		d->good++;
	} else if (s->result != MX_RESULT_NONE)
		d->good = 0;
}

/* Only the time that QUIT took, of a connection that was told of before. */
static bool
is_farewell(const struct mx_sample *s)
{
	return s->result == MX_RESULT_NONE && s->phase_us[MX_PHASE_QUIT] > 0 &&
	    s->phase_us[MX_PHASE_CONNECT] == 0;
}

bool
mx_detect_learn(struct mx_detect *d, const struct mx_sample *s,
    struct mx_transition *t_r)
{
	if (is_farewell(s))
		return false;
	note(d, s);
	learn_replies(d, s);
	learn_latency(d, s);
	return settle(d, s, s->now_us, t_r);
}

bool
mx_detect_pass(struct mx_detect *d, uint64_t now_us, struct mx_transition *t_r)
{
	if (d->state == MX_NORMAL)
		return false;
	for (int m = 0; m < MX_MEASURE_RATES; m++)
		if (d->levels[m] != MX_NORMAL &&
		    now_us > d->rates[m].hit_us + MX_QUIET_US) {
			d->levels[m] = MX_NORMAL;
			mx_rate_clear(&d->rates[m]);
		}
	for (size_t i = 0; i < MX_SENDERS; i++) {
		struct mx_rate *r = &d->senders.rows[i].rate;

		if (r->alarm_rate > 0 && now_us > r->hit_us + MX_QUIET_US)
			mx_rate_clear(r);
	}
	if (now_us > d->seen_us + MX_QUIET_US) {
		d->contacts.stranded = 0;
		d->levels[MX_MEASURE_STRANGERS] = MX_NORMAL;
	}
	if (now_us > d->slow_us + MX_QUIET_US) {
		for (unsigned i = 0; i < MX_LATENCY_PHASES; i++) {
			if (d->slow[i] != MX_NORMAL)
				mx_latency_clear(&d->latency, i);
			d->slow[i] = MX_NORMAL;
		}
		level_slowness(d);
	}
	return settle(d, NULL, now_us, t_r);
}
