/*
 * Labels take their values from enums only: what mail brings cannot make the
 * set of series grow.
 */
#include "service/mx_sums.h"

#include "base/clock.h"
#include "base/compiler.h"

/* Upper bounds. An MX thinks for milliseconds; one that delays, for tens of
 * seconds; timeouts are of minutes. */
static const struct {
	uint64_t us;
	const char *le;			/* seconds */
} bound_table[MX_SUMS_BOUNDS] = {
	{ 1000, "0.001" }, { 5000, "0.005" }, { 10000, "0.01" },
	{ 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1" }, { 5000000, "5" },
	{ 10000000, "10" }, { 30000000, "30" }, { 300000000, "300" },
};

void
mx_sums_add(struct mx_sums *s, const struct mx_sample *m)
{
	size_t k;

	if (m->result != MX_RESULT_NONE) {
		s->results[m->result]++;
		if (m->code != 0)
			s->categories[m->category]++;
	}
	for (size_t i = 0; i < MX_PHASE_COUNT; i++) {
		if (m->phase_us[i] == 0)
			continue;
		for (k = 0; k < MX_SUMS_BOUNDS; k++)
			if (m->phase_us[i] <= bound_table[k].us)
				break;
		s->phases[i].counts[k]++;
		s->phases[i].us += m->phase_us[i];
	}
}

void
mx_sums_merge(struct mx_sums *into, const struct mx_sums *from)
{
	size_t i, k;

	for (i = 0; i < MX_RESULT_COUNT; i++)
		into->results[i] += from->results[i];
	for (i = 0; i < MX_CATEGORY_COUNT; i++)
		into->categories[i] += from->categories[i];
	for (i = 0; i < MX_PHASE_COUNT; i++) {
		for (k = 0; k <= MX_SUMS_BOUNDS; k++)
			into->phases[i].counts[k] += from->phases[i].counts[k];
		into->phases[i].us += from->phases[i].us;
	}
}

static void
phase(struct buf *out, const char *name, const struct mx_sums_phase *p)
{
	uint64_t n = 0;

	for (size_t k = 0; k <= MX_SUMS_BOUNDS; k++) {
		n += p->counts[k];
		buf_printf(out, "weir_mx_phase_seconds_bucket{phase=\"%s\","
		    "le=\"%s\"} %ju\n", name, k == MX_SUMS_BOUNDS ? "+Inf" :
		    bound_table[k].le, (uintmax_t)n);
	}
	buf_printf(out, "weir_mx_phase_seconds_sum{phase=\"%s\"} %ju.%06ju\n"
	    "weir_mx_phase_seconds_count{phase=\"%s\"} %ju\n", name,
	    (uintmax_t)(p->us / CLOCK_US_PER_S),
	    (uintmax_t)(p->us % CLOCK_US_PER_S), name, (uintmax_t)n);
}

void
mx_sums_prometheus(const struct mx_sums *s, struct buf *out)
{
	int i;

	buf_append_str(out, "# HELP weir_mx_phase_seconds How long MXs took, "
	    "by phase of the session.\n"
	    "# TYPE weir_mx_phase_seconds histogram\n");
	for (i = 0; i < MX_PHASE_COUNT; i++)
		phase(out, mx_phase_name((enum mx_phase)i), &s->phases[i]);
	buf_append_str(out, "# HELP weir_mx_results_total What transactions "
	    "and connections to MXs came to.\n"
	    "# TYPE weir_mx_results_total counter\n");
	for (i = 0; i < MX_RESULT_COUNT; i++)
		if (i != MX_RESULT_NONE)
			buf_printf(out, "weir_mx_results_total{result=\"%s\"} "
			    "%ju\n", mx_result_name((enum mx_result)i),
			    (uintmax_t)s->results[i]);
	buf_append_str(out, "# HELP weir_mx_replies_total Replies of MXs that "
	    "decided, by what they were about.\n"
	    "# TYPE weir_mx_replies_total counter\n");
	for (i = 0; i < MX_CATEGORY_COUNT; i++)
		buf_printf(out, "weir_mx_replies_total{category=\"%s\"} %ju\n",
		    mx_category_name((enum mx_category)i),
		    (uintmax_t)s->categories[i]);
}
