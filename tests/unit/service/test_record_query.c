/*
 * Asking the record: by several threads at once, and by all that a search may
 * name.
 */
#include "record_fixture.h"

#include <pthread.h>

#include "service/record_internal.h"
#include "service/record_reader.h"

struct meeting {
	struct record *r;
	pthread_barrier_t inside;
};

static int
meet(sqlite3 *db, struct buf *out, const void *arg)
{
	struct meeting *m = (struct meeting *)(uintptr_t)arg;
	sqlite3_stmt *st;

	pthread_barrier_wait(&m->inside);
	if (sqlite3_prepare_v2(db, "SELECT count(*) FROM sessions", -1, &st,
	    NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		buf_printf(out, "%d", sqlite3_column_int(st, 0));
	return sqlite3_finalize(st) == SQLITE_OK ? 0 : -1;
}

static void *
ask_often(void *ctx)
{
	struct meeting *m = ctx;
	struct buf out;
	int i;

	buf_init(&out, 0);
	for (i = 0; i < 50; i++) {
		buf_clear(&out);
		assert_int_equal(record_ask(m->r, &out, meet, m), 0);
		assert_true(span_eq(buf_span(&out), SPAN("1")));
	}
	buf_release(&out);
	return NULL;
}

/* As many as there are connections are inside at the same time. */
static void
several_ask_at_once(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct meeting m = { .r = record_start(&f->config) };
	pthread_t threads[RECORD_READERS];
	size_t i;

	(void)state;
	put_session(m.r, f, WALL_US, NULL);
	record_flush(m.r);
	pthread_barrier_init(&m.inside, NULL, RECORD_READERS);
	for (i = 0; i < RECORD_READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often,
		    &m), 0);
	for (i = 0; i < RECORD_READERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&m.inside);
	record_stop(m.r);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_ask_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
