/*
 * The status server over real sockets, with a record of its own behind it that
 * says what it was asked for.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/escape.h"
#include "base/log.h"
#include "status_fake.h"

#define ID "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define ID_HUGE "01ARZ3NDEKTSV4RRFFQ69G5FA1"
#define HOSTILE "<script>alert(1)</script>\"\\\r\n\xff\xe2\x80\xae"

/* ---------------------------------------------------------- a fake record */

struct record {
	bool broken;
};

bool
record_is_on(const struct record *r)
{
	return !r->broken;
}

void
record_get_status(struct record *r, struct record_status *status_r)
{
	memset(status_r, 0, sizeof *status_r);
	status_r->sqlite_on = true;
	status_r->sqlite_ok = !r->broken;
	status_r->written = 12;
	strcpy(status_r->sqlite_error, r->broken ? HOSTILE : "");
}

int
record_list(struct record *r, struct buf *out,
    const struct record_query *query, unsigned limit)
{
	if (r->broken)
		return -1;
	buf_printf(out, "[{\"limit\":%u,\"before\":%llu,\"q\":", limit,
	    (unsigned long long)query->before);
	escape_json(out, query->text);
	buf_append_str(out, "}]");
	return 0;
}

int
record_show(struct record *r, struct buf *out, struct span id)
{
	(void)r;
	if (span_eq(id, SPAN(ID_HUGE)))		/* as many lines make it */
		while (!buf_failed(out))
			buf_append(out, SPAN("{\"data\":\"250 Ok\"},"));
	if (!span_eq(id, SPAN(ID)))
		return -1;
	buf_append_str(out, "{\"id\":\"" ID "\"}");
	return 0;
}

struct top *
record_top(const struct record *r)
{
	(void)r;
	return NULL;		/* there was no memory */
}

/* ------------------------------------------------------------ HTTP client */

struct setup {
	struct status_fake fake;
	struct record record;
	struct status *status;
	char dir[64], control[96], token[96];
};

static const char control_format[] =
	"listener \"in\" { address = \"127.0.0.1:2525\" mode = \"fixed\"\n"
	"  destination = \"127.0.0.1:25\" }\n"
	"policy \"p\" { endpoint = \"unix:/p.sock\" }\n"
	"status { address = \"%s\" control = \"%s\" token_file = \"%s\" }\n";

static void
begin(struct setup *s, const char *address, const char *token)
{
	struct buf error;
	char conf[1024];
	FILE *file;

	memset(s, 0, sizeof *s);
	strcpy(s->dir, "/tmp/weir-test-status-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->control, sizeof s->control, "%s/control", s->dir);
	if (token != NULL) {
		snprintf(s->token, sizeof s->token, "%s/token", s->dir);
		file = fopen(s->token, "w");
		assert_non_null(file);
		assert_true(fprintf(file, "%s\n", token) > 0);
		assert_int_equal(fclose(file), 0);
	}
	snprintf(conf, sizeof conf, control_format, address, s->control,
	    s->token);
	status_fake_init(&s->fake, conf, &s->record);
	buf_init(&error, 0);
	s->status = status_start(&s->fake.source, s->fake.config, &error);
	if (s->status == NULL)
		fail_msg("%.*s", (int)buf_len(&error),
		    (const char *)buf_span(&error).data);
	buf_release(&error);
}

static void
end(struct setup *s)
{
	status_stop(s->status);
	assert_int_equal(access(s->control, F_OK), -1);
	if (*s->token != '\0')
		assert_int_equal(unlink(s->token), 0);
	assert_int_equal(rmdir(s->dir), 0);
	status_fake_release(&s->fake);
}

static int
dial(struct setup *s, bool control)
{
	struct sockaddr_storage ss;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval patience = { 10, 0 };
	struct addr addr = status_address(s->status);
	size_t len = addr_to_sockaddr(&addr, &ss);
	int fd;

	fd = socket(control ? AF_UNIX : ss.ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof patience), 0);
	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", s->control);
	if (control)
		assert_int_equal(connect(fd, (struct sockaddr *)&sun,
		    sizeof sun), 0);
	else
		assert_int_equal(connect(fd, (struct sockaddr *)&ss,
		    (socklen_t)len), 0);
	return fd;
}

/* Sends a request's head as it is and reads all until the server closes.
 * Returns the whole answer, for the caller to free. */
static char *
ask_raw(struct setup *s, bool control, const char *request)
{
	size_t len = strlen(request), have = 0, room = 1 << 20;
	char *answer = malloc(room);
	int fd = dial(s, control);
	ssize_t n;

	assert_non_null(answer);
	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
	while ((n = recv(fd, answer + have, room - have - 1, 0)) > 0)
		have += (size_t)n;
	close(fd);
	answer[have] = '\0';
	return answer;
}

/* head: more header lines, each with its end. */
static char *
ask(struct setup *s, bool control, const char *method, const char *path,
    const char *head)
{
	char request[2048];

	snprintf(request, sizeof request,
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	    "%s\r\n", method, path, head);
	return ask_raw(s, control, request);
}

static int
code_of(const char *answer)
{
	int code = 0;

	(void)sscanf(answer, "HTTP/1.1 %d", &code);
	return code;
}

static const char *
body_of(const char *answer)
{
	const char *end_of_head = strstr(answer, "\r\n\r\n");

	return end_of_head == NULL ? "" : end_of_head + 4;
}

static void
assert_answer(struct setup *s, bool control, const char *method,
    const char *path, const char *head, int code, const char *part)
{
	char *answer = ask(s, control, method, path, head);

	if (code_of(answer) != code || strstr(answer, part) == NULL)
		fail_msg("%s %s: wanted %d and \"%s\", got:\n%s", method, path,
		    code, part, answer);
	free(answer);
}

/* ------------------------------------------------------------------ tests */

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
		{ "GET", "/page.js", 200, "Content-Type: text/javascript" },
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
		    "[{\"limit\":50,\"before\":0,\"q\":\"\"}]" },
		{ "GET", "/api/v1/sessions?q=a%40b+c&limit=500&before=17",
		    200, "[{\"limit\":500,\"before\":17,\"q\":\"a@b c\"}]" },
		{ "GET", "/api/v1/sessions?q=%22%3Cscript%00x", 200,
		    "\"q\":\"\\\"<script\\u0000x\"" },
		{ "GET", "/api/v1/sessions?qq=1", 400,
		    "no query argument qq; this path takes: q limit" },
		{ "GET", "/api/v1/config", 200, "{\"file\":\"weir.conf\","
		    "\"loaded_at\":null,\"text\":\"listener \\\"in\\\" {" },
		{ "GET", "/api/v1/config", 200,
		    "{\"key\":\"status.address\",\"value\":\"127.0.0.1:0\","
		    "\"default\":\"\\\"127.0.0.1:8025\\\"\","
		    "\"is_default\":false,\"line\":4}" },
		{ "GET", "/api/v1/status?q=1", 400, "takes none" },
		{ "GET", "/api/v1/series", 200, "{\"step_s\":10,\"from\":" },
		{ "GET", "/api/v1/series?minutes=1440", 200,
		    "{\"step_s\":60,\"from\":" },
		{ "GET", "/api/v1/series?minutes=1441", 400, "1 to 1440" },
		{ "GET", "/api/v1/sessions?q", 200, "\"q\":\"\"" },
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
	struct setup s;
	size_t i;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		assert_answer(&s, false, rows[i].method, rows[i].path, "",
		    rows[i].code, rows[i].part);
	assert_int_equal(s.fake.reloads, 0);
	end(&s);
}

static void
test_headers(void **state)
{
	static const char *const paths[] = { "/", "/page.js", "/metrics",
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
	struct setup s;
	size_t i, j;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(paths); i++)
		for (j = 0; j < ARRAY_LEN(headers); j++)
			assert_answer(&s, false, "GET", paths[i], "",
			    i == 4 ? 404 : 200, headers[j]);
	end(&s);
}

static void
test_head(void **state)
{
	struct setup s;
	char *head, *get;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	head = ask(&s, false, "HEAD", "/page.css", "");
	get = ask(&s, false, "GET", "/page.css", "");
	assert_int_equal(code_of(head), 200);
	assert_string_equal(body_of(head), "");
	assert_true(strlen(body_of(get)) > 1000);
	free(head);
	free(get);
	end(&s);
}

/* Who has the answer already gets none. */
static void
test_etag(void **state)
{
	struct setup s;
	char head[256], *answer, *tag;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	answer = ask(&s, false, "GET", "/api/v1/sessions", "");
	tag = strstr(answer, "\r\nETag: W/\"");
	assert_non_null(tag);
	snprintf(head, sizeof head, "If-None-Match: %.20s\r\n", tag + 8);
	free(answer);
	assert_answer(&s, false, "HEAD", "/api/v1/sessions", head, 304, "");
	answer = ask(&s, false, "GET", "/api/v1/sessions", head);
	assert_int_equal(code_of(answer), 304);
	assert_non_null(strstr(answer, "\r\nETag: W/\""));
	assert_string_equal(body_of(answer), "");
	free(answer);
	assert_answer(&s, false, "GET", "/api/v1/sessions?q=x", head, 200,
	    "\"q\":\"x\"");
	assert_answer(&s, true, "POST", "/api/v1/reload",
	    "If-None-Match: *\r\n", 200, "true");
	answer = ask(&s, false, "GET", "/nothing", "If-None-Match: *\r\n");
	assert_int_equal(code_of(answer), 404);
	assert_null(strstr(answer, "ETag"));
	free(answer);
	end(&s);
}

static void
test_host_and_token(void **state)
{
	struct setup s;
	char *answer;

	(void)state;
	begin(&s, "127.0.0.1:0", "s3cret");
	answer = ask_raw(&s, false, "GET / HTTP/1.1\r\nHost: evil.example\r\n"
	    "Connection: close\r\n\r\n");
	assert_int_equal(code_of(answer), 403);
	free(answer);
	answer = ask_raw(&s, false, "GET / HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(answer, " 403 "));
	free(answer);
	assert_answer(&s, false, "POST", "/api/v1/reload", "", 401,
	    "WWW-Authenticate: Bearer");
	assert_answer(&s, false, "POST", "/api/v1/reload",
	    "Authorization: Bearer s3cre\r\n", 401, "{\"error\":");
	assert_answer(&s, false, "POST", "/api/v1/nothing", "", 401, "");
	assert_int_equal(s.fake.reloads, 0);
	assert_answer(&s, false, "POST", "/api/v1/reload",
	    "Authorization: Bearer s3cret\r\n", 200, "{\"ok\":true}");
	assert_int_equal(s.fake.reloads, 1);
	assert_answer(&s, false, "POST", "/api/v1/drain",
	    "Authorization: Bearer s3cret\r\nContent-Length: 0\r\n", 202,
	    "{\"ok\":true}");
	assert_int_equal(s.fake.drains, 1);
	assert_answer(&s, false, "POST", "/",
	    "Authorization: Bearer s3cret\r\n", 405, "Allow: GET, HEAD");
	assert_answer(&s, false, "POST", "/api/v1/drain",
	    "Authorization: Bearer s3cret\r\nContent-Length: 5\r\n", 413,
	    "no body");
	assert_int_equal(s.fake.drains, 1);
	end(&s);
}

/* 0.0.0.0 may be reached from outside: data only with the token. */
static void
test_outside(void **state)
{
	struct setup s;

	(void)state;
	begin(&s, "*:0", "s3cret");
	assert_answer(&s, false, "GET", "/", "", 200, "<title>");
	assert_answer(&s, false, "GET", "/readyz", "", 200, "true");
	assert_answer(&s, false, "GET", "/metrics", "", 401, "{\"error\":");
	assert_answer(&s, false, "GET", "/api/v1/status", "", 401, "");
	assert_answer(&s, false, "GET", "/api/v1/status",
	    "Authorization: Bearer s3cret\r\n", 200, "\"counters\"");
	end(&s);
}

static void
test_ipv6(void **state)
{
	struct setup s;

	(void)state;
	begin(&s, "[::1]:0", NULL);
	assert_int_equal(status_address(s.status).family, ADDR_IPV6);
	assert_int_not_equal(status_address(s.status).port, 0);
	assert_answer(&s, false, "GET", "/healthz", "", 200, "true");
	end(&s);
}

static void
test_control_socket(void **state)
{
	struct setup s;
	struct stat st;

	(void)state;
	begin(&s, "", NULL);
	assert_int_equal(status_address(s.status).family, ADDR_NONE);
	assert_int_equal(stat(s.control, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_answer(&s, true, "GET", "/api/v1/status", "", 200,
	    "\"counters\"");
	assert_answer(&s, true, "POST", "/api/v1/reload", "", 200, "true");
	s.fake.reload_error = "weir.conf:3: no such key \"<b>\"\n";
	assert_answer(&s, true, "POST", "/api/v1/reload", "", 422,
	    "{\"error\":\"weir.conf:3: no such key \\\"<b>\\\"\\u000a\"}");
	end(&s);
}

/* A socket that a dead process left is no hindrance; a live one stays. */
static void
test_control_socket_taken(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct setup s;
	struct status *second;
	struct buf error;
	int fd;

	(void)state;
	begin(&s, "", NULL);
	buf_init(&error, 0);
	second = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(second);
	status_stop(second);
	assert_answer(&s, true, "GET", "/healthz", "", 200, "true");
	status_stop(s.status);

	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", s.control);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	close(fd);
	s.status = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(s.status);
	assert_answer(&s, true, "GET", "/healthz", "", 200, "true");
	buf_release(&error);
	end(&s);
}

/* What is in the way and no socket stays, and weir starts without. */
static void
test_control_socket_hindered(void **state)
{
	struct setup s;
	struct buf error;
	FILE *file;

	(void)state;
	begin(&s, "", NULL);
	status_stop(s.status);
	file = fopen(s.control, "w");
	assert_non_null(file);
	fclose(file);
	buf_init(&error, 0);
	s.status = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(s.status);
	status_stop(s.status);
	assert_int_equal(unlink(s.control), 0);
	assert_int_equal(rmdir(s.dir), 0);	/* no such directory */
	s.status = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(s.status);
	assert_int_equal(mkdir(s.dir, 0700), 0);
	buf_release(&error);
	end(&s);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *address, *part;
	} rows[] = {
		{ "*:0", "token_file" }, { "[::]:0", "token_file" },
		{ "192.0.2.1:0", "token_file" },
		{ NULL, "Address already in use" },
	};
	struct setup s;
	char conf[1024], text[ADDR_TEXT_MAX];
	struct addr bound;
	size_t i;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	bound = status_address(s.status);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct status_fake other;
		struct buf error;

		snprintf(conf, sizeof conf, control_format,
		    addr_format_port(&bound, text), "", "");
		status_fake_init(&other, conf, &s.record);
		/* config/ refuses the same, but this is no place to trust. */
		if (rows[i].address != NULL)
			assert_int_equal(addr_parse_port(
			    span_str(rows[i].address),
			    &other.config->status.address), 0);
		buf_init(&error, 0);
		assert_null(status_start(&other.source, other.config,
		    &error));
		buf_append_byte(&error, '\0');
		assert_non_null(strstr((const char *)buf_span(&error).data,
		    rows[i].part));
		buf_release(&error);
		status_fake_release(&other);
	}
	end(&s);
}

static void
test_not_ready(void **state)
{
	struct setup s;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	s.fake.why_not = "policy \"p\" is not there";
	assert_answer(&s, false, "GET", "/readyz", "", 503,
	    "{\"error\":\"policy \\\"p\\\" is not there\"}");
	assert_answer(&s, false, "GET", "/healthz", "", 200, "true");
	assert_answer(&s, false, "GET", "/api/v1/status", "", 200,
	    "\"ready\":false,\"why_not\":\"policy \\\"p\\\"");
	assert_answer(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_ready 0\n");
	end(&s);
}

static void
test_broken_record(void **state)
{
	struct setup s;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	s.record.broken = true;
	assert_answer(&s, false, "GET", "/api/v1/sessions", "", 503,
	    "{\"error\":");
	/* The right-to-left override is text of JSON; the bad byte is not. */
	assert_answer(&s, false, "GET", "/api/v1/status", "", 200,
	    "\"error\":\"<script>alert(1)</script>\\\"\\\\\\u000d\\u000a"
	    "\\\\xff");
	assert_answer(&s, false, "GET", "/metrics", "", 200,
	    "\nweir_record_broken 1\n");
	end(&s);
}

/* A request's head has a limit; what is over it gets no further. */
static void
test_oversize(void **state)
{
	size_t len = 100000;
	char *request = malloc(len + 1), *answer;
	struct setup s;
	int code;

	(void)state;
	assert_non_null(request);
	memset(request, 'x', len);
	request[len] = '\0';
	memcpy(request, "GET /", 5);
	begin(&s, "127.0.0.1:0", NULL);
	answer = ask_raw(&s, false, request);
	code = code_of(answer);
	assert_true(code == 0 || code == 413 || code == 414 || code == 431);
	free(answer);
	free(request);
	assert_answer(&s, false, "GET", "/healthz", "", 200, "true");
	end(&s);
}

/* More connections than allowed wait until others are gone. */
static void
test_connection_limit(void **state)
{
	static const char request[] = "GET /healthz HTTP/1.1\r\n"
	    "Host: localhost\r\nConnection: close\r\n\r\n";
	struct timeval moment = { 0, 300000 }, patience = { 10, 0 };
	struct setup s;
	int fds[64], fd;
	char byte;
	size_t i;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial(&s, false);
	fd = dial(&s, false);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment,
	    sizeof moment), 0);
	assert_true(send(fd, request, strlen(request), MSG_NOSIGNAL) > 0);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	for (i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof patience), 0);
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	close(fd);
	end(&s);
}

/* Workers count while others look. */
static void *
worker(void *ctx)
{
	struct metrics *m = ctx;
	unsigned i;

	for (i = 0; i < 20000; i++) {
		metrics_add(&m->session[SESSION_COUNTER_DELIVERED], 1);
		histogram_add(&m->connect_us, i);
		if (i % 100 == 0)
			metrics_set_text(m->policies[0].software,
			    i % 200 == 0 ? "even" : "odder");
	}
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[STATUS_FAKE_WORKERS];
	struct setup s;
	size_t i;

	(void)state;
	begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < STATUS_FAKE_WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker,
		    s.fake.workers[i]), 0);
	for (i = 0; i < 20; i++) {
		assert_answer(&s, i % 2 == 0, "GET", "/api/v1/status", "", 200,
		    "\"counters\"");
		assert_answer(&s, i % 2 == 0, "GET", "/metrics", "", 200, "");
	}
	for (i = 0; i < STATUS_FAKE_WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_answer(&s, false, "GET", "/api/v1/status", "", 200,
	    "\"delivered\":40000");
	end(&s);
}

static void
no_log(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	(void)line;
	(void)len;
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
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_control_socket),
		cmocka_unit_test(test_control_socket_taken),
		cmocka_unit_test(test_control_socket_hindered),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_not_ready),
		cmocka_unit_test(test_broken_record),
		cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_connection_limit),
		cmocka_unit_test(test_threads),
	};

	log_set_sink(no_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
