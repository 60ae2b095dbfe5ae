/*
 * How many typical sessions (25 lines, one transaction, two recipients, one
 * decision, TLS) one core's writer takes per second, and what a session costs
 * its worker. Not part of make check:
 *
 *	make tests/bench/record_writer && tests/bench/record_writer [FILE [N]]
 */
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

int
main(int argc, char **argv)
{
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 100000, i;
	struct fixture *f = fixture_new(argc > 1 ? argv[1] : "/tmp");
	struct record_status status;
	struct record *r;
	double begin, pushed, process, total;

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
		put_session(r, f, WALL_US + i * 250ul, NULL);
	pushed = seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
	record_flush(r);
	total = seconds(CLOCK_PROCESS_CPUTIME_ID) - process;
	record_get_status(r, &status);
	printf("%u sessions: worker %.2f us each (with making them), "
	    "writer %.2f us each: %.0f sessions/s of one core; "
	    "chunks %lu, dropped %lu\n", n, pushed / n * 1e6,
	    (total - pushed) / n * 1e6, n / (total - pushed),
	    (unsigned long)status.written, (unsigned long)status.dropped);
	record_stop(r);
	fixture_free(f);
	return 0;
}
