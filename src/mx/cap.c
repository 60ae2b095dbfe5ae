/*
 * The limit is looked at when it is asked for: nothing has to happen while
 * nobody sends.
 */
#include "mx/cap.h"

void
mx_cap_set(struct mx_cap *c, unsigned most, bool adaptive)
{
	c->most = most;
	c->adaptive = adaptive;
}

static unsigned
limit(const struct mx_cap *c)
{
	return c->limit == 0 || c->limit > c->most ? c->most : c->limit;
}

/* One more for each clean minute. */
static void
grow(struct mx_cap *c, uint64_t now_us)
{
	uint64_t minutes;

	if (c->limit == 0 || now_us < c->clean_us + MX_CAP_CLEAN_US)
		return;
	minutes = (now_us - c->clean_us) / MX_CAP_CLEAN_US;
	c->clean_us += minutes * MX_CAP_CLEAN_US;
	if (minutes >= c->most || c->limit + minutes >= c->most)
		c->limit = 0;
	else
		c->limit += (unsigned)minutes;
}

static bool
says_slow_down(const struct mx_sample *s)
{
	return s->category == MX_THROTTLE || s->code == 421 ||
	    s->result == MX_RESULT_REFUSED ||
	    s->result == MX_RESULT_TIMED_OUT || s->result == MX_RESULT_CLOSED;
}

void
mx_cap_learn(struct mx_cap *c, const struct mx_sample *s, enum mx_state state)
{
	if (c->most == 0 || !c->adaptive || !says_slow_down(s))
		return;
	grow(c, s->now_us);
	c->clean_us = s->now_us;
	if ((state != MX_THROTTLED && state != MX_BLOCKED &&
	    state != MX_RECOVERING) || (c->halved_us != 0 &&
	    s->now_us < c->halved_us + MX_CAP_PAUSE_US))
		return;
	c->limit = limit(c) / 2;
	if (c->limit == 0)
		c->limit = 1;
	c->halved_us = s->now_us;
}

unsigned
mx_cap_limit(struct mx_cap *c, uint64_t now_us)
{
	if (!c->adaptive)
		return c->most;
	grow(c, now_us);
	return limit(c);
}

bool
mx_cap_enter(struct mx_cap *c, uint64_t now_us)
{
	bool enters = c->open < mx_cap_limit(c, now_us);

	if (enters)
		c->open++;
	else
		c->refused++;
	return enters;
}

void
mx_cap_leave(struct mx_cap *c)
{
	if (c->open > 0)
		c->open--;
}
