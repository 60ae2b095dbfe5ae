/*
 * libmicrohttpd stays in this file and status_stream.c. One thread of the
 * library reads and writes for all connections of a port; what would keep it
 * waiting (the database, the main thread) is done by a few threads beside it
 * while the connection is suspended, and streams of events are suspended
 * whenever there is nothing to tell:
 *
 *	head --guard--> page file, or route --> answer
 *	                                 |        ^
 *	                        slow:    +--jobs--+
 *	                     /events:    +--> stream
 *
 * Bounded: connections and how long they may dawdle (status_clients), bytes
 * per connection, jobs, streams, size of an answer; a request body is never
 * read. The two ports share nothing of this, so that whoever keeps TCP busy
 * does not keep the operator from the control socket.
 */
#include "service/status_http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "service/status_clients.h"
#include "service/status_jobs.h"
#include "service/status_page.h"
#include "service/status_stream.h"

#define STATUS_HTTP_CONNECTIONS_MAX 96	/* with those on their way out */
#define STATUS_HTTP_IDLE_MAX_S 15
#define STATUS_HTTP_CONNECTION_MEMORY 32768	/* bytes: a request's head and
						   more */

struct status_http {
	struct status_http_setup setup;
	struct MHD_Daemon *daemon;
	struct status_clients clients;
	struct status_jobs *jobs;
	struct status_streams streams;
};

struct request {
	struct status_job job;
	struct status_http *http;
	struct MHD_Connection *connection;
	struct status_client *client;
	const struct status_api_route *route;
	struct status_api_argument arguments[STATUS_API_ARGUMENTS_MAX];
	struct status_api_request api;
	struct status_api_answer answer;
	struct status_stream *stream;
	bool is_post;
	bool is_answered;		/* by the job: answer is ready */
	bool is_stopping;
	char by[STATUS_API_BY_MAX];
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

/* ---------------------------------------------------------------- requests */

static enum MHD_Result
on_argument(void *ctx, enum MHD_ValueKind kind, const char *key, size_t len,
    const char *value, size_t value_len)
{
	struct request *r = ctx;

	(void)kind;
	if (r->api.n_arguments == ARRAY_LEN(r->arguments))
		return MHD_NO;
	r->arguments[r->api.n_arguments++] = (struct status_api_argument){
		.name = span_of(key, len),
		.value = span_of(value == NULL ? "" : value, value_len),
	};
	return MHD_YES;
}

/* Who asks, for the log and the record. */
static const char *
asker(struct request *r)
{
	struct ucred peer = { 0, (uid_t)-1, (gid_t)-1 };
	socklen_t len = sizeof(peer);
	char text[ADDR_TEXT_MAX];

	if (!r->http->setup.trusted)
		snprintf(r->by, sizeof(r->by), "%s", r->client == NULL ?
		    "unknown" : addr_format(&r->client->addr, text));
	else if (r->client != NULL && getsockopt(r->client->fd, SOL_SOCKET,
	    SO_PEERCRED, &peer, &len) == 0)
		snprintf(r->by, sizeof(r->by), "control uid %ld",
		    (long)peer.uid);
	else
		snprintf(r->by, sizeof(r->by), "control");
	return r->by;
}

static void
read_request(struct request *r, const char *path)
{
	r->api = (struct status_api_request){
		.path = span_str(path),
		.arguments = r->arguments,
		.by = r->is_post ? asker(r) : "",
		.series = r->http->setup.series,
		.figures = r->http->setup.figures,
	};
	MHD_get_connection_values_n(r->connection, MHD_GET_ARGUMENT_KIND,
	    on_argument, r);
}

/* ----------------------------------------------------------------- answers */

struct head {
	unsigned code;
	const char *type;
	const char *name, *value;	/* one more header line; NULL: none */
};

/* Takes the response. */
static enum MHD_Result
queue(struct request *r, const struct head *head,
    struct MHD_Response *response)
{
	enum MHD_Result rc = MHD_YES;
	size_t i;

	if (response == NULL)
		return MHD_NO;	/* no memory: the connection is closed */
	for (i = 0; i < ARRAY_LEN(header_table) && rc == MHD_YES; i++)
		rc = MHD_add_response_header(response, header_table[i].name,
		    header_table[i].value);
	if (rc == MHD_YES)
		rc = MHD_add_response_header(response, "Content-Type",
		    head->type);
	if (rc == MHD_YES && head->name != NULL)
		rc = MHD_add_response_header(response, head->name,
		    head->value);
	if (rc == MHD_YES)
		rc = MHD_queue_response(r->connection, head->code, response);
	MHD_destroy_response(response);
	status_figures_answered(r->http->setup.figures, head->code);
	if (r->stream == NULL)
		status_clients_state(&r->http->clients, r->client,
		    STATUS_CLIENT_ANSWERED, clock_mono_us());
	return rc;
}

static const char *
header(struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND,
	    name);
}

/* The body stays the request's, which lives as long as the response. */
static enum MHD_Result
queue_body(struct request *r, const struct head *head, struct span body)
{
	return queue(r, head, MHD_create_response_from_buffer(body.len,
	    (void *)body.data, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result
queue_error(struct request *r, unsigned code, const char *why,
    const char *name, const char *value)
{
	const struct head head = { code, "application/json", name, value };

	if (r->is_post)
		status_operations_refused(r->http->setup.operations, r->route,
		    &r->api, code, why, clock_mono_us());
	status_api_error(&r->answer, code, why);
	return queue_body(r, &head, buf_span(&r->answer.body));
}

static enum MHD_Result
queue_busy(struct request *r, const char *why)
{
	return queue_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, why,
	    "Retry-After", "2");
}

static enum MHD_Result
queue_answer(struct request *r)
{
	struct head head = { r->answer.code, r->answer.type, NULL, NULL };
	struct span body = buf_span(&r->answer.body);
	char tag[STATUS_API_TAG_MAX];

	if (!r->route->post && head.code == MHD_HTTP_OK) {
		status_api_tag(body, tag);
		head.name = "ETag";
		head.value = tag;
		if (status_api_has_tag(header(r, "If-None-Match"), tag)) {
			head.code = MHD_HTTP_NOT_MODIFIED;
			body.len = 0;
		}
	}
	return queue_body(r, &head, body);
}

/* ------------------------------------------------------------------ routes */

static void
run_job(struct status_job *job, bool is_stopping)
{
	struct request *r = (struct request *)job;

	r->is_stopping = is_stopping;
	if (!is_stopping)
		status_api_answer(r->http->setup.source, r->route, &r->api,
		    &r->answer);
	r->is_answered = true;
	MHD_resume_connection(r->connection);
}

static enum MHD_Result
answer_by_job(struct request *r)
{
	if (status_jobs_reserve(r->http->jobs) != 0)
		return queue_busy(r, "too many requests at once");
	r->job.run = run_job;
	MHD_suspend_connection(r->connection);
	status_jobs_add(r->http->jobs, &r->job);
	return MHD_YES;
}

static enum MHD_Result
answer_stream(struct request *r, bool is_head)
{
	const struct head head = { MHD_HTTP_OK, "text/event-stream",
	    "X-Accel-Buffering", "no" };
	struct span types = status_api_argument(&r->api, "types");

	if (is_head)
		return queue_body(r, &head, SPAN(""));
	r->stream = status_stream_open(&r->http->streams, r->connection,
	    header(r, "Last-Event-ID"), types);
	if (r->stream == NULL)
		return queue_busy(r, "too many streams of events are open");
	return queue(r, &head, status_stream_response(r->stream));
}

static enum MHD_Result
answer_route(struct request *r, bool is_head)
{
	if (r->route->slow)
		return answer_by_job(r);
	status_api_answer(r->http->setup.source, r->route, &r->api,
	    &r->answer);
	if (r->answer.code == MHD_HTTP_OK && r->route->is_stream)
		return answer_stream(r, is_head);
	return queue_answer(r);
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
answer_file(struct request *r, const struct status_page_file *file)
{
	const struct head head = { MHD_HTTP_OK, file->type, NULL, NULL };

	return queue_body(r, &head, span_of(file->data, file->len));
}

static enum MHD_Result
answer(struct request *r, const char *method, const char *path)
{
	const struct status_page_file *file = find_file(path);
	const struct status_api_route *route = r->route;
	bool post = r->is_post;
	bool is_post = route != NULL && route->post;
	bool is_head = strcmp(method, "HEAD") == 0;
	struct status_guard_request request = {
		.trusted = r->http->setup.trusted,
		.post = post,
		.is_public = file != NULL ||
		    (route != NULL && route->is_public),
		.host = header(r, "Host"),
		.authorization = header(r, "Authorization"),
	};
	const char *why;
	unsigned code;

	if (!post && !is_head && strcmp(method, "GET") != 0)
		return queue_error(r, 405, "weir answers GET, HEAD and POST",
		    "Allow", is_post ? "POST" : "GET, HEAD");
	code = status_guard_check(r->http->setup.guard, &request, &why);
	if (code != 0)
		return queue_error(r, code, why, code == 401 ?
		    "WWW-Authenticate" : NULL, "Bearer realm=\"weir\"");
	if (file == NULL && route == NULL)
		return queue_error(r, 404, "no such path; the page is at /",
		    NULL, NULL);
	if (post != is_post)
		return queue_error(r, 405, post ? "only GET and HEAD here" :
		    "only POST here", "Allow", post ? "GET, HEAD" : "POST");
	return file != NULL ? answer_file(r, file) :
	    answer_route(r, is_head);
}

/* --------------------------------------------------- the library's callbacks */

static struct request *
request_new(struct status_http *h, struct MHD_Connection *c,
    const char *method, const char *path)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->http = h;
	r->connection = c;
	r->client = info == NULL ? NULL : info->socket_context;
	r->answer.code = MHD_HTTP_OK;
	r->answer.type = "application/json";
	buf_init(&r->answer.body, STATUS_API_ANSWER_MAX);
	r->route = status_api_route(span_str(path));
	r->is_post = strcmp(method, "POST") == 0;
	read_request(r, path);
	status_clients_state(&h->clients, r->client, STATUS_CLIENT_BUSY,
	    clock_mono_us());
	return r;
}

static bool
has_body(struct request *r)
{
	const char *length = header(r, "Content-Length");

	return header(r, "Transfer-Encoding") != NULL ||
	    (length != NULL && strcmp(length, "0") != 0);
}

/* The library calls after the head, after the (empty) body, and again when a
 * connection is resumed without an answer. */
static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *path,
    const char *method, const char *version, const char *data, size_t *len,
    void **seen)
{
	struct status_http *h = ctx;
	struct request *r = *seen;

	(void)version;
	(void)data;
	(void)len;
	if (r == NULL) {
		*seen = r = request_new(h, c, method, path);
		if (r == NULL)
			return MHD_NO;
		return has_body(r) ? queue_error(r, 413,
		    "no body is expected here", NULL, NULL) : MHD_YES;
	}
	if (r->is_answered && r->is_stopping)
		return queue_busy(r, "weir is stopping");
	return r->is_answered ? queue_answer(r) : answer(r, method, path);
}

static void
on_completed(void *ctx, struct MHD_Connection *c, void **seen,
    enum MHD_RequestTerminationCode why)
{
	struct status_http *h = ctx;
	struct request *r = *seen;

	(void)c;
	(void)why;
	if (r == NULL)
		return;
	*seen = NULL;
	if (r->answer.then != NULL)
		r->answer.then(h->setup.source);
	status_clients_state(&h->clients, r->client, STATUS_CLIENT_WAITING,
	    clock_mono_us());
	status_stream_close(r->stream);
	buf_release(&r->answer.body);
	free(r);
}

static void
on_connection(void *ctx, struct MHD_Connection *c, void **socket_context,
    enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *fd, *peer;
	struct addr addr = { .family = ADDR_NONE };
	struct status_http *h = ctx;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		status_clients_remove(&h->clients, *socket_context);
		*socket_context = NULL;
		return;
	}
	fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	peer = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (!h->setup.trusted && peer != NULL && peer->client_addr != NULL)
		addr = addr_from_sockaddr(peer->client_addr);
	if (fd != NULL)
		*socket_context = status_clients_add(&h->clients,
		    fd->connect_fd, &addr, clock_mono_us());
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

/* -------------------------------------------------------------------- life */

static void
release(struct status_http *h)
{
	status_jobs_free(h->jobs);
	status_clients_destroy(&h->clients);
	status_streams_destroy(&h->streams);
	free(h);
}

struct status_http *
status_http_start(const struct status_http_setup *setup, int fd,
    struct buf *error)
{
	struct status_http *h = calloc(1, sizeof(*h));

	if (h == NULL)
		goto err;
	h->setup = *setup;
	status_clients_init(&h->clients);
	status_streams_init(&h->streams, setup->source->events,
	    setup->figures);
	h->jobs = status_jobs_start(setup->threads);
	if (h->jobs != NULL)
		h->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
		    MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
		    NULL, on_request, h,
		    MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		    MHD_OPTION_LISTEN_SOCKET, fd,
		    MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		    MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
		    MHD_OPTION_CONNECTION_LIMIT,
		    (unsigned)STATUS_HTTP_CONNECTIONS_MAX,
		    MHD_OPTION_CONNECTION_TIMEOUT,
		    (unsigned)STATUS_HTTP_IDLE_MAX_S,
		    MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		    (size_t)STATUS_HTTP_CONNECTION_MEMORY,
		    MHD_OPTION_END);
	if (h->daemon != NULL)
		return h;
	if (h->jobs != NULL)
		status_jobs_stop(h->jobs);
	release(h);
err:
	buf_append_str(error, "the HTTP threads cannot be started");
	close(fd);
	return NULL;
}

/* The library wants no connection suspended when it is stopped: jobs and
 * streams are ended first, and suspend nothing any more. */
void
status_http_stop(struct status_http *h)
{
	if (h == NULL)
		return;
	status_jobs_stop(h->jobs);
	status_streams_stop(&h->streams);
	MHD_stop_daemon(h->daemon);
	release(h);
}

void
status_http_wake(struct status_http *h, uint64_t now_us)
{
	if (h != NULL)
		status_streams_wake(&h->streams, now_us);
}

void
status_http_check(struct status_http *h, uint64_t now_us)
{
	if (h != NULL)
		status_clients_check(&h->clients, now_us);
}
