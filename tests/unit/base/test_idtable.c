/*
 * Many ids in and out; removal while walking.
 */
#include "base/idtable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define N 10000

static int values[N];

static uint64_t
id_of(int i)
{
	return (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15);
}

static void
fill(struct idtable *t)
{
	for (int i = 0; i < N; i++)
		assert_int_equal(idtable_put(t, id_of(i), &values[i]), 0);
}

static void
test_put_get_remove(void **state)
{
	struct idtable *t = idtable_new();

	(void)state;
	assert_non_null(t);
	assert_null(idtable_get(t, 0));
	assert_null(idtable_remove(t, 0));
	fill(t);
	assert_int_equal(idtable_count(t), N);
	for (int i = 0; i < N; i += 2)
		assert_ptr_equal(idtable_remove(t, id_of(i)), &values[i]);
	assert_int_equal(idtable_count(t), N / 2);
	for (int i = 0; i < N; i++) {
		if (i % 2 == 0)
			assert_null(idtable_get(t, id_of(i)));
		else
			assert_ptr_equal(idtable_get(t, id_of(i)),
			    &values[i]);
	}
	idtable_free(t);
	idtable_free(NULL);
}

struct walk {
	struct idtable *t;
	int seen;
};

static void
remove_odd(void *ctx, uint64_t id, void *value)
{
	struct walk *w = ctx;
	int i = (int)((int *)value - values);

	assert_int_equal(id, id_of(i));
	w->seen++;
	if (i % 2 != 0)
		assert_ptr_equal(idtable_remove(w->t, id), value);
}

static void
test_each(void **state)
{
	struct walk w = { idtable_new(), 0 };

	(void)state;
	assert_non_null(w.t);
	idtable_each(w.t, remove_odd, &w);
	assert_int_equal(w.seen, 0);
	fill(w.t);
	idtable_each(w.t, remove_odd, &w);
	assert_int_equal(w.seen, N);
	assert_int_equal(idtable_count(w.t), N / 2);
	idtable_free(w.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_remove),
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
