/*
 * How many typical sessions (25 lines, one transaction, two recipients, one
 * decision, TLS) one core's writer takes per second, and what a session costs
 * its worker. Not part of make check:
 *
 *	make tests/bench/record_writer
 *	tests/bench/record_writer [DIRECTORY [SESSIONS [json|both]]]
 */
#include <sys/stat.h>
#include <time.h>

#include "../unit/service/record_fixture.h"
#include "service/record_internal.h"

static double
seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
timed_list(struct record *r, struct span text)
{
	struct record_query query = { .text = text };
	double begin = seconds(CLOCK_MONOTONIC);
	struct buf out;

	buf_init(&out, 0);
	if (record_list(r, &out, &query, 50) != 0)
		fprintf(stderr, "the list failed\n");
	buf_release(&out);
	return (seconds(CLOCK_MONOTONIC) - begin) * 1e3;
}

static double
timed_show(struct record *r, const char *id)
{
	double begin = seconds(CLOCK_MONOTONIC);
	struct buf out;

	buf_init(&out, 0);
	if (record_show(r, &out, span_str(id)) != 0)
		fprintf(stderr, "the session is not there\n");
	buf_release(&out);
	return (seconds(CLOCK_MONOTONIC) - begin) * 1e3;
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 100000, i;
	struct fixture *f = fixture_new(argc > 1 ? argv[1] : "/tmp");
	struct record_status status;
	struct record *r;
	double begin, pushed, process, total;
	struct ulid id;
	struct stat sb;

	f->config.record.queue = 2 * n;
	if (argc > 3) {
		f->config.record.json = f->json;
		f->config.record.sqlite = argv[3][0] == 'j' ? "" : f->db;
	}
	r = record_start(&f->config);
	record_flush(r);
	process = seconds(CLOCK_PROCESS_CPUTIME_ID);
	begin = seconds(CLOCK_THREAD_CPUTIME_ID);
	for (i = 0; i < n; i++)
		put_session(r, f, WALL_US + i * 250ul, &id);
	pushed = seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
	record_flush(r);
	total = seconds(CLOCK_PROCESS_CPUTIME_ID) - process;
	record_get_status(r, &status);
	printf("%u sessions: worker %.2f us each (with making them), "
	    "writer %.2f us each: %.0f sessions/s of one core; "
	    "chunks %lu, dropped %lu\n", n, pushed / n * 1e6,
	    (total - pushed) / n * 1e6, n / (total - pushed),
	    (unsigned long)status.written, (unsigned long)status.dropped);
	printf("list %.1f ms, search that finds %.1f ms, search in vain %.1f "
	    "ms, show %.1f ms", timed_list(r, SPAN("")),
	    timed_list(r, SPAN("carol@")), timed_list(r, SPAN("nobody")),
	    timed_show(r, id.text));
	record_stop(r);
	if (stat(f->db, &sb) == 0)
		printf(", %.0f bytes per session", (double)sb.st_size / n);
	printf("\n");
	fixture_free(f);
	return 0;
}
