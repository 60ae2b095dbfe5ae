/*
 * What is measured of the MX: watched, and told in the words of scripts. Only
 * phases that a sample has are named: `phases` says which, `NAME_us` how long
 * each took.
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

static bool
is_of_no_connection(const struct mx_sample *m)
{
	return m->phase_us[MX_PHASE_CONNECT] == 0 && m->code == 0 &&
	    (m->result == MX_RESULT_REFUSED ||
	    m->result == MX_RESULT_TIMED_OUT);
}

/* The phases of a connection are told once, and all is told while it stands. */
void
measured_watch(struct world *w, const struct session_action *a)
{
	const struct mx_sample *m = a->u.measure.sample;
	bool first = false;

	if (m == NULL)
		return;
	w->samples++;
	for (int i = 0; i <= MX_PHASE_TLS; i++)
		first |= m->phase_us[i] > 0;
	if (first && w->phases_told)
		world_breaks(w, "phases of one connection are told twice");
	w->phases_told |= first;
	if (w->mx != MX_OPEN && w->mx != MX_HANDSHAKE &&
	    !is_of_no_connection(m))
		world_breaks(w, "a sample of a connection that is gone");
	if ((m->result == MX_RESULT_DELIVERED) != (m->code / 100 == 2) ||
	    (m->result == MX_RESULT_REJECTED) != (m->code / 100 == 5))
		world_breaks(w, "a sample whose reply says something else");
}

/* The connection in use goes. */
void
measured_end(struct world *w)
{
	if (!w->phases_told)
		world_breaks(w, "a connection that nothing was told of");
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
