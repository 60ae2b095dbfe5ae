#include "status_setup.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/escape.h"
#include "base/log.h"
#include "service/record_ended.h"
#include "service/record_operations.h"
#include "service/record_internal.h"

/* ---------------------------------------------------------- a fake record */

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
	const struct span rest[] = { query->sender, query->recipient,
		query->client, query->mx, query->code, query->outcome,
		query->policy };
	char byte;
	size_t i;

	if (r->broken)
		return -1;
	if (r->held >= 0 && span_eq(query->text, SPAN("wait")))
		(void)!read(r->held, &byte, 1);
	buf_printf(out, "[{\"limit\":%u,\"before\":%llu,\"q\":", limit,
	    (unsigned long long)query->before);
	escape_json(out, query->text);
	buf_append_str(out, ",\"rest\":[");
	for (i = 0; i < ARRAY_LEN(rest); i++) {
		buf_append_str(out, i == 0 ? "" : ",");
		escape_json(out, rest[i]);
	}
	buf_printf(out, "],\"since\":%ju,\"until\":%ju}]",
	    (uintmax_t)query->since, (uintmax_t)query->until);
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

int
record_operations_add(struct record *r, const struct record_operation *o)
{
	pthread_mutex_lock(&r->lock);
	snprintf(r->operation, sizeof r->operation, "%.*s|%.*s|%.*s|%.*s",
	    (int)o->operation.len, (const char *)o->operation.data,
	    (int)o->argument.len, (const char *)o->argument.data,
	    (int)o->by.len, (const char *)o->by.data,
	    (int)o->result.len, (const char *)o->result.data);
	r->n_operations++;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

int
record_operations_list(struct record *r, struct buf *out, uint64_t after,
    unsigned limit)
{
	if (r->broken)
		return -1;
	buf_printf(out, "{\"after\":%ju,\"limit\":%u}", (uintmax_t)after,
	    limit);
	return 0;
}

void
record_ended_rows(struct record *r, uint64_t *seen, struct buf *out,
    uint64_t *omitted_r)
{
	size_t i;

	(void)r;
	*omitted_r = 0;
	if (*seen == UINT64_MAX) {
		*seen = 0;
		return;
	}
	*omitted_r = 7;
	if (out == NULL) {
		*omitted_r += 3;
		return;
	}
	buf_append_str(out, "{\"id\":1}\n{\"to\":\"");
	for (i = 0; i < EVENT_RING_EVENT_MAX; i++)
		buf_append_byte(out, 'a');
	buf_append_str(out, "\"}\n{\"id\":2}\n");
}

const char *
record_query_check(const struct record_query *query)
{
	return span_eq(query->code, SPAN("9")) ? "code is wrong" : NULL;
}

/* Minutes of MXs: there is no database. */
int
record_put(struct record *r, record_write_fn *write, struct span data)
{
	(void)r;
	(void)write;
	(void)data;
	return -1;
}

int
record_put_line(struct record *r, record_write_fn *write, struct span line)
{
	return record_put(r, write, line);
}

int
record_ask(struct record *r, struct buf *out, record_ask_fn *fn,
    const void *arg)
{
	(void)r;
	(void)out;
	(void)fn;
	(void)arg;
	return -1;
}

int
record_ask_whole(struct record *r, struct buf *out, record_ask_fn *fn,
    const void *arg)
{
	(void)r;
	(void)out;
	(void)fn;
	(void)arg;
	return -1;
}

struct top *
record_top(const struct record *r)
{
	(void)r;
	return NULL;		/* there was no memory */
}

/* ------------------------------------------------------------ HTTP client */

const char setup_conf[] =
	"listener \"in\" { address = \"127.0.0.1:2525\" mode = \"fixed\"\n"
	"  destination = \"127.0.0.1:25\" }\n"
	"pool \"out\" { addresses = {\"203.0.113.10\"} }\n"
	"policy \"p\" { endpoint = \"unix:/p.sock\" }\n"
	"status { address = \"%s\" control = \"%s\" token_file = \"%s\" }\n";

void
setup_begin(struct status_setup *s, const char *address, const char *token)
{
	struct buf error;
	char conf[1024];
	FILE *file;

	memset(s, 0, sizeof *s);
	s->record.held = -1;
	pthread_mutex_init(&s->record.lock, NULL);
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
	snprintf(conf, sizeof conf, setup_conf, address, s->control,
	    s->token);
	status_fake_init(&s->fake, conf, &s->record);
	buf_init(&error, 0);
	s->status = status_start(&s->fake.source, s->fake.config, &error);
	if (s->status == NULL)
		fail_msg("%.*s", (int)buf_len(&error),
		    (const char *)buf_span(&error).data);
	buf_release(&error);
}

void
setup_end(struct status_setup *s)
{
	status_stop(s->status);		/* unless the test has */
	assert_int_equal(access(s->control, F_OK), -1);
	if (*s->token != '\0')
		assert_int_equal(unlink(s->token), 0);
	assert_int_equal(rmdir(s->dir), 0);
	status_fake_release(&s->fake);
	pthread_mutex_destroy(&s->record.lock);
}

int
setup_dial(struct status_setup *s, bool control)
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

char *
setup_ask_raw(struct status_setup *s, bool control, const char *request)
{
	size_t len = strlen(request), have = 0, room = 1 << 20;
	char *answer = malloc(room);
	int fd = setup_dial(s, control);
	ssize_t n;

	assert_non_null(answer);
	assert_int_equal(send(fd, request, len, MSG_NOSIGNAL), len);
	while ((n = recv(fd, answer + have, room - have - 1, 0)) > 0)
		have += (size_t)n;
	close(fd);
	answer[have] = '\0';
	return answer;
}

char *
setup_ask(struct status_setup *s, bool control, const char *method,
    const char *path, const char *head)
{
	char request[2048];

	snprintf(request, sizeof request,
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	    "%s\r\n", method, path, head);
	return setup_ask_raw(s, control, request);
}

int
setup_code(const char *answer)
{
	int code = 0;

	(void)sscanf(answer, "HTTP/1.1 %d", &code);
	return code;
}

const char *
setup_body(const char *answer)
{
	const char *end_of_head = strstr(answer, "\r\n\r\n");

	return end_of_head == NULL ? "" : end_of_head + 4;
}

void
setup_expect(struct status_setup *s, bool control, const char *method,
    const char *path, const char *head, int code, const char *part)
{
	char *answer = setup_ask(s, control, method, path, head);

	if (setup_code(answer) != code || strstr(answer, part) == NULL)
		fail_msg("%s %s: wanted %d and \"%s\", got:\n%s", method, path,
		    code, part, answer);
	free(answer);
}

static void
no_log(void *ctx, const char *line, size_t len)
{
	(void)ctx;
	(void)line;
	(void)len;
}

int
setup_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	log_set_sink(no_log, NULL);
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}
