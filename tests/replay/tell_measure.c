/*
 * What is measured of the MX, in the words of scripts. Only phases that a
 * sample has are named: `phases` says which, `NAME_us` how long each took.
 */
#include "tests/replay/world.h"

static void
tell_sample(struct buf *b, const struct mx_sample *m)
{
	const char *comma = "";
	size_t i;

	buf_printf(b, "measure\nwhat=sample\nresult=%s\ncategory=%s\n"
	    "code=%u\nsize=%llu\nsender=", mx_result_name(m->result),
	    mx_category_name(m->category), m->code,
	    (unsigned long long)m->size);
	tell_escaped(b, m->sender_domain);
	buf_append_str(b, "\nrecipient=");
	tell_escaped(b, m->recipient_domain);
	buf_append_str(b, "\ntext=");
	tell_escaped(b, m->text);
	buf_append_str(b, "\nphases=");
	for (i = 0; i < MX_PHASE_COUNT; i++) {
		if (m->phase_us[i] == 0)
			continue;
		buf_printf(b, "%s%s", comma, mx_phase_name((enum mx_phase)i));
		comma = ",";
	}
	buf_append_byte(b, '\n');
	for (i = 0; i < MX_PHASE_COUNT; i++)
		if (m->phase_us[i] > 0)
			buf_printf(b, "%s_us=%llu\n",
			    mx_phase_name((enum mx_phase)i),
			    (unsigned long long)m->phase_us[i]);
}

void
tell_measure(struct buf *b, const struct session_action *a)
{
	if (a->u.measure.greeting != NULL)
		buf_printf(b, "measure\nwhat=greeting\ncode=%u\n",
		    a->u.measure.greeting->code);
	else
		tell_sample(b, a->u.measure.sample);
}
