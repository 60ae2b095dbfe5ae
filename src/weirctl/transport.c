/*
 * An operator who types weirctl in an incident must not have to guess: each
 * way in which there can be no weir gets its own words. Proxies of the
 * environment are not asked, redirects not followed: whoever is at that address is weir or a mistake.
 */
#include "weirctl/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"

#include "config/config.h"

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 60000L
#define SILENCE_MAX_S 60L	/* of a stream: weir is silent for 15 at most */
#define TOKEN_MAX 1024

struct target {
	char *socket;		/* NULL: by url */
	const char *base;	/* of the URL */
	struct curl_slist *headers;
};

struct sink {
	const struct transport_request *request;
	CURL *curl;
	bool enough;
};

/* ----------------------------------------------------------------- target */

static enum command_exit
socket_of_config(const char *file, char **socket_r)
{
	enum command_exit code = COMMAND_OK;
	struct config *config;
	struct buf errors;

	buf_init(&errors, 0);
	config = config_load(file, &errors);
	if (config == NULL) {
		ctl_error_lines("", buf_span(&errors));
		code = ctl_error(COMMAND_FAILED, "%s cannot be used; say "
		    "--socket PATH instead", file);
	} else if (*config->status.control == '\0') {
		code = ctl_error(COMMAND_FAILED, "%s: status.control is empty,"
		    " so weir has no control socket; use --url", file);
	} else {
		*socket_r = strdup(config->status.control);
	}
	config_unref(config);
	buf_release(&errors);
	return code;
}

static enum command_exit
read_token(const char *file, struct curl_slist **headers_r)
{
	char header[TOKEN_MAX + 64], token[TOKEN_MAX + 1];
	struct span text;
	ssize_t n = -1;
	size_t i;
	int fd;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, token, sizeof token);
	if (n < 0) {
		int why = errno;

		if (fd >= 0)
			close(fd);
		return ctl_error(COMMAND_FAILED, "%s: %s", file,
		    strerror(why));
	}
	close(fd);
	for (text = span_of(token, (size_t)n); text.len > 0 &&
	    text.data[text.len - 1] == '\n';)
		text.len--;
	text = span_trim(text);
	for (i = 0; i < text.len; i++)
		if (text.data[i] < 0x21 || text.data[i] > 0x7e)
			break;
	if (text.len == 0 || text.len > TOKEN_MAX || i < text.len)
		return ctl_error(COMMAND_FAILED, "%s: a token is one word of "
		    "at most %d printable characters", file, TOKEN_MAX);
	(void)snprintf(header, sizeof header, "Authorization: Bearer %.*s",
	    (int)text.len, (const char *)text.data);
	*headers_r = curl_slist_append(NULL, header);
	explicit_bzero(token, sizeof token);
	explicit_bzero(header, sizeof header);
	return COMMAND_OK;
}

static enum command_exit
add_last_id(uint64_t id, struct curl_slist **headers)
{
	struct curl_slist *more;
	char header[64];

	(void)snprintf(header, sizeof header, "Last-Event-ID: %ju",
	    (uintmax_t)id);
	more = curl_slist_append(*headers, header);
	if (more == NULL)
		return ctl_error(COMMAND_FAILED, "no memory");
	*headers = more;
	return COMMAND_OK;
}

static enum command_exit
find_target(const struct ctl *ctl, struct target *t)
{
	const char *const *given = ctl->values;
	const char *url = given[CTL_OPTION_URL];

	*t = (struct target){ .base = "http://localhost" };
	if (url != NULL) {
		if (strncmp(url, "http://", 7) != 0 &&
		    strncmp(url, "https://", 8) != 0)
			return ctl_error(COMMAND_USAGE, "--url %s: write "
			    "http://HOST:PORT", url);
		t->base = url;
	} else if (given[CTL_OPTION_SOCKET] != NULL) {
		t->socket = strdup(given[CTL_OPTION_SOCKET]);
	} else if (given[CTL_OPTION_CONFIG] != NULL) {
		return socket_of_config(given[CTL_OPTION_CONFIG], &t->socket);
	} else {
		t->socket = strdup(CTL_SOCKET);
	}
	if (given[CTL_OPTION_TOKEN_FILE] == NULL)
		return COMMAND_OK;
	return read_token(given[CTL_OPTION_TOKEN_FILE], &t->headers);
}

/* ----------------------------------------------------------------- errors */

static enum command_exit
explain_socket(const char *path, long why)
{
	static const char next[] = "start it, or say where it is with "
	    "--socket PATH or -c WEIR.CONF";

	if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return ctl_error(COMMAND_UNREACHABLE, "weir is not running: "
		    "there is no socket at %s; %s", path, next);
	if (why == EACCES || why == EPERM || access(path, W_OK) != 0)
		return ctl_error(COMMAND_UNREACHABLE, "permission denied for "
		    "%s: it is for root and for the user that weir runs as; "
		    "try sudo weirctl", path);
	if (why == ECONNREFUSED)
		return ctl_error(COMMAND_UNREACHABLE, "weir is not running: "
		    "nobody listens at %s; %s", path, next);
	return ctl_error(COMMAND_UNREACHABLE, "%s: %s; %s", path,
	    why == 0 ? "cannot connect" : strerror((int)why), next);
}

static enum command_exit
explain(const struct target *t, CURLcode rc, long why, const char *text)
{
	const char *where = t->socket != NULL ? t->socket : t->base;

	switch (rc) {
	case CURLE_COULDNT_CONNECT:
		if (t->socket != NULL)
			return explain_socket(t->socket, why);
		return ctl_error(COMMAND_UNREACHABLE, "no weir at %s: %s; see "
		    "status.address in its weir.conf", where,
		    why != 0 ? strerror((int)why) : text);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_URL_MALFORMAT:
		return ctl_error(COMMAND_USAGE, "%s: %s", where, text);
	case CURLE_OPERATION_TIMEDOUT:
		return ctl_error(COMMAND_UNREACHABLE, "weir at %s does not "
		    "answer in time: %s", where, text);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return ctl_error(COMMAND_UNREACHABLE, "the connection to weir "
		    "at %s broke: %s", where, text);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:	/* not HTTP/1 */
	case CURLE_HTTP2:
		return ctl_error(COMMAND_UNREACHABLE, "what answers at %s is "
		    "not weir: %s", where, text);
	default:
		return ctl_error(COMMAND_UNREACHABLE, "%s: %s", where, text);
	}
}

/* ---------------------------------------------------------------- request */

static size_t
on_bytes(char *bytes, size_t one, size_t n, void *ctx)
{
	struct sink *sink = ctx;
	long code = 0;

	curl_easy_getinfo(sink->curl, CURLINFO_RESPONSE_CODE, &code);
	if (sink->request->on_body(sink->request->ctx, (unsigned)code,
	    span_of(bytes, one * n)))
		return one * n;
	sink->enough = true;
	return 0;
}

static CURLcode
set_up(CURL *curl, const struct target *t, struct sink *sink, const char *url,
    char *error)
{
	const struct transport_request *r = sink->request;
	CURLcode rc = CURLE_OK;

#define SET(option, value) \
	rc = rc != CURLE_OK ? rc : curl_easy_setopt(curl, option, value)
	SET(CURLOPT_ERRORBUFFER, error);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERAGENT, "weirctl/" PACKAGE_VERSION);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TIMEOUT_MS, r->forever ? 0L : ANSWER_TIMEOUT_MS);
	if (r->forever) {
		SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
		SET(CURLOPT_LOW_SPEED_TIME, SILENCE_MAX_S);
	}
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTPHEADER, t->headers);
	if (t->socket != NULL)
		SET(CURLOPT_UNIX_SOCKET_PATH, t->socket);
	if (r->post) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, "");
	}
	SET(CURLOPT_WRITEFUNCTION, on_bytes);
	SET(CURLOPT_WRITEDATA, (void *)sink);
#undef SET
	return rc;
}

static enum command_exit
request_target(const struct target *t, const struct transport_request *r,
    unsigned *code_r)
{
	struct sink sink = { .request = r, .curl = curl_easy_init() };
	char error[CURL_ERROR_SIZE] = "";
	enum command_exit exit = COMMAND_OK;
	long why = 0, code = 0;
	struct buf url;
	CURLcode rc = CURLE_OUT_OF_MEMORY;

	buf_init(&url, 0);
	buf_append_str(&url, t->base);
	while (buf_len(&url) > 0 &&
	    buf_span(&url).data[buf_len(&url) - 1] == '/')
		buf_truncate(&url, buf_len(&url) - 1);
	buf_append_str(&url, r->path);
	buf_append_byte(&url, '\0');
	if (sink.curl != NULL && !buf_failed(&url))
		rc = set_up(sink.curl, t, &sink,
		    (const char *)buf_span(&url).data, error);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(sink.curl);
	if (sink.curl != NULL) {
		curl_easy_getinfo(sink.curl, CURLINFO_RESPONSE_CODE, &code);
		curl_easy_getinfo(sink.curl, CURLINFO_OS_ERRNO, &why);
	}
	*code_r = (unsigned)code;
	if (rc != CURLE_OK && !sink.enough)
		exit = r->quiet ? COMMAND_UNREACHABLE : explain(t, rc, why,
		    *error != '\0' ? error : curl_easy_strerror(rc));
	curl_easy_cleanup(sink.curl);
	buf_release(&url);
	return exit;
}

enum command_exit
transport_run(const struct ctl *ctl, const struct transport_request *request,
    unsigned *code_r)
{
	enum command_exit exit;
	struct target t;

	exit = find_target(ctl, &t);
	if (exit == COMMAND_OK && request->last_id != 0)
		exit = add_last_id(request->last_id, &t.headers);
	if (exit == COMMAND_OK)
		exit = request_target(&t, request, code_r);
	free(t.socket);
	curl_slist_free_all(t.headers);
	return exit;
}
