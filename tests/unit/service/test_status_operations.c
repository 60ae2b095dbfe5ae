/*
 * POSTs that are turned away: told at once, then counted, and never so many
 * that they fill anything.
 */
#include "status_setup.h"

#include "base/clock.h"
#include "service/status_operations.h"

struct world {
	struct status_fake fake;
	struct record record;
	struct status_operations operations;
};

static void
begin(struct world *w)
{
	char conf[512];

	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->record.lock, NULL);
	snprintf(conf, sizeof(conf), setup_conf, "127.0.0.1:0", "/c", "");
	status_fake_init(&w->fake, conf, &w->record);
	status_operations_init(&w->operations, &w->fake.source);
}

static void
end(struct world *w)
{
	status_fake_release(&w->fake);
	pthread_mutex_destroy(&w->record.lock);
}

static void
ask(struct world *w, const char *by, uint64_t at_s)
{
	const struct status_api_request r = {
		.path = SPAN("/api/v1/drain"), .by = by,
	};

	status_operations_refused(&w->operations, NULL, &r, 401, "no",
	    at_s * CLOCK_US_PER_S);
}

static void
expect(struct world *w, uint64_t at_s, unsigned n, const char *last)
{
	status_operations_check(&w->operations, at_s * CLOCK_US_PER_S);
	assert_string_equal(w->record.operation, last);
	assert_int_equal(w->record.n_operations, n);
}

/* Ten seconds, twenty, forty; and after a silence, at once again. */
static void
test_one_asker(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	ask(&w, "192.0.2.1", 100);
	expect(&w, 100, 1, "drain||192.0.2.1|refused 401: no");
	ask(&w, "192.0.2.1", 101);
	ask(&w, "192.0.2.1", 102);
	expect(&w, 109, 1, "drain||192.0.2.1|refused 401: no");
	expect(&w, 110, 2, "drain||192.0.2.1|refused 401: no (2 times)");
	ask(&w, "192.0.2.1", 111);
	ask(&w, "192.0.2.2", 112);
	expect(&w, 129, 3, "drain||192.0.2.2|refused 401: no");
	expect(&w, 130, 4, "drain||192.0.2.1|refused 401: no");
	ask(&w, "192.0.2.1", 169);
	expect(&w, 169, 4, "drain||192.0.2.1|refused 401: no");
	ask(&w, "192.0.2.1", 170);
	expect(&w, 170, 5, "drain||192.0.2.1|refused 401: no (2 times)");
	status_operations_check(&w.operations, 250 * CLOCK_US_PER_S);
	ask(&w, "192.0.2.1", 251);
	expect(&w, 251, 6, "drain||192.0.2.1|refused 401: no");
	ask(&w, "192.0.2.1", 252);
	status_operations_destroy(&w.operations);
	assert_int_equal(w.record.n_operations, 7);
	end(&w);
}

/* A thousand addresses for an hour, each every second. */
static void
test_many_askers(void **state)
{
	unsigned n = 0, i;
	uint64_t at_s;
	struct world w;
	char by[32];

	(void)state;
	begin(&w);
	for (at_s = 1; at_s <= 3600; at_s++) {
		for (i = 0; i < 1000; i++) {
			snprintf(by, sizeof(by), "10.0.%u.%u", i / 250,
			    i % 250);
			ask(&w, by, at_s);
		}
		status_operations_check(&w.operations,
		    at_s * CLOCK_US_PER_S);
		if (at_s == 1)
			n = w.record.n_operations;
	}
	assert_int_equal(n, STATUS_OPERATIONS_ASKERS + 1);
	assert_in_range(w.record.n_operations, 8 * n, 13 * n);
	status_operations_destroy(&w.operations);
	assert_non_null(strstr(w.record.operation, "|others|refused 401: no ("));
	end(&w);
}

/* A new address each time finds the places taken, and then the one of all. */
static void
test_askers_that_change(void **state)
{
	uint64_t at_s;
	struct world w;
	unsigned i, k;
	char by[32];

	(void)state;
	begin(&w);
	for (at_s = 1, k = 0; at_s <= 1000; at_s++) {
		for (i = 0; i < 100; i++, k++) {
			snprintf(by, sizeof(by), "10.%u.%u.%u", k / 62500,
			    k / 250 % 250, k % 250);
			ask(&w, by, at_s);
		}
		status_operations_check(&w.operations,
		    at_s * CLOCK_US_PER_S);
	}
	assert_in_range(w.record.n_operations, 1, 2 * 1000);
	status_operations_destroy(&w.operations);
	end(&w);
}

/* Whatever it is that was asked for, what is kept of it is short. */
static void
test_long_and_hostile(void **state)
{
	struct status_api_argument arguments[STATUS_API_ARGUMENTS_MAX];
	char text[3000], wanted[1024];
	struct status_api_request r = {
		.path = span_of(text, sizeof(text)), .by = "192.0.2.1",
		.arguments = arguments, .n_arguments = STATUS_API_ARGUMENTS_MAX,
	};
	struct world w;
	size_t i;

	(void)state;
	begin(&w);
	memset(text, '\x1b', sizeof(text));
	for (i = 0; i < STATUS_API_ARGUMENTS_MAX; i++)
		arguments[i].name = arguments[i].value = r.path;
	status_operations_refused(&w.operations,
	    status_api_route(SPAN("/api/v1/drain")), &r, 401, "no", 1);
	memset(wanted, '\x1b', STATUS_OPERATIONS_NAME_MAX);
	for (i = 0; i < STATUS_OPERATIONS_ARGUMENT_MAX / 4; i++)
		memcpy(wanted + STATUS_OPERATIONS_NAME_MAX + 1 + 4 * i,
		    "\\x1b", 4);
	wanted[STATUS_OPERATIONS_NAME_MAX] = '|';
	strcpy(wanted + STATUS_OPERATIONS_NAME_MAX + 1 +
	    STATUS_OPERATIONS_ARGUMENT_MAX, "|192.0.2.1|refused 401: no");
	assert_string_equal(w.record.operation, wanted);
	status_operations_destroy(&w.operations);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_asker),
		cmocka_unit_test(test_many_askers),
		cmocka_unit_test(test_askers_that_change),
		cmocka_unit_test(test_long_and_hostile),
	};

	return setup_run("status_operations", tests, ARRAY_LEN(tests));
}
