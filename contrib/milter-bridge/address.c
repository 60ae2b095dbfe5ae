/*
 * Both orders of host and port are in use: port@host is libmilter's and
 * host:port is Postfix's. A name is resolved once, at the start.
 */
#include "milter-bridge/address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char *
parse_unix(const char *path, struct milter_address *address_r)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	if (path[0] != '/')
		return "a unix socket needs its whole path";
	if (strlen(path) >= sizeof sun.sun_path)
		return "the path of the unix socket is too long";
	memcpy(sun.sun_path, path, strlen(path));
	memcpy(&address_r->to, &sun, sizeof sun);
	address_r->length = sizeof sun;
	return NULL;
}

static const char *
resolve(const char *host, const char *port, int family,
    struct milter_address *address_r)
{
	struct addrinfo hints = {
		.ai_family = family, .ai_socktype = SOCK_STREAM,
	}, *found;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return "there is no such host or port";
	memcpy(&address_r->to, found->ai_addr, found->ai_addrlen);
	address_r->length = found->ai_addrlen;
	freeaddrinfo(found);
	return NULL;
}

static const char *
parse_inet(const char *text, int family, struct milter_address *address_r)
{
	char copy[300], *at, *host, *port;
	size_t length;

	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "the host's name is too long";
	at = strchr(copy, '@');
	host = at != NULL ? at + 1 : copy;
	port = at != NULL ? copy : strrchr(copy, ':');
	if (port == NULL)
		return "inet needs port@host or host:port";
	if (at != NULL)
		*at = '\0';
	else
		*port++ = '\0';
	length = strlen(host);
	if (length > 1 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		host++;
	}
	if (host[0] == '\0' || port[0] == '\0')
		return "inet needs both host and port";
	return resolve(host, port, family, address_r);
}

const char *
milter_address_parse(const char *text, struct milter_address *address_r)
{
	*address_r = (struct milter_address){ .text = text };
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, address_r);
	if (strncmp(text, "local:", 6) == 0)
		return parse_unix(text + 6, address_r);
	if (strncmp(text, "inet:", 5) == 0)
		return parse_inet(text + 5, AF_UNSPEC, address_r);
	if (strncmp(text, "inet6:", 6) == 0)
		return parse_inet(text + 6, AF_INET6, address_r);
	return "an address begins with unix: or inet:";
}
