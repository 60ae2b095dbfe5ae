/*
 * The page shows who writes to whom, and POST can stop the proxy, so:
 *
 *	                    loopback binding          any other binding
 *	page, health        Host check                open
 *	GET of data         Host check                token
 *	POST                token                     token
 *
 * A browser on this host reaches the loopback, and with it any web site that
 * points its own name there (DNS rebinding); but it cannot lie about the name
 * in Host. Addresses cannot be rebound, so they pass. A token is something
 * that such a site does not have. The control socket is guarded by its mode.
 */
#include "service/status_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define STATUS_GUARD_TOKEN_MAX 1024

static int
read_token(struct status_guard *g, const char *file, struct buf *error)
{
	struct span token;
	struct stat st;
	ssize_t n = -1;
	uint8_t *room;
	int fd;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	room = buf_reserve(&g->token, STATUS_GUARD_TOKEN_MAX + 1);
	if (fd >= 0 && room != NULL)
		n = read(fd, room, STATUS_GUARD_TOKEN_MAX + 1);
	if (n < 0) {
		buf_printf(error, "status.token_file %s: %s", file,
		    strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (fstat(fd, &st) == 0 && (st.st_mode & 07) != 0)
		log_event(LOG_WARNING, "status.token", "error=\"the token file"
		    " is open to everybody: chmod o= it\"");
	close(fd);
	buf_commit(&g->token, (size_t)n);
	while ((token = buf_span(&g->token)).len > 0 &&
	    strchr(" \t\r\n", token.data[0]) != NULL)
		buf_consume(&g->token, 1);
	while (token.len > 0 &&
	    strchr(" \t\r\n", token.data[token.len - 1]) != NULL)
		token.len--;
	buf_truncate(&g->token, token.len);
	if (token.len == 0 || token.len > STATUS_GUARD_TOKEN_MAX) {
		buf_printf(error, "status.token_file %s: it must hold 1 to %d "
		    "bytes; make one with: openssl rand -hex 32", file,
		    STATUS_GUARD_TOKEN_MAX);
		return -1;
	}
	return 0;
}

int
status_guard_init(struct status_guard *g, const struct addr *bound,
    const char *token_file, struct buf *error)
{
	char text[ADDR_TEXT_MAX];

	g->bound = *bound;
	buf_init(&g->token, 0);
	if (*token_file != '\0') {
		if (read_token(g, token_file, error) == 0)
			return 0;
		buf_release(&g->token);
		return -1;
	}
	if (bound->family == ADDR_NONE || addr_is_loopback(bound))
		return 0;
	buf_printf(error, "status.address %s can be reached from outside: set "
	    "status.token_file to a file with a secret, or listen on "
	    "127.0.0.1", addr_format_port(bound, text));
	return -1;
}

void
status_guard_release(struct status_guard *g)
{
	struct span token = buf_span(&g->token);

	if (token.len > 0)
		explicit_bzero(g->token.mem + g->token.start, token.len);
	buf_release(&g->token);
}

/* In a time that depends on the length of what was sent only. */
static bool
is_token(const struct status_guard *g, struct span given)
{
	struct span token = buf_span(&g->token);
	unsigned differs = given.len != token.len;
	size_t i;

	if (token.len == 0)
		return false;
	for (i = 0; i < given.len; i++)
		differs |= (unsigned)(given.data[i] ^
		    token.data[i % token.len]);
	return differs == 0;
}

static bool
has_token(const struct status_guard *g, const char *authorization)
{
	struct span given = span_str(authorization);

	return span_starts_nocase(given, SPAN("Bearer ")) &&
	    is_token(g, span_trim(span_skip(given, strlen("Bearer "))));
}

/* A name of the loopback, or any address. */
static bool
is_host_fine(const char *host)
{
	struct span s = span_trim(span_str(host));
	struct addr addr;
	size_t len, colon;

	if (s.len > 0 && s.data[0] == '[') {
		len = span_find(s, ']');
		return len < s.len &&
		    addr_parse(span_take(span_skip(s, 1), len - 1), &addr) == 0
		    && addr.family == ADDR_IPV6;
	}
	colon = span_find(s, ':');
	s = span_take(s, colon);
	return span_eq_nocase(s, SPAN("localhost")) ||
	    span_eq_nocase(s, SPAN("localhost.")) ||
	    (addr_parse(s, &addr) == 0 && addr.family == ADDR_IPV4);
}

unsigned
status_guard_check(const struct status_guard *g,
    const struct status_guard_request *r, const char **why_r)
{
	bool given = r->authorization != NULL;

	if (r->trusted || (given && has_token(g, r->authorization)))
		return 0;
	*why_r = "this token is not the one in status.token_file";
	if (given && g->token.end > g->token.start)
		return 401;
	if (addr_is_loopback(&g->bound)) {
		*why_r = "the Host header must be localhost or an address, "
		    "unless a token is sent";
		if (r->host == NULL || !is_host_fine(r->host))
			return 403;
		if (!r->post)
			return 0;
	} else if (r->is_public && !r->post) {
		return 0;
	}
	if (g->token.end == g->token.start) {
		*why_r = "over TCP this needs a token: set status.token_file, "
		    "or use the control socket";
		return 403;
	}
	*why_r = "this needs the header \"Authorization: Bearer TOKEN\" with "
	    "the content of status.token_file";
	return 401;
}
