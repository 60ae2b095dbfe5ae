#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "service/metrics_table.h"

static const char conf[] =
	"listener \"a\" { address = \"127.0.0.1:2525\" }\n"
	"policy \"first\" { endpoint = \"unix:/run/first.sock\" }\n"
	"policy \"second\" { endpoint = \"tcp:[::1]:99\" }\n";

struct fixture {
	struct metrics *workers[2];
	struct config *config;
	struct buf out;
};

static void
setup(struct fixture *f)
{
	struct buf errors;
	size_t i;

	buf_init(&errors, 0);
	f->config = config_load_text("weir.conf", span_str(conf), &errors);
	if (f->config == NULL)
		fail_msg("%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
	buf_release(&errors);
	for (i = 0; i < 2; i++) {
		f->workers[i] = malloc(sizeof *f->workers[i]);
		assert_non_null(f->workers[i]);
		metrics_init(f->workers[i]);
	}
	buf_init(&f->out, 0);
}

static void
teardown(struct fixture *f)
{
	buf_release(&f->out);
	free(f->workers[0]);
	free(f->workers[1]);
	config_unref(f->config);
}

static const char *
prometheus(struct fixture *f)
{
	buf_clear(&f->out);
	metrics_prometheus(&f->out, f->workers, 2, f->config);
	buf_append_byte(&f->out, '\0');
	assert_false(buf_failed(&f->out));
	return (const char *)buf_span(&f->out).data;
}

static const char *
json(struct fixture *f)
{
	buf_clear(&f->out);
	metrics_json(&f->out, f->workers, 2, f->config);
	buf_append_byte(&f->out, '\0');
	assert_false(buf_failed(&f->out));
	return (const char *)buf_span(&f->out).data;
}

static void
assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is missing in:\n%s", part, text);
}

static size_t
count_of(const char *text, const char *part)
{
	size_t n = 0;

	while ((text = strstr(text, part)) != NULL) {
		text += strlen(part);
		n++;
	}
	return n;
}

/* Every row has its own field and its own names. */
static void
test_rows(void **state)
{
	size_t i, j;

	(void)state;
	assert_non_null(metrics_table_rows[0].help);
	for (i = 0; i < METRICS_TABLE_ROWS; i++) {
		const struct metrics_row *a = &metrics_table_rows[i];
		bool counts = a->type == METRICS_TYPE_COUNTER;
		size_t len = strlen(a->family);

		assert_int_equal(counts, len > 6 &&
		    strcmp(a->family + len - 6, "_total") == 0);
		/* Help on the first row of a family, and there alone. */
		assert_int_equal(a->help != NULL, i == 0 ||
		    strcmp(a->family, metrics_table_rows[i - 1].family) != 0);
		for (j = i + 1; j < METRICS_TABLE_ROWS; j++) {
			const struct metrics_row *b = &metrics_table_rows[j];

			assert_int_not_equal(a->offset, b->offset);
			assert_string_not_equal(a->key, b->key);
			assert_false(strcmp(a->family, b->family) == 0 &&
			    strcmp(a->label, b->label) == 0);
		}
	}
}

static void
test_sums(void **state)
{
	struct fixture f;
	const char *text;

	(void)state;
	setup(&f);
	metrics_add(&f.workers[0]->session[SESSION_COUNTER_DELIVERED], 40);
	metrics_add(&f.workers[1]->session[SESSION_COUNTER_DELIVERED], 2);
	atomic_store(&f.workers[0]->gauges[METRICS_SESSIONS_OPEN], 5);
	atomic_store(&f.workers[1]->gauges[METRICS_SESSIONS_OPEN], -1);
	metrics_add(&f.workers[1]->counters[METRICS_LOOPS], 7);
	text = prometheus(&f);
	assert_has(text, "\nweir_messages_total{outcome=\"delivered\"} 42\n");
	assert_has(text, "\nweir_sessions_open 4\n");
	assert_has(text,
	    "\nweir_connections_refused_total{why=\"loop\"} 7\n");
	assert_has(text, "\nweir_build_info{version=\"");
	assert_int_equal(count_of(text, "# TYPE weir_messages_total "), 1);
	text = json(&f);
	assert_has(text, "\"delivered\":42");
	assert_has(text, "\"sessions_open\":4");
	teardown(&f);
}

static void
test_histogram(void **state)
{
	struct fixture f;
	const char *text;

	(void)state;
	setup(&f);
	histogram_add(&f.workers[0]->connect_us, 300);
	histogram_add(&f.workers[0]->connect_us, 2000000);
	histogram_add(&f.workers[1]->connect_us, UINT64_C(1) << 42);
	text = prometheus(&f);
	assert_has(text, "# TYPE weir_upstream_connect_seconds histogram\n");
	assert_has(text,
	    "weir_upstream_connect_seconds_bucket{le=\"0.0001\"} 0\n"
	    "weir_upstream_connect_seconds_bucket{le=\"0.0005\"} 1\n");
	assert_has(text,
	    "weir_upstream_connect_seconds_bucket{le=\"1\"} 1\n"
	    "weir_upstream_connect_seconds_bucket{le=\"5\"} 2\n");
	assert_has(text,
	    "weir_upstream_connect_seconds_bucket{le=\"+Inf\"} 3\n");
	assert_has(text, "weir_upstream_connect_seconds_count 3\n");
	assert_has(text,
	    "weir_upstream_connect_seconds_sum 4398048.511404\n");
	teardown(&f);
}

static void
test_policies(void **state)
{
	struct fixture f;
	struct metrics_policy *p;
	const char *text;

	(void)state;
	setup(&f);
	p = &f.workers[1]->policies[1];
	metrics_add(&p->requests, 9);
	metrics_add(&p->actions[POLICY_REJECT], 4);
	metrics_add(&p->errors[POLICY_ERROR_TIMEOUT], 3);
	metrics_add(&p->dropped[METRICS_DROPPED_LATE], 2);
	atomic_store(&p->state, METRICS_POLICY_READY);
	histogram_add(&p->latency_us, 100);
	metrics_set_text(p->software, "a \"server\"");
	text = prometheus(&f);
	assert_has(text, "weir_policy_requests_total{policy=\"second\"} 9\n");
	assert_has(text, "weir_policy_decisions_total{policy=\"second\","
	    "action=\"reject\"} 4\n");
	assert_has(text, "weir_policy_answers_dropped_total{policy=\"second\","
	    "why=\"late\"} 2\n");
	assert_has(text, "weir_policy_ready_workers{policy=\"first\"} 0\n");
	assert_has(text, "weir_policy_ready_workers{policy=\"second\"} 1\n");
	assert_has(text, "weir_policy_latency_seconds_bucket{"
	    "policy=\"second\",le=\"0.0005\"} 1\n");
	assert_has(text,
	    "weir_policy_latency_seconds_count{policy=\"first\"} 0\n");
	text = json(&f);
	assert_has(text, "\"endpoint\":\"unix:/run/first.sock\"");
	assert_has(text, "\"endpoint\":\"tcp:[::1]:99\",\"mode\":\"enforce\"");
	assert_has(text, "\"reject\":4");
	/* One worker has it, the other not: what is wrong counts. */
	assert_has(text, "\"state\":\"down\",\"ready_workers\":1");
	assert_has(text, "\"software\":\"a \\\"server\\\"\"");
	teardown(&f);
}

/* The most that there can ever be, whatever the mail does. */
static void
test_bounded(void **state)
{
	struct fixture f;
	size_t lines, i;

	(void)state;
	setup(&f);
	lines = count_of(prometheus(&f), "\n");
	for (i = 0; i < 10000; i++) {
		histogram_add(&f.workers[0]->connect_us, i * i * i);
		metrics_add(&f.workers[0]->policies[0].requests, 1);
	}
	assert_int_equal(count_of(prometheus(&f), "\n"), lines);
	teardown(&f);
}

static void
test_text(void **state)
{
	char field[METRICS_TEXT_MAX], text[METRICS_TEXT_MAX];
	char longer[200];

	(void)state;
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	metrics_set_text(field, longer);
	metrics_get_text(text, field);
	assert_int_equal(strlen(text), METRICS_TEXT_MAX - 1);
	metrics_set_text(field, "short");
	metrics_get_text(text, field);
	assert_string_equal(text, "short");
}

/* What is told as growth is the counter of that name. */
static void
test_growths(void **state)
{
	const struct metrics_growth *g;
	const struct metrics_row *row;

	(void)state;
	for (g = metrics_table_growths;
	    g < metrics_table_growths + METRICS_TABLE_GROWTHS; g++) {
		for (row = metrics_table_rows;
		    row < metrics_table_rows + METRICS_TABLE_ROWS; row++)
			if (strcmp(row->key, g->key) == 0)
				break;
		assert_true(row < metrics_table_rows + METRICS_TABLE_ROWS);
		assert_int_equal(row->offset, g->offset);
		assert_int_equal(row->type, METRICS_TYPE_COUNTER);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_growths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
