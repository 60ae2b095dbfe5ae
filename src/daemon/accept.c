/*
 * In mode proxy-protocol a connection first says in a header whose it is. Until
 * then it is no session, but it counts as one against limits.connections. It
 * may outlive its listener: a reload keeps the socket and makes the listener
 * anew, so it is found again by its name.
 */
#include "daemon/accept.h"

#include "daemon/driver.h"
#include "net/proxy_read.h"
#include "net/transparent.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One line a second says that the limit is reached; a counter says how often. */
#define OVER_LIMIT_LOG_US CLOCK_US_PER_S

/* One whose header is awaited. */
struct accept {
	TAILQ_ENTRY(accept) link;
	struct worker *worker;
	struct proxy_read *read;
	struct addr peer;		/* the proxy */
	char listener[];		/* its name */
};

static bool
is_allowed(const struct config_listener *c, const struct addr *peer)
{
	size_t i;

	for (i = 0; i < c->n_allow; i++)
		if (addr_prefix_has(&c->allow[i], peer))
			return true;
	return false;
}

static bool
has_allow(const struct config_listener *c)
{
	return c->mode == CONFIG_MODE_FIXED ||
	    c->mode == CONFIG_MODE_PROXY_PROTOCOL;
}

/* ------------------------------------------------------------ being refused */

static void
log_refused(const char *listener, const struct addr *client, const char *why)
{
	char text[ADDR_TEXT_MAX];

	log_event(LOG_WARNING, "session.refused",
	    "listener=%s client=%s reason=\"%s\"", listener,
	    addr_format_port(client, text), why);
}

static void
log_over_limit(struct worker_listener *l, const struct addr *client)
{
	struct worker *w = l->worker;
	uint64_t now_us = loop_now_us(w->loop);
	char why[64];

	if (w->over_limit_us != 0 &&
	    now_us - w->over_limit_us < OVER_LIMIT_LOG_US)
		return;
	w->over_limit_us = now_us;
	snprintf(why, sizeof(why), "limits.connections = %u are open",
	    w->config->limits.connections);
	log_refused(l->socket.name, client, why);
}

static void
refuse_over_limit(struct worker *w, int fd)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "421 4.3.2 %s too many "
	    "connections, try again later\r\n", w->config->hostname);

	metrics_add(&w->metrics->counters[METRICS_OVER_LIMIT], 1);
	if (n > 0 && n < (int)sizeof(text))
		send(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* --------------------------------------------------------------- a session */

/* Where the kernel or the configuration says that the client was going. */
static int
find_destination(const struct config_listener *c, int fd,
    struct addr *destination_r)
{
	switch (c->mode) {
	case CONFIG_MODE_FIXED:
		*destination_r = c->destination;
		return 0;
	case CONFIG_MODE_TPROXY:
		return transparent_local(fd, destination_r);
	case CONFIG_MODE_REDIRECT:
		return transparent_original(fd, destination_r);
	default:
		return -1;
	}
}

/* A session, with a 421 where weir does not serve it. */
static void
begin(struct worker *w, const struct config_listener *c, int fd,
    const struct addr *client, const struct addr *destination,
    const char *refuse, enum metrics_counter counter)
{
	if (refuse == NULL && destination->family == ADDR_NONE)
		refuse = "this connection has no original destination";
	else if (refuse == NULL && worker_is_own(w->shared, destination))
		refuse = "the destination of this connection is weir itself";
	if (refuse != NULL) {
		metrics_add(&w->metrics->counters[counter], 1);
		log_refused(c->name, client, refuse);
	}
	driver_accept(w, fd, client, c, destination, refuse);
}

/* -------------------------------------------------------- the PROXY header */

static struct worker *
accept_end(struct accept *a)
{
	struct worker *w = a->worker;

	TAILQ_REMOVE(&w->accepts, a, link);
	atomic_fetch_sub(&w->shared->sessions, 1);
	free(a);
	return w;
}

static bool
is_place(const struct addr *a)
{
	return a->port != 0 && !addr_is_any(a);
}

/* A look after weir's health; of a proxy that has no LOCAL (version 1), a
 * header that calls the proxy's own end of this connection the client. */
static bool
is_check(const struct accept *a, const struct proxy_header *h)
{
	return h->type == PROXY_HEADER_LOCAL ||
	    (h->type == PROXY_HEADER_CLIENT && addr_eq(&h->client, &a->peer));
}

static void
begin_behind_header(struct accept *a, int fd, const struct proxy_header *h)
{
	struct worker *w = a->worker;
	const struct config_listener *c = worker_listener_config(w,
	    a->listener);
	struct addr none = { .family = ADDR_NONE };
	bool known = h->type == PROXY_HEADER_CLIENT;

	if (c == NULL || c->mode != CONFIG_MODE_PROXY_PROTOCOL) {
		log_refused(a->listener, &a->peer,
		    "a reload has taken the listener away");
		close(fd);
		return;
	}
	begin(w, c, fd, known ? &h->client : &a->peer,
	    known && is_place(&h->destination) ? &h->destination : &none,
	    NULL, METRICS_LOOPS);
}

static void
on_header(void *ctx, int fd, const struct proxy_header *h)
{
	struct accept *a = ctx;
	struct worker *w = a->worker;

	if (h->type == PROXY_HEADER_BAD) {
		metrics_add(&w->metrics->counters[METRICS_PROXY_HEADER], 1);
		log_refused(a->listener, &a->peer, h->why);
		close(fd);
	} else if (is_check(a, h))
		close(fd);
	else
		begin_behind_header(a, fd, h);
	worker_idle_check(accept_end(a));
}

static void
await_header(struct worker *w, const struct config_listener *c, int fd,
    const struct addr *peer)
{
	size_t name_size = strlen(c->name) + 1;
	struct accept *a = calloc(1, sizeof(*a) + name_size);

	if (a == NULL) {
		close(fd);
		return;
	}
	a->worker = w;
	a->peer = *peer;
	memcpy(a->listener, c->name, name_size);
	TAILQ_INSERT_TAIL(&w->accepts, a, link);
	atomic_fetch_add(&w->shared->sessions, 1);
	a->read = proxy_read_start(w->loop, fd, c->proxy_timeout_us,
	    on_header, a);
	if (a->read == NULL) {
		log_refused(c->name, peer, "no memory");
		accept_end(a);
	}
}

void
accept_cancel_all(struct worker *w)
{
	struct accept *a;

	while ((a = TAILQ_FIRST(&w->accepts)) != NULL) {
		proxy_read_cancel(a->read);
		accept_end(a);
	}
}

/* --------------------------------------------------------------------- both */

void
accept_connection(void *ctx, int fd, const struct addr *peer)
{
	struct worker_listener *l = ctx;
	struct worker *w = l->worker;
	const struct config_listener *c = l->config;
	struct addr destination = { .family = ADDR_NONE };

	metrics_add(&w->metrics->counters[METRICS_CONNECTIONS], 1);
	if (atomic_load(&w->shared->sessions) >=
	    w->config->limits.connections) {
		log_over_limit(l, peer);
		refuse_over_limit(w, fd);
		return;
	}
	if (find_destination(c, fd, &destination) != 0)
		destination.family = ADDR_NONE;
	if (has_allow(c) && !is_allowed(c, peer))
		begin(w, c, fd, peer, &destination,
		    "this client is not allowed here", METRICS_NOT_ALLOWED);
	else if (c->mode == CONFIG_MODE_PROXY_PROTOCOL)
		await_header(w, c, fd, peer);
	else
		begin(w, c, fd, peer, &destination, NULL, METRICS_LOOPS);
}
