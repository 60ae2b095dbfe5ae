/*
 * Days are counted, not asked of the C library, which would look at the
 * machine's zone: the calendar repeats itself every 400 years.
 */
#include "service/status_when.h"

#include "base/clock.h"
#include "config/value.h"

struct date { unsigned year, month, day, hour, minute, second; };

static bool
digits(struct span *s, size_t n, unsigned *value_r)
{
	size_t i;

	if (s->len < n)
		return false;
	*value_r = 0;
	for (i = 0; i < n; i++) {
		if (s->data[i] < '0' || s->data[i] > '9')
			return false;
		*value_r = *value_r * 10 + (unsigned)(s->data[i] - '0');
	}
	*s = span_skip(*s, n);
	return true;
}

static bool
is_next(struct span *s, const char *any)
{
	if (s->len == 0 || strchr(any, s->data[0]) == NULL ||
	    s->data[0] == '\0')
		return false;
	*s = span_skip(*s, 1);
	return true;
}

static unsigned
days_of_month(const struct date *d)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31,
		30, 31, 30, 31 };
	bool leap = (d->year % 4 == 0 && d->year % 100 != 0) ||
	    d->year % 400 == 0;

	return days[d->month - 1] + (d->month == 2 && leap ? 1u : 0u);
}

/* Seconds since 1970; the year is 1970 or later. */
static uint64_t
seconds(const struct date *d)
{
	struct date month = { d->year, 1, 1, 0, 0, 0 };
	uint64_t years = d->year - 1, days;

	days = years * 365 + years / 4 - years / 100 + years / 400 - 719162;
	for (; month.month < d->month; month.month++)
		days += days_of_month(&month);
	days += d->day - 1;
	return ((days * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
}

static bool
fraction(struct span *s, uint64_t *us_r)
{
	uint64_t unit = CLOCK_US_PER_S;
	unsigned digit;
	bool any = false;

	*us_r = 0;
	if (!is_next(s, "."))
		return true;
	while (digits(s, 1, &digit)) {
		unit /= 10;
		*us_r += digit * unit;
		any = true;
	}
	return any;
}

/* "Z", "+01:00": seconds to take away. */
static bool
offset(struct span *s, int64_t *seconds_r)
{
	unsigned hours, minutes;
	int64_t sign;

	*seconds_r = 0;
	if (is_next(s, "Zz"))
		return true;
	if (is_next(s, "+ "))	/* a query's "+" that nobody encoded */
		sign = 1;
	else if (is_next(s, "-"))
		sign = -1;
	else
		return false;
	if (!digits(s, 2, &hours) || !is_next(s, ":") ||
	    !digits(s, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*seconds_r = sign * (int64_t)(hours * 3600 + minutes * 60);
	return true;
}

static bool
day(struct span *s, struct date *d)
{
	return digits(s, 4, &d->year) && is_next(s, "-") &&
	    digits(s, 2, &d->month) && is_next(s, "-") &&
	    digits(s, 2, &d->day) && d->year >= 1970 && d->month >= 1 &&
	    d->month <= 12 && d->day >= 1 && d->day <= days_of_month(d);
}

static bool
time_of_day(struct span *s, struct date *d)
{
	return is_next(s, "Tt ") && digits(s, 2, &d->hour) &&
	    is_next(s, ":") && digits(s, 2, &d->minute) && is_next(s, ":") &&
	    digits(s, 2, &d->second) && d->hour <= 23 && d->minute <= 59 &&
	    d->second <= 60;
}

int
status_when(struct span text, uint64_t now_us, uint64_t *wall_us_r)
{
	struct date d = { .year = 0 };
	uint64_t ago_us, us = 0;
	int64_t away = 0;

	if (config_value_duration(text, &ago_us) == 0) {
		*wall_us_r = ago_us > now_us ? 0 : now_us - ago_us;
		return 0;
	}
	if (!day(&text, &d) || (text.len > 0 && (!time_of_day(&text, &d) ||
	    !fraction(&text, &us) || !offset(&text, &away))) || text.len > 0)
		return -1;
	us += seconds(&d) * CLOCK_US_PER_S;
	away *= CLOCK_US_PER_S;
	*wall_us_r = away > 0 && (uint64_t)away > us ? 0 :
	    us - (uint64_t)away;
	return 0;
}
