/*
 * HTTP: libmicrohttpd stays in this file. Two daemons of one thread each
 * listen, one on TCP and one on the control socket; a mutex lets one request
 * at a time through, so that everything behind it may think of "the HTTP
 * thread".
 *
 *	browser, Prometheus --TCP---> guard --+
 *	                                      +--> page file, or status_api
 *	weirctl -------control socket---------+
 *
 * Bounded: connections, bytes per connection, idle time, size of an answer;
 * a request body is never read.
 */
#include "service/status.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/event_ring.h"
#include "service/status_api.h"
#include "service/status_guard.h"
#include "service/status_page.h"
#include "service/status_series.h"
#include "service/status_socket.h"

#define STATUS_CONNECTIONS_MAX 64
#define STATUS_IDLE_MAX_S 15
#define STATUS_CONNECTION_MEMORY 32768	/* bytes: a request's head and more */

struct status {
	struct status_source source;
	struct status_guard guard;
	struct MHD_Daemon *tcp, *control;
	struct addr bound;
	char *control_path;
	struct status_socket_unix control_socket;
	pthread_mutex_t lock;
	struct status_series *series;
	pthread_t ticker;
	bool ticking;
	atomic_bool stopping;
};

static const struct {
	const char *name, *value;
} header_table[] = {
	{ "Content-Security-Policy", "default-src 'none'; style-src 'self'; "
	    "script-src 'self'; connect-src 'self'; img-src 'self' data:; "
	    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cache-Control", "no-store" },
};

/* Takes the response. */
static enum MHD_Result
queue(struct MHD_Connection *c, unsigned code, const char *type,
    const char *allow, const char *tag, struct MHD_Response *response)
{
	enum MHD_Result rc = MHD_YES;
	size_t i;

	if (response == NULL)
		return MHD_NO;	/* no memory: the connection is closed */
	for (i = 0; i < ARRAY_LEN(header_table) && rc == MHD_YES; i++)
		rc = MHD_add_response_header(response, header_table[i].name,
		    header_table[i].value);
	if (rc == MHD_YES)
		rc = MHD_add_response_header(response, "Content-Type", type);
	if (rc == MHD_YES && allow != NULL)
		rc = MHD_add_response_header(response, "Allow", allow);
	if (rc == MHD_YES && tag != NULL)
		rc = MHD_add_response_header(response, "ETag", tag);
	if (rc == MHD_YES && code == MHD_HTTP_UNAUTHORIZED)
		rc = MHD_add_response_header(response, "WWW-Authenticate",
		    "Bearer realm=\"weir\"");
	if (rc == MHD_YES)
		rc = MHD_queue_response(c, code, response);
	MHD_destroy_response(response);
	return rc;
}

static const char *
header(struct MHD_Connection *c, const char *name)
{
	return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* may_tag: the client may have it already. */
static enum MHD_Result
queue_answer(struct MHD_Connection *c, struct status_api_answer *a,
    const char *allow, bool may_tag)
{
	char tag[STATUS_API_TAG_MAX];
	enum MHD_Result rc;
	struct span body;

	may_tag = may_tag && a->code == MHD_HTTP_OK;
	body = buf_span(&a->body);
	if (may_tag)
		status_api_tag(body, tag);
	if (may_tag && status_api_has_tag(header(c, "If-None-Match"), tag)) {
		a->code = MHD_HTTP_NOT_MODIFIED;
		body.len = 0;
	}
	rc = queue(c, a->code, a->type, allow, may_tag ? tag : NULL,
	    MHD_create_response_from_buffer(body.len, (void *)body.data,
	    MHD_RESPMEM_MUST_COPY));
	buf_release(&a->body);
	return rc;
}

static enum MHD_Result
queue_error(struct MHD_Connection *c, unsigned code, const char *why,
    const char *allow)
{
	struct status_api_answer a;

	buf_init(&a.body, 0);
	status_api_error(&a, code, why);
	return queue_answer(c, &a, allow, false);
}

struct arguments {
	struct status_api_argument list[STATUS_API_ARGUMENTS_MAX];
	size_t n;
};

static enum MHD_Result
on_argument(void *ctx, enum MHD_ValueKind kind, const char *key, size_t len,
    const char *value, size_t value_len)
{
	struct arguments *a = ctx;

	(void)kind;
	if (a->n == ARRAY_LEN(a->list))
		return MHD_NO;
	a->list[a->n++] = (struct status_api_argument){
		.name = span_of(key, len),
		.value = span_of(value == NULL ? "" : value, value_len),
	};
	return MHD_YES;
}

static const struct status_page_file *
find_file(const char *path)
{
	const struct status_page_file *f;

	for (f = status_page_files; f->path != NULL; f++)
		if (strcmp(f->path, path) == 0)
			return f;
	return NULL;
}

static enum MHD_Result
answer_route(struct status *s, struct MHD_Connection *c,
    const struct status_api_route *route, const char *path)
{
	struct status_api_answer a = { 200, "application/json", { 0 } };
	struct arguments arguments = { .n = 0 };
	struct status_api_request request = {
		.path = span_str(path),
		.arguments = arguments.list,
		.series = s->series,
	};

	MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, on_argument,
	    &arguments);
	request.n_arguments = arguments.n;
	buf_init(&a.body, STATUS_API_ANSWER_MAX);
	pthread_mutex_lock(&s->lock);
	status_api_answer(&s->source, route, &request, &a);
	pthread_mutex_unlock(&s->lock);
	return queue_answer(c, &a, NULL, !route->post);
}

static enum MHD_Result
answer(struct status *s, struct MHD_Connection *c, bool trusted,
    const char *method, const char *path)
{
	const struct status_page_file *file = find_file(path);
	const struct status_api_route *route =
	    file != NULL ? NULL : status_api_route(span_str(path));
	bool post = strcmp(method, "POST") == 0;
	struct status_guard_request request = {
		.trusted = trusted,
		.post = post,
		.is_public = file != NULL ||
		    (route != NULL && route->is_public),
		.host = header(c, "Host"),
		.authorization = header(c, "Authorization"),
	};
	const char *why;
	unsigned code;

	if (!post && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return queue_error(c, 405, "weir answers GET, HEAD and POST",
		    route != NULL && route->post ? "POST" : "GET, HEAD");
	code = status_guard_check(&s->guard, &request, &why);
	if (code != 0)
		return queue_error(c, code, why, NULL);
	if (file == NULL && route == NULL)
		return queue_error(c, 404, "no such path; the page is at /",
		    NULL);
	if (post != (route != NULL && route->post))
		return queue_error(c, 405, post ? "only GET and HEAD here" :
		    "only POST here", post ? "GET, HEAD" : "POST");
	if (route != NULL)
		return answer_route(s, c, route, path);
	return queue(c, 200, file->type, NULL, NULL,
	    MHD_create_response_from_buffer(file->len, (void *)file->data,
	    MHD_RESPMEM_PERSISTENT));
}

static bool
has_body(struct MHD_Connection *c)
{
	const char *length = header(c, "Content-Length");

	return header(c, "Transfer-Encoding") != NULL ||
	    (length != NULL && strcmp(length, "0") != 0);
}

/* libmicrohttpd calls twice: after the head, and after the (empty) body. */
static enum MHD_Result
on_request(struct status *s, struct MHD_Connection *c, bool trusted,
    const char *path, const char *method, void **seen)
{
	if (*seen == NULL) {
		*seen = s;
		if (has_body(c))
			return queue_error(c, 413, "no body is expected here",
			    NULL);
		return MHD_YES;
	}
	return answer(s, c, trusted, method, path);
}

static enum MHD_Result
on_tcp(void *ctx, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *len,
    void **seen)
{
	(void)version;
	(void)data;
	(void)len;
	return on_request(ctx, c, false, path, method, seen);
}

static enum MHD_Result
on_control(void *ctx, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *len,
    void **seen)
{
	(void)version;
	(void)data;
	(void)len;
	return on_request(ctx, c, true, path, method, seen);
}

static void
on_log(void *ctx, const char *fmt, va_list ap)
{
	char line[256], quoted[LOG_QUOTE_MAX];

	(void)ctx;
	(void)vsnprintf(line, sizeof line, fmt, ap);
	log_event(LOG_DEBUG, "status.http", "text=%s",
	    log_quote(span_trim(span_str(line)), quoted));
}

/* Takes the fd. */
static struct MHD_Daemon *
start_daemon(struct status *s, int fd, MHD_AccessHandlerCallback handler,
    struct buf *error)
{
	struct MHD_Daemon *d;

	d = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_USE_ERROR_LOG, 0, NULL, NULL, handler, s,
	    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)STATUS_CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)STATUS_IDLE_MAX_S,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)STATUS_CONNECTION_MEMORY,
	    MHD_OPTION_END);
	if (d == NULL) {
		buf_append_str(error, "the HTTP thread cannot be started");
		close(fd);
	}
	return d;
}

static int
start_tcp(struct status *s, const struct config_status *config,
    struct buf *error)
{
	char text[ADDR_TEXT_MAX];
	int fd;

	if (config->address.family == ADDR_NONE)
		return 0;
	fd = status_socket_tcp(&config->address, &s->bound, error);
	if (fd < 0)
		return -1;
	s->tcp = start_daemon(s, fd, on_tcp, error);
	if (s->tcp == NULL)
		return -1;
	log_event(LOG_INFO, "status.open", "url=http://%s/",
	    addr_format_port(&s->bound, text));
	return 0;
}

/* The control socket is a convenience: without it mail goes on. */
static void
start_control(struct status *s)
{
	char quoted[LOG_QUOTE_MAX];
	struct buf error;
	int fd;

	if (*s->control_path == '\0')
		return;
	buf_init(&error, 0);
	fd = status_socket_unix(s->control_path, &s->control_socket, &error);
	if (fd >= 0) {
		s->control = start_daemon(s, fd, on_control, &error);
		if (s->control == NULL)
			status_socket_unlink(&s->control_socket);
	}
	if (s->control == NULL)
		log_event(LOG_WARNING, "status.control", "error=%s",
		    log_quote(buf_span(&error), quoted));
	else
		log_event(LOG_INFO, "status.control", "path=%s",
		    log_quote(span_str(s->control_path), quoted));
	buf_release(&error);
}

/* Once a second, for whoever wants a look at the figures. */
static void *
tick(void *ctx)
{
	struct status *s = ctx;
	uint64_t next_us = clock_mono_us();

	while (!atomic_load(&s->stopping)) {
		status_series_sample(s->series, s->source.workers,
		    s->source.n_workers, clock_wall_us());
		next_us += CLOCK_US_PER_S;
		while (!atomic_load(&s->stopping) && clock_mono_us() < next_us)
			event_ring_wait(s->source.events,
			    event_ring_newest(s->source.events), next_us);
	}
	return NULL;
}

static int
start_ticker(struct status *s, struct buf *error)
{
	s->series = status_series_new();
	if (s->series != NULL &&
	    pthread_create(&s->ticker, NULL, tick, s) == 0) {
		s->ticking = true;
		return 0;
	}
	buf_append_str(error, "status: no memory");
	return -1;
}

struct status *
status_start(const struct status_source *source, const struct config *config,
    struct buf *error)
{
	struct status *s = calloc(1, sizeof *s);

	if (s == NULL || (s->control_path =
	    strdup(config->status.control)) == NULL) {
		buf_append_str(error, "status: no memory");
		free(s);
		return NULL;
	}
	s->source = *source;
	pthread_mutex_init(&s->lock, NULL);
	if (start_ticker(s, error) != 0 || status_guard_init(&s->guard, &config->status.address,
	    config->status.token_file, error) != 0 ||
	    start_tcp(s, &config->status, error) != 0) {
		status_stop(s);
		return NULL;
	}
	start_control(s);
	return s;
}

struct addr
status_address(const struct status *s)
{
	return s->bound;
}

void
status_stop(struct status *s)
{
	if (s == NULL)
		return;
	if (s->tcp != NULL)
		MHD_stop_daemon(s->tcp);
	if (s->control != NULL) {
		MHD_stop_daemon(s->control);
		status_socket_unlink(&s->control_socket);
	}
	if (s->ticking) {
		atomic_store(&s->stopping, true);
		event_ring_wake(s->source.events);
		pthread_join(s->ticker, NULL);
	}
	status_series_free(s->series);
	status_guard_release(&s->guard);
	pthread_mutex_destroy(&s->lock);
	free(s->control_path);
	free(s);
}
