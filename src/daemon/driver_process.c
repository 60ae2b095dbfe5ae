/*
 * Who sends? Asked of the kernel in a thread of its own; the session goes on
 * meanwhile, and hears the answer as an event like any other.
 */
#include "daemon/driver_internal.h"

#include "net/transparent.h"

static void
process_found(void *ctx, const struct policy_process *found)
{
	struct driver *d = ctx;
	struct session_event ev = { .type = SESSION_PROCESS };

	d->process = NULL;
	ev.u.process = found;
	driver_feed(d, &ev);
}

/* Where the client's own socket is connected to. */
static int
server_of(const struct driver *d, const struct config_listener *listener,
    int fd, struct addr *server_r)
{
	switch (listener->mode) {
	case CONFIG_MODE_REDIRECT:
	case CONFIG_MODE_TPROXY:
		*server_r = d->destination;
		return 0;
	case CONFIG_MODE_FIXED:
		return transparent_local(fd, server_r);
	case CONFIG_MODE_PROXY_PROTOCOL:	/* its client is elsewhere */
		break;
	}
	return -1;
}

void
driver_process_seek(struct driver *d, const struct config_listener *listener,
    int fd)
{
	struct process_finder *finder = d->worker->shared->processes;
	bool is_urgent = d->config->n_policies > 0 ||
	    d->config->upstream.reuse_us > 0;
	struct addr server;

	/* Nobody would ask, but for these and the record. */
	if (d->record == NULL && !is_urgent)
		return;
	if (!listener->process || !transparent_is_own_ip(&d->client_addr) ||
	    server_of(d, listener, fd, &server) != 0)
		return;
	d->client_is_local = true;
	if (finder != NULL)
		d->process = process_find(finder, d->worker->loop,
		    &d->client_addr, &server, is_urgent, process_found, d);
}
