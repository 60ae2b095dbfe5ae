/*
 * An object of the API begins with a member of its own, so that these need no
 * word about whether they are the first.
 */
#include "service/status_json.h"

#include "base/clock.h"
#include "base/escape.h"

void
status_json_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ",\"%s\":", key);
	escape_json(out, span_str(text));
}

void
status_json_bool(struct buf *out, const char *key, bool value)
{
	buf_printf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

void
status_json_u64(struct buf *out, const char *key, uint64_t value)
{
	buf_printf(out, ",\"%s\":%ju", key, (uintmax_t)value);
}

void
status_json_time(struct buf *out, const char *key, uint64_t wall_us)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_us == 0)
		buf_printf(out, ",\"%s\":null", key);
	else
		buf_printf(out, ",\"%s\":\"%s\"", key,
		    clock_format_utc(wall_us, text));
}
