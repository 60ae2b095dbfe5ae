/*
 * What the status server answers: paths, headers, who may ask.
 */
#include "status_setup.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"

static void
test_routes(void **state)
{
	static const struct {
		const char *method, *path;
		int code;
		const char *part;
	} rows[] = {
		{ "GET", "/", 200, "Content-Type: text/html" },
		{ "GET", "/", 200, "<title>weir</title>" },
		{ "GET", "/page.css", 200, "Content-Type: text/css" },
		{ "GET", "/main.js", 200, "Content-Type: text/javascript" },
		{ "GET", "/metrics", 200,
		    "Content-Type: text/plain; version=0.0.4" },
		{ "GET", "/metrics", 200, "\nweir_record_written_total 12\n" },
		{ "GET", "/metrics", 200, "\nweir_ready 1\n" },
		{ "GET", "/healthz", 200, "{\"ok\":true}" },
		{ "GET", "/readyz", 200, "{\"ready\":true}" },
		{ "GET", "/api/v1/status", 200,
		    "Content-Type: application/json" },
		{ "GET", "/api/v1/status", 200, "\"uptime_s\":366" },
		{ "GET", "/api/v1/status", 200, "{\"name\":\"in\","
		    "\"address\":\"127.0.0.1:2525\",\"mode\":\"fixed\"" },
		{ "GET", "/api/v1/status", 200, "\"workers\":[{\"sess" },
		{ "GET", "/api/v1/policies", 200, "[{\"name\":\"p\"" },
		{ "GET", "/api/v1/sessions", 200,
		    "[{\"limit\":50,\"before\":0,\"q\":\"\"," },
		{ "GET", "/api/v1/sessions?q=a%40b+c&limit=500&before=17",
		    200, "[{\"limit\":500,\"before\":17,\"q\":\"a@b c\"," },
		{ "GET", "/api/v1/sessions?q=%22%3Cscript%00x", 200,
		    "\"q\":\"\\\"<script\\u0000x\"" },
		{ "GET", "/api/v1/sessions?qq=1", 400,
		    "no query argument qq; this path takes: q sender" },
		{ "GET", "/api/v1/config", 200, "{\"file\":\"weir.conf\","
		    "\"loaded_at\":null,\"text\":\"listener \\\"in\\\" {" },
		{ "GET", "/api/v1/config", 200,
		    "{\"key\":\"status.address\",\"value\":\"127.0.0.1:0\","
		    "\"default\":\"\\\"127.0.0.1:8025\\\"\","
		    "\"is_default\":false,\"line\":5}" },
		{ "GET", "/api/v1/status?q=1", 400, "takes none" },
		{ "GET", "/api/v1/series", 200, "{\"step_s\":10,\"from\":" },
		{ "GET", "/api/v1/series?minutes=1440", 200,
		    "{\"step_s\":60,\"from\":" },
		{ "GET", "/api/v1/series?minutes=1441", 400, "1 to 1440" },
		{ "GET", "/api/v1/sessions?q", 200, "\"q\":\"\"" },
		{ "GET", "/api/v1/sessions?sender=%40a&recipient=b&client=c&mx=d&"
		    "code=e&outcome=f&policy=g&since=1970-01-01T00:00:01Z&"
		    "until=1970-01-02", 200, "\"rest\":[\"@a\",\"b\",\"c\","
		    "\"d\",\"e\",\"f\",\"g\"],\"since\":1000000,"
		    "\"until\":86400000000}" },
		{ "GET", "/api/v1/sessions?code=9", 400, "code is wrong" },
		/* not all of them */
		{ "GET", "/api/v1/sessions?until=1970-01-01", 200,
		    "\"until\":1}" },
		{ "GET", "/api/v1/sessions?since=2+hours", 400,
		    "since must be a time like" },
		{ "GET", "/api/v1/operations", 200,
		    "{\"after\":0,\"limit\":50}" },
		{ "GET", "/api/v1/operations?after=7&limit=500", 200,
		    "{\"after\":7,\"limit\":500}" },
		{ "GET", "/api/v1/operations?after=x", 400, "after must be" },
		{ "GET", "/api/v1/sessions?limit=501", 400, "1 to 500" },
		{ "GET", "/api/v1/sessions?limit=0", 400, "1 to 500" },
		{ "GET", "/api/v1/sessions?limit=", 400, "1 to 500" },
		{ "GET", "/api/v1/sessions?limit=-1", 400, "1 to 500" },
		{ "GET", "/api/v1/sessions?before=now", 400, "microseconds" },
		{ "GET", "/api/v1/sessions/" ID, 200, "{\"id\":\"" ID "\"}" },
		{ "GET", "/api/v1/sessions/01ARZ3NDEKTSV4RRFFQ69G5FA0", 404,
		    "{\"error\":\"no such session" },
		{ "GET", "/api/v1/sessions/" ID_HUGE, 500,
		    "{\"error\":\"the answer is too large\"}" },
		{ "GET", "/api/v1/sessions/", 400, "{\"error\":" },
		{ "GET", "/api/v1/sessions/../status", 400, "{\"error\":" },
		{ "GET", "/api/v1/sessions/" ID "x", 400, "{\"error\":" },
		{ "GET", "/nothing", 404, "{\"error\":" },
		{ "GET", "/page.html", 404, "{\"error\":" },
		{ "GET", "/api/v1/statusx", 404, "{\"error\":" },
		{ "GET", "/api/v1/reload", 405, "Allow: POST\r\n" },
		{ "POST", "/api/v1/status", 403, "{\"error\":" },
		{ "PUT", "/", 405, "Allow: GET, HEAD\r\n" },
		{ "DELETE", "/api/v1/sessions/" ID, 405, "{\"error\":" },
		{ "OPTIONS", "/api/v1/reload", 405, "Allow: POST\r\n" },
		{ "TRACE", "/", 405, "{\"error\":" },
		{ "BREW", "/nothing", 405, "{\"error\":" },
	};
	struct status_setup s;
	size_t i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		setup_expect(&s, false, rows[i].method, rows[i].path, "",
		    rows[i].code, rows[i].part);
	assert_int_equal(s.fake.reloads, 0);
	setup_end(&s);
}

static void
test_headers(void **state)
{
	static const char *const paths[] = { "/", "/main.js", "/metrics",
		"/api/v1/status", "/nothing" };
	static const char *const headers[] = {
		"\r\nContent-Security-Policy: default-src 'none'; style-src "
		"'self'; script-src 'self'; connect-src 'self'; img-src "
		"'self' data:; base-uri 'none'; form-action 'none'; "
		"frame-ancestors 'none'\r\n",
		"\r\nX-Content-Type-Options: nosniff\r\n",
		"\r\nReferrer-Policy: no-referrer\r\n",
		"\r\nCache-Control: no-store\r\n",
	};
	struct status_setup s;
	size_t i, j;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(paths); i++)
		for (j = 0; j < ARRAY_LEN(headers); j++)
			setup_expect(&s, false, "GET", paths[i], "",
			    i == 4 ? 404 : 200, headers[j]);
	setup_end(&s);
}

static void
test_head(void **state)
{
	struct status_setup s;
	char *head, *get;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	head = setup_ask(&s, false, "HEAD", "/page.css", "");
	get = setup_ask(&s, false, "GET", "/page.css", "");
	assert_int_equal(setup_code(head), 200);
	assert_string_equal(setup_body(head), "");
	assert_true(strlen(setup_body(get)) > 1000);
	free(head);
	free(get);
	setup_end(&s);
}

/* Who has the answer already gets none. */
static void
test_etag(void **state)
{
	struct status_setup s;
	char head[256], *answer, *tag;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	answer = setup_ask(&s, false, "GET", "/api/v1/sessions", "");
	tag = strstr(answer, "\r\nETag: W/\"");
	assert_non_null(tag);
	snprintf(head, sizeof head, "If-None-Match: %.20s\r\n", tag + 8);
	free(answer);
	setup_expect(&s, false, "HEAD", "/api/v1/sessions", head, 304, "");
	answer = setup_ask(&s, false, "GET", "/api/v1/sessions", head);
	assert_int_equal(setup_code(answer), 304);
	assert_non_null(strstr(answer, "\r\nETag: W/\""));
	assert_string_equal(setup_body(answer), "");
	free(answer);
	setup_expect(&s, false, "GET", "/api/v1/sessions?q=x", head, 200,
	    "\"q\":\"x\"");
	setup_expect(&s, true, "POST", "/api/v1/reload",
	    "If-None-Match: *\r\n", 200, "true");
	answer = setup_ask(&s, false, "GET", "/nothing",
	    "If-None-Match: *\r\n");
	assert_int_equal(setup_code(answer), 404);
	assert_null(strstr(answer, "ETag"));
	free(answer);
	setup_end(&s);
}

/* It comes when the answer is there already. */
static void
wait_for_drain(struct status_setup *s)
{
	unsigned i;

	for (i = 0; i < 10000 && s->fake.drains == 0; i++)
		usleep(1000);
	assert_int_equal(s->fake.drains, 1);
}

/* Or whoever asked would be told that the connection broke. */
static void
test_drain_begins_when_it_is_answered(void **state)
{
	static const char post[] = "POST /api/v1/drain HTTP/1.1\r\n"
	    "Host: localhost\r\n\r\n";
	char answer[2048] = "";
	struct status_setup s;
	size_t have = 0;
	int fds[2], fd;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	setup_begin(&s, "127.0.0.1:0", NULL);
	s.fake.drain_held = fds[0];
	fd = setup_dial(&s, true);
	assert_int_equal(send(fd, post, strlen(post), MSG_NOSIGNAL),
	    strlen(post));
	while (strstr(answer, "{\"ok\":true}") == NULL) {
		n = recv(fd, answer + have, sizeof answer - have - 1, 0);
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_int_equal(s.fake.drains, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	wait_for_drain(&s);
	close(fd);
	close(fds[0]);
	close(fds[1]);
	setup_end(&s);
}

static void
test_host_and_token(void **state)
{
	struct status_setup s;
	char *answer;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", "s3cret");
	answer = setup_ask_raw(&s, false, "GET / HTTP/1.1\r\n"
	    "Host: evil.example\r\nConnection: close\r\n\r\n");
	assert_int_equal(setup_code(answer), 403);
	free(answer);
	answer = setup_ask_raw(&s, false, "GET / HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(answer, " 403 "));
	free(answer);
	setup_expect(&s, false, "POST", "/api/v1/reload", "", 401,
	    "WWW-Authenticate: Bearer");
	setup_expect(&s, false, "POST", "/api/v1/reload",
	    "Authorization: Bearer s3cre\r\n", 401, "{\"error\":");
	setup_expect(&s, false, "POST", "/api/v1/nothing", "", 401, "");
	assert_int_equal(s.fake.reloads, 0);
	setup_expect(&s, false, "POST", "/api/v1/reload",
	    "Authorization: Bearer s3cret\r\n", 200, "{\"ok\":true}");
	assert_int_equal(s.fake.reloads, 1);
	setup_expect(&s, false, "POST", "/api/v1/drain",
	    "Authorization: Bearer s3cret\r\nContent-Length: 0\r\n", 202,
	    "{\"ok\":true}");
	wait_for_drain(&s);
	setup_expect(&s, false, "POST", "/",
	    "Authorization: Bearer s3cret\r\n", 405, "Allow: GET, HEAD");
	setup_expect(&s, false, "POST", "/api/v1/drain",
	    "Authorization: Bearer s3cret\r\nContent-Length: 5\r\n", 413,
	    "no body");
	assert_int_equal(s.fake.drains, 1);
	setup_end(&s);
}

static void
expect_operation(struct status_setup *s, const char *operation)
{
	pthread_mutex_lock(&s->record.lock);
	assert_string_equal(s->record.operation, operation);
	pthread_mutex_unlock(&s->record.lock);
}

/* Whatever is asked for stands in the record, with who has asked. */
static void
test_orders(void **state)
{
	static const char address[] = "/api/v1/suspend-address?address=";
	struct status_setup s;
	char path[128], by[128];

	(void)state;
	setup_begin(&s, "127.0.0.1:0", "s3cret");
	setup_expect(&s, false, "POST", "/api/v1/reload",
	    "Authorization: Bearer s3cret\r\n", 200, "{\"ok\":true}");
	expect_operation(&s, "reload||127.0.0.1|ok");
	s.fake.reload_error = "weir.conf:3: no\n";
	setup_expect(&s, false, "POST", "/api/v1/reload",
	    "Authorization: Bearer s3cret\r\n", 422, "no");
	expect_operation(&s, "reload||127.0.0.1|weir.conf:3: no");
	snprintf(path, sizeof(path), "%s203.0.113.10&for=90m", address);
	setup_expect(&s, true, "POST", path, "", 200,
	    "{\"ok\":true,\"address\":\"203.0.113.10\","
	    "\"suspended_until\":\"20");
	snprintf(by, sizeof(by), "suspend-address|address=203.0.113.10 "
	    "for=90m|control uid %ld|ok", (long)getuid());
	expect_operation(&s, by);
	setup_expect(&s, true, "GET", "/api/v1/sources", "", 200,
	    "\"suspended\":true,\"suspended_until\":\"20");
	setup_expect(&s, true, "POST",
	    "/api/v1/resume-address?address=203.0.113.10", "", 200,
	    "{\"ok\":true,\"address\":\"203.0.113.10\"}");
	setup_expect(&s, true, "POST",
	    "/api/v1/resume-address?address=203.0.113.10", "", 409,
	    "not suspended");
	snprintf(path, sizeof(path), "%s203.0.113.10", address);
	setup_expect(&s, true, "POST", path, "", 200,
	    "\"suspended_until\":null}");
	snprintf(path, sizeof(path), "%s192.0.2.1", address);
	setup_expect(&s, true, "POST", path, "", 404, "in no pool");
	snprintf(path, sizeof(path), "%sx%%0A", address);
	setup_expect(&s, true, "POST", path, "", 400, "an IPv4 or");
	snprintf(by, sizeof(by), "suspend-address|address=x\\n|control uid %ld|"
	    "address must be an IPv4 or IPv6 address", (long)getuid());
	expect_operation(&s, by);
	snprintf(path, sizeof(path), "%s203.0.113.10&for=2y", address);
	setup_expect(&s, true, "POST", path, "", 400, "a duration like");
	snprintf(path, sizeof(path), "%s203.0.113.10", address);
	setup_expect(&s, false, "POST", "/api/v1/drain",
	    "Authorization: Bearer s3cret\r\n", 202, "");
	expect_operation(&s, "drain||127.0.0.1|ok");
	setup_end(&s);
}

/* So does what was asked for in vain, whatever the reason. */
static void
test_refused_orders(void **state)
{
	static const struct {
		const char *token, *path, *head;
		int code;
		const char *operation;
	} rows[] = {
		{ NULL, "/api/v1/drain", "", 403, "drain||127.0.0.1|"
		    "refused 403: over TCP this needs a token: set "
		    "status.token_file, or use the control socket" },
		{ "s3cret", "/api/v1/suspend-address?address=192.0.2.1", "",
		    401, "suspend-address|address=192.0.2.1|127.0.0.1|"
		    "refused 401: this needs the header \"Authorization: "
		    "Bearer TOKEN\" with the content of status.token_file" },
		{ "s3cret", "/api/v1/drain",
		    "Authorization: Bearer x\r\n", 401, "drain||127.0.0.1|"
		    "refused 401: this token is not the one in "
		    "status.token_file" },
		{ "s3cret", "/api/v1/explode?a=b",
		    "Authorization: Bearer s3cret\r\n", 404,
		    "explode|a=***|127.0.0.1|refused 404: no such path; the "
		    "page is at /" },
		{ "s3cret", "/%0Ametrics?x",
		    "Authorization: Bearer s3cret\r\n", 404, "/\nmetrics|"
		    "x=***|127.0.0.1|refused 404: no such path; the page is "
		    "at /" },
		{ "s3cret", "/api/v1/status",
		    "Authorization: Bearer s3cret\r\n", 405,
		    "status||127.0.0.1|refused 405: only GET and HEAD here" },
		{ "s3cret", "/", "Authorization: Bearer s3cret\r\n", 405,
		    "/||127.0.0.1|refused 405: only GET and HEAD here" },
		{ "s3cret", "/api/v1/drain", "Content-Length: 5\r\n", 413,
		    "drain||127.0.0.1|refused 413: no body is expected here" },
		{ "s3cret", "/api/v1/drain?token=s3cret",
		    "Authorization: Bearer s3cret\r\n", 400,
		    "drain|token=***|127.0.0.1|there is no query argument "
		    "token; this path takes none" },
	};
	struct status_setup s;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		setup_begin(&s, "127.0.0.1:0", rows[i].token);
		setup_expect(&s, false, "POST", rows[i].path, rows[i].head,
		    rows[i].code, "{\"error\":");
		expect_operation(&s, rows[i].operation);
		assert_int_equal(s.record.n_operations, 1);
		free(setup_ask(&s, false, "GET", rows[i].path, ""));
		assert_int_equal(s.record.n_operations, 1);
		setup_end(&s);
	}
}

/* Who hammers the port makes two rows, and a count. */
static void
test_refused_orders_are_counted(void **state)
{
	struct record *record;
	struct status_setup s;
	unsigned i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", "s3cret");
	record = &s.record;
	for (i = 0; i < 50; i++)
		setup_expect(&s, false, "POST", "/api/v1/drain", "", 401, "");
	assert_int_equal(record->n_operations, 1);
	setup_expect(&s, true, "POST", "/api/v1/reload", "", 200, "");
	assert_int_equal(record->n_operations, 2);
	status_stop(s.status);
	s.status = NULL;
	expect_operation(&s, "drain||127.0.0.1|refused 401: this needs the "
	    "header \"Authorization: Bearer TOKEN\" with the content of "
	    "status.token_file (49 times)");
	assert_int_equal(record->n_operations, 3);
	setup_end(&s);
}

/* 0.0.0.0 may be reached from outside: data only with the token. */
static void
test_outside(void **state)
{
	struct status_setup s;

	(void)state;
	setup_begin(&s, "*:0", "s3cret");
	setup_expect(&s, false, "GET", "/", "", 200, "<title>");
	setup_expect(&s, false, "GET", "/readyz", "", 200, "true");
	setup_expect(&s, false, "GET", "/metrics", "", 401, "{\"error\":");
	setup_expect(&s, false, "GET", "/api/v1/status", "", 401, "");
	setup_expect(&s, false, "GET", "/api/v1/status",
	    "Authorization: Bearer s3cret\r\n", 200, "\"counters\"");
	setup_end(&s);
}

static void
test_not_ready(void **state)
{
	struct status_setup s;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	s.fake.why_not = "policy \"p\" is not there";
	setup_expect(&s, false, "GET", "/readyz", "", 503,
	    "{\"error\":\"policy \\\"p\\\" is not there\"}");
	setup_expect(&s, false, "GET", "/healthz", "", 200, "true");
	setup_expect(&s, false, "GET", "/api/v1/status", "", 200,
	    "\"ready\":false,\"why_not\":\"policy \\\"p\\\"");
	setup_expect(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_ready 0\n");
	setup_end(&s);
}

static void
test_broken_record(void **state)
{
	struct status_setup s;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	s.record.broken = true;
	setup_expect(&s, false, "GET", "/api/v1/sessions", "", 503,
	    "{\"error\":");
	/* The right-to-left override is text of JSON; the bad byte is not. */
	setup_expect(&s, false, "GET", "/api/v1/status", "", 200,
	    "\"error\":\"<script>alert(1)</script>\\\"\\\\\\u000d\\u000a"
	    "\\\\xff");
	setup_expect(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_record_broken 1\n");
	setup_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_etag),
		cmocka_unit_test(test_host_and_token),
		cmocka_unit_test(test_drain_begins_when_it_is_answered),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_refused_orders),
		cmocka_unit_test(test_refused_orders_are_counted),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_not_ready),
		cmocka_unit_test(test_broken_record),
	};

	return setup_run("test_status", tests, ARRAY_LEN(tests));
}
