/*
 * All or nothing: a reload that cannot open one listener changes none. Where
 * the address stays each worker keeps its socket: to close one resets every
 * connection that waits in it to be accepted, and without root's privileges it
 * might not be had again.
 */
#include "daemon/sockets.h"

#include "net/transparent.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKETS_BACKLOG 4096

static int
one_open(const struct config_listener *c, struct addr *address,
    struct worker_socket *socket_r, struct buf *error)
{
	char why[256];

	socket_r->fd = listen_socket(address, SOCKETS_BACKLOG, address, why,
	    sizeof(why));
	if (socket_r->fd < 0) {
		buf_printf(error, "listener \"%s\": %s", c->name, why);
		return -1;
	}
	/* At once: until then the kernel hands it nothing. */
	if (c->mode == CONFIG_MODE_TPROXY &&
	    transparent_set(socket_r->fd, true) != 0) {
		buf_printf(error, "listener \"%s\": mode = tproxy: %s",
		    c->name, strerror(errno));
		return -1;
	}
	return 0;
}

/* One listener, for every worker; kept: the workers have its sockets. */
static int
listener_open(const struct config_listener *c, struct addr *address,
    int activated, bool kept, struct sockets *s, struct buf *error)
{
	size_t i;

	/* A worker that has the socket already makes it transparent itself, but
	 * a reload must not fail there. */
	if (c->mode == CONFIG_MODE_TPROXY && !transparent_is_allowed()) {
		buf_printf(error, "listener \"%s\": mode = tproxy needs "
		    "CAP_NET_ADMIN, which weir does not have: start it as "
		    "root, or by the unit file", c->name);
		return -1;
	}
	for (i = 0; i < s->n_workers; i++) {
		struct worker_sockets *w = &s->workers[i];
		struct worker_socket *socket = &w->list[w->n];

		socket->name = strdup(c->name);
		socket->fd = activated;
		socket->shared = activated >= 0;
		if (socket->name == NULL) {
			buf_append_str(error, "no memory");
			return -1;
		}
		w->n++;
		if (activated < 0 && !kept &&
		    one_open(c, address, socket, error) != 0)
			return -1;
		socket->bound = *address;
	}
	return 0;
}

static void
listener_log(const struct config_listener *c, const struct addr *bound)
{
	static const char *const modes[] = {
		[CONFIG_MODE_REDIRECT] = "redirect",
		[CONFIG_MODE_TPROXY] = "tproxy",
		[CONFIG_MODE_PROXY_PROTOCOL] = "proxy-protocol",
		[CONFIG_MODE_FIXED] = "fixed",
	};
	char text[ADDR_TEXT_MAX];

	log_event(LOG_INFO, "listener.open", "listener=%s address=%s mode=%s",
	    c->name, addr_format_port(bound, text), modes[c->mode]);
}

/* No two listeners have the same address; but many may ask for any port. */
static bool
is_same(const struct config_listener *a, const struct config_listener *b)
{
	return addr_eq(&a->address, &b->address) &&
	    (a->address.port != 0 || strcmp(a->name, b->name) == 0);
}

/* What the same listener had before goes on: its port, its sockets. Returns
 * whether there was one. */
static bool
listener_inherit(struct sockets *s, size_t i, const struct config_listener *c,
    const struct sockets *before, const struct config *before_config)
{
	bool kept = false;
	size_t k;

	s->bound[i] = c->address;
	s->activated[i] = listen_activated(&c->address, c->name);
	for (k = 0; before != NULL && k < before->n_bound; k++) {
		if (!is_same(&before_config->listeners[k], c))
			continue;
		s->bound[i] = before->bound[k];
		if (s->activated[i] < 0)
			s->activated[i] = before->activated[k];
		kept = true;
	}
	return kept;
}

int
sockets_open(const struct config *config, size_t n_workers,
    const struct sockets *before, const struct config *before_config,
    struct sockets *s, struct buf *error)
{
	size_t i;
	bool kept;

	*s = (struct sockets){ .n_workers = n_workers,
	    .n_bound = config->n_listeners };
	s->workers = calloc(n_workers, sizeof(*s->workers));
	s->bound = calloc(s->n_bound, sizeof(*s->bound));
	s->activated = calloc(s->n_bound, sizeof(*s->activated));
	if (s->workers == NULL || s->bound == NULL || s->activated == NULL)
		goto failed;
	for (i = 0; i < n_workers; i++) {
		s->workers[i].list = calloc(s->n_bound,
		    sizeof(*s->workers[i].list));
		if (s->workers[i].list == NULL)
			goto failed;
	}
	for (i = 0; i < s->n_bound; i++) {
		const struct config_listener *c = &config->listeners[i];

		kept = listener_inherit(s, i, c, before, before_config);
		if (listener_open(c, &s->bound[i], s->activated[i], kept, s,
		    error) != 0)
			goto failed;
		if (!kept)
			listener_log(c, &s->bound[i]);
	}
	return 0;

failed:
	if (buf_len(error) == 0)
		buf_append_str(error, "no memory");
	sockets_release(s, true);
	return -1;
}

void
sockets_release(struct sockets *s, bool with_fds)
{
	size_t i, k;

	for (i = 0; s->workers != NULL && i < s->n_workers; i++) {
		struct worker_sockets *w = &s->workers[i];

		for (k = 0; with_fds && k < w->n; k++) {
			if (!w->list[k].shared && w->list[k].fd >= 0)
				close(w->list[k].fd);
			free(w->list[k].name);
		}
		if (with_fds)
			free(w->list);
	}
	free(s->workers);
	free(s->bound);
	free(s->activated);
	*s = (struct sockets){ 0 };
}
