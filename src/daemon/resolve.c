/*
 * getaddrinfo(3), where blocking does no harm: no worker runs on it.
 */
#include "daemon/resolve.h"

#include <netdb.h>
#include <sys/socket.h>

static int
resolve_listener(struct config_listener *l, struct buf *error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	uint16_t port = l->destination.port;
	int rc = getaddrinfo(l->destination_host, NULL, &hints, &found);

	if (rc != 0) {
		buf_printf(error, "listener \"%s\": destination \"%s\" cannot "
		    "be looked up: %s", l->name, l->destination_host,
		    gai_strerror(rc));
		return -1;
	}
	l->destination = addr_from_sockaddr(found->ai_addr);
	l->destination.port = port;
	freeaddrinfo(found);
	return 0;
}

int
resolve_config(struct config *config, struct buf *error)
{
	size_t i;

	for (i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].destination_host[0] != '\0' &&
		    resolve_listener(&config->listeners[i], error) != 0)
			return -1;
	return 0;
}
