/*
 * A label per HTTP status that weir gives, and one for all others: those that
 * the HTTP library makes up about requests that it cannot read never come
 * here.
 */
#include "service/status_figures.h"

#include "base/compiler.h"

static const unsigned code_table[STATUS_FIGURES_CODES] = {
	200, 202, 304, 400, 401, 403, 404, 405, 409, 413, 422, 500, 503,
	0,	/* others */
};

void
status_figures_answered(struct status_figures *f, unsigned code)
{
	size_t i = 0;

	while (code_table[i] != code && code_table[i] != 0)
		i++;
	atomic_fetch_add_explicit(&f->codes[i], 1, memory_order_relaxed);
}

void
status_figures_prometheus(struct buf *out, struct status_figures *f)
{
	size_t i;

	buf_append_str(out, "# HELP weir_http_requests_total Requests to the "
	    "status server, by the HTTP status of the answer.\n"
	    "# TYPE weir_http_requests_total counter\n");
	for (i = 0; i < ARRAY_LEN(code_table); i++) {
		buf_append_str(out, "weir_http_requests_total{code=\"");
		if (code_table[i] == 0)
			buf_append_str(out, "other");
		else
			buf_printf(out, "%u", code_table[i]);
		buf_printf(out, "\"} %ju\n", (uintmax_t)atomic_load_explicit(
		    &f->codes[i], memory_order_relaxed));
	}
	buf_printf(out, "# HELP weir_http_streams Streams of events that are "
	    "open.\n# TYPE weir_http_streams gauge\nweir_http_streams %u\n"
	    "# HELP weir_http_streams_cut_total Streams that were cut off, as "
	    "their reader was too slow.\n"
	    "# TYPE weir_http_streams_cut_total counter\n"
	    "weir_http_streams_cut_total %ju\n", atomic_load(&f->streams),
	    (uintmax_t)atomic_load_explicit(&f->cut, memory_order_relaxed));
}
