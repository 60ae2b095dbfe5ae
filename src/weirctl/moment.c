/*
 * The API says UTC; people want the clock on their wall (TZ), or UTC when they
 * compare with the record.
 */
#include "weirctl/moment.h"

#include <time.h>

#include "base/clock.h"

#define DATE_LEN 19	/* 2026-11-22T10:15:00 */

static int
fraction(struct span s, int64_t *us_r)
{
	int64_t us = 0, unit = CLOCK_US_PER_S / 10;
	size_t i;

	if (s.len > 0 && s.data[0] == '.')
		for (i = 1; i < s.len && s.data[i] >= '0' && s.data[i] <= '9';
		    i++, unit /= 10)
			us += unit * (s.data[i] - '0');
	else
		i = 0;
	*us_r = us;
	return i + 1 == s.len && s.data[i] == 'Z' ? 0 : -1;
}

int
moment_parse(struct span text, int64_t *us_r)
{
	char date[DATE_LEN + 1];
	struct tm tm = { 0 };
	const char *end;
	int64_t us;

	if (text.len <= DATE_LEN || text.len > CLOCK_TEXT_MAX ||
	    fraction(span_skip(text, DATE_LEN), &us) != 0)
		return -1;
	memcpy(date, text.data, DATE_LEN);
	date[DATE_LEN] = '\0';
	end = strptime(date, "%Y-%m-%dT%H:%M:%S", &tm);
	if (end == NULL || *end != '\0')
		return -1;
	*us_r = (int64_t)timegm(&tm) * (int64_t)CLOCK_US_PER_S + us;
	return 0;
}

int
moment_ago(struct span text, int64_t now_us, int64_t *us_r)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = { 1, 60, 3600, 86400, 604800 };
	const char *unit;
	uint64_t n;

	if (text.len < 2 || text.len > 8)
		return moment_parse(text, us_r);
	unit = memchr(units, text.data[text.len - 1], strlen(units));
	if (unit == NULL || span_to_u64(span_take(text, text.len - 1), &n) != 0)
		return -1;
	*us_r = now_us - (int64_t)n * seconds[unit - units] *
	    (int64_t)CLOCK_US_PER_S;
	return 0;
}

void
moment_format(struct buf *out, int64_t us, bool utc, enum moment_form form)
{
	static const char *const forms[] = {
		[MOMENT_SECONDS] = "%Y-%m-%d %H:%M:%S",
		[MOMENT_MS] = "%Y-%m-%d %H:%M:%S",
		[MOMENT_SHORT] = "%m-%d %H:%M:%S",
		[MOMENT_TIME] = "%H:%M:%S",
	};
	int64_t second = us / (int64_t)CLOCK_US_PER_S;
	time_t when = (time_t)second;
	char text[64];
	struct tm tm;

	if ((utc ? gmtime_r(&when, &tm) : localtime_r(&when, &tm)) == NULL ||
	    strftime(text, sizeof text, forms[form], &tm) == 0)
		return;
	buf_append_str(out, text);
	if (form == MOMENT_MS)
		buf_printf(out, ".%03d", (int)((us -
		    second * (int64_t)CLOCK_US_PER_S) / CLOCK_US_PER_MS));
	if (utc && form <= MOMENT_MS)
		buf_append_str(out, " UTC");
}
