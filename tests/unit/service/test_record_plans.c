/*
 * Whatever the status server asks the database, it reads no table from its
 * beginning. Nobody lists the statements: each that runs on a connection that
 * only reads is caught, and every path of the API that asks for them is asked.
 */
#include "record_fixture.h"

#include <pthread.h>

#include "service/record_ended.h"
#include "service/record_minutes.h"
#include "service/record_operations.h"
#include "service/record_states.h"
#include "service/status_api.h"
#include "status_fake.h"

#define STATEMENTS_MAX 64

/* The statements that were run; SQLite calls back from any thread. */
static struct {
	pthread_mutex_t lock;
	char *texts[STATEMENTS_MAX];
	size_t n;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int
note(unsigned type, void *ctx, void *statement, void *text)
{
	const char *sql = sqlite3_sql(statement);
	size_t i;

	(void)type;
	(void)ctx;
	(void)text;
	if (sqlite3_db_readonly(sqlite3_db_handle(statement), "main") != 1)
		return 0;
	pthread_mutex_lock(&seen.lock);
	for (i = 0; i < seen.n && strcmp(seen.texts[i], sql) != 0; i++)
		;
	if (i == seen.n && seen.n < STATEMENTS_MAX)
		seen.texts[seen.n++] = strdup(sql);
	pthread_mutex_unlock(&seen.lock);
	return 0;
}

static int
watch(sqlite3 *db, char **error, const void *api)
{
	(void)error;
	(void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, note, NULL);
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The step of its plan that reads a table from its beginning; NULL: none.
 * looks_up_r: whether it makes an index of the report's rows. */
static char *
scan_of(sqlite3 *db, const char *sql, bool *looks_up_r)
{
	/* what a statement makes itself; a new table is not among them */
	static const char *const own[] = { "CONSTANT ROW", "json_each ",
		"j VIRTUAL TABLE", "refusals", "top", "rows", "outcomes",
		"sums" };
	char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
	char *found = NULL;
	sqlite3_stmt *st;
	size_t i;

	if (sqlite3_prepare_v2(db, explain, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s: %s", explain, sqlite3_errmsg(db));
	while (found == NULL && sqlite3_step(st) == SQLITE_ROW) {
		const char *step = (const char *)sqlite3_column_text(st, 3);

		if (begins(step, "SEARCH top USING AUTOMATIC"))
			*looks_up_r = true;
		if (!begins(step, "SCAN "))
			continue;
		for (i = 0; i < ARRAY_LEN(own); i++)
			if (begins(step + 5, own[i]))
				break;
		if (i == ARRAY_LEN(own))
			found = strdup(step);
	}
	sqlite3_finalize(st);
	sqlite3_free(explain);
	return found;
}

/* Returns the HTTP status. */
static unsigned
ask_api(const struct status_source *source,
    const struct status_api_route *route, const char *path,
    const char *argument, const char *value)
{
	struct status_api_argument one = { span_str(argument),
		span_str(value) };
	struct status_api_request request = { .path = span_str(path),
		.arguments = &one, .n_arguments = argument[0] != '\0' };
	struct status_api_answer answer = { .code = 200 };

	buf_init(&answer.body, 0);
	status_api_answer(source, route, &request, &answer);
	buf_release(&answer.body);
	return answer.code;
}

static const char session_path[] = "/api/v1/sessions/ID";

/* With each argument that changes what is asked. */
static const struct { const char *path, *argument, *value; } asked[] = {
	{ "/api/v1/sessions", "", "" },
	{ "/api/v1/sessions", "q", "alice" },
	{ "/api/v1/sessions", "sender", "alice@example.com" },
	{ "/api/v1/sessions", "sender", "@example.com" },
	{ "/api/v1/sessions", "recipient", "bob@example.net" },
	{ "/api/v1/sessions", "recipient", "@example.net" },
	{ "/api/v1/sessions", "client", "192.0.2.7" },
	{ "/api/v1/sessions", "mx", "198.51.100.9" },
	{ "/api/v1/sessions", "mx", "example.net" },
	{ "/api/v1/sessions", "code", "550" },
	{ "/api/v1/sessions", "code", "5xx" },
	{ "/api/v1/sessions", "code", "5.1.1" },
	{ "/api/v1/sessions", "code", "250" },
	{ "/api/v1/sessions", "outcome", "delivered" },
	{ "/api/v1/sessions", "outcome", "rejected" },
	{ "/api/v1/sessions", "policy", "reputation" },
	{ "/api/v1/sessions", "since", "1h" },
	{ "/api/v1/sessions", "until", "1h" },
	{ "/api/v1/sessions", "before", "1795304359000001" },
	{ session_path, "", "" },
	{ "/api/v1/operations", "", "" },
	{ "/api/v1/operations", "after", "2" },
	{ "/api/v1/report", "", "" },
	{ "/api/v1/report", "since", "31d" },
	{ "/api/v1/mx/example.net", "", "" },
	{ "/api/v1/mx/example.net", "hours", "48" },
	{ "/api/v1/domains/example.net", "", "" },
};

static const struct status_api_route *const tables[] = {
	status_overview_routes, status_config_routes, status_sessions_routes,
	status_events_routes, status_series_routes, status_mx_routes,
	status_orders_routes, status_top_routes,
};

static bool
is_asked(const struct status_api_route *route)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(asked); i++)
		if (status_api_route(span_str(asked[i].path)) == route)
			return true;
	return false;
}

static void
ask_all(struct status_fake *fake, struct record *r, const char *id)
{
	uint64_t begin = 0, omitted;
	char session[64];
	struct buf out;
	unsigned code;
	size_t i;

	snprintf(session, sizeof(session), "/api/v1/sessions/%s", id);
	for (i = 0; i < ARRAY_LEN(asked); i++) {
		const char *path = asked[i].path == session_path ? session :
		    asked[i].path;

		code = ask_api(&fake->source, status_api_route(span_str(path)),
		    path, asked[i].argument, asked[i].value);
		if (code != 200)
			fail_msg("%s?%s=%s: %u", path, asked[i].argument,
			    asked[i].value, code);
	}
	buf_init(&out, 0);
	record_ended_rows(r, &begin, &out, &omitted);
	assert_true(buf_len(&out) > 0);
	buf_release(&out);
}

/* What the paths need to be found. */
static void
put_all(struct record *r, struct fixture *f, struct ulid *id)
{
	struct mx_transition moved = { .wall_us = WALL_US,
	    .from = MX_NORMAL, .to = MX_SUSPECT };
	struct record_minutes_key key = { .group = SPAN("example.net") };
	const struct mx_sample sample = { .result = MX_RESULT_DELIVERED };
	struct mx_tally tally;
	struct buf rows;
	unsigned i;

	put_session(r, f, WALL_US, id);
	for (i = 0; i < 3; i++)
		assert_int_equal(record_operations_add(r,
		    &(struct record_operation){ .wall_us = WALL_US,
		    .operation = SPAN("reload") }), 0);
	assert_int_equal(addr_parse(SPAN("203.0.113.10"), &moved.source), 0);
	snprintf(moved.group, sizeof(moved.group), "example.net");
	assert_int_equal(record_states_put(r, &moved), 0);
	mx_tally_init(&tally);
	mx_tally_add(&tally, &sample);
	buf_init(&rows, 0);
	key.source = moved.source;
	record_minutes_add(&rows, &key, clock_wall_us(), &tally);
	key = (struct record_minutes_key){ .domain = SPAN("example.net") };
	record_minutes_add(&rows, &key, clock_wall_us(), &tally);
	assert_int_equal(record_minutes_put(r, &rows), 0);
	buf_release(&rows);
	mx_tally_release(&tally);
	record_flush(r);
}

static void
nothing_that_the_server_asks_scans_a_table(void **state)
{
	const struct status_api_route *route;
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct status_fake fake;
	struct ulid id;
	bool looks_up = false;
	sqlite3 *db;
	char *step;
	size_t i;

	(void)state;
	put_all(r, f, &id);
	status_fake_init(&fake, "listener \"l\" { }\n", r);
	for (i = 0; i < ARRAY_LEN(tables); i++)
		for (route = tables[i]; route->path != NULL; route++)
			if (route->slow && !route->post && !is_asked(route))
				fail_msg("nobody asks for %s here",
				    route->path);
	assert_int_equal(sqlite3_auto_extension((void (*)(void))watch),
	    SQLITE_OK);
	ask_all(&fake, r, id.text);
	sqlite3_cancel_auto_extension((void (*)(void))watch);
	assert_true(seen.n > 20 && seen.n < STATEMENTS_MAX);
	assert_int_equal(sqlite3_open_v2(f->db, &db, SQLITE_OPEN_READONLY,
	    NULL), SQLITE_OK);
	for (i = 0; i < seen.n; i++) {
		step = scan_of(db, seen.texts[i], &looks_up);
		if (step != NULL)
			fail_msg("%s: %s", seen.texts[i], step);
		free(seen.texts[i]);
	}
	/* without one it compares each transaction with each row */
	assert_true(looks_up);
	/* it would be seen */
	step = scan_of(db, "SELECT id FROM sessions s WHERE listener = 'x'",
	    &looks_up);
	assert_string_equal(step, "SCAN s");
	free(step);
	sqlite3_close(db);
	status_fake_release(&fake);
	record_stop(r);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_the_server_asks_scans_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
