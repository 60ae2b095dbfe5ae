/*
 * bind(2) says whether the machine has an address; whether anything would
 * leave from there is the interface's business, and an IPv4 address stays
 * bound to one that is down. So both are looked at.
 */
#include "net/source_probe.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <linux/if.h>
#include <unistd.h>

#include "net/reason.h"

struct source_probe {
	struct ifaddrs *list;
};

struct source_probe *
source_probe_new(void)
{
	struct source_probe *p = calloc(1, sizeof(*p));

	if (p != NULL && getifaddrs(&p->list) != 0) {
		free(p);
		return NULL;
	}
	return p;
}

void
source_probe_free(struct source_probe *p)
{
	if (p == NULL)
		return;
	freeifaddrs(p->list);
	free(p);
}

/* The port is not chosen before connect(2): none is used up here. */
static int
try_bind(const struct addr *a)
{
	struct sockaddr_storage ss;
	struct addr any_port = *a;
	socklen_t len;
	int on = 1, error = 0, fd;

	any_port.port = 0;
	len = (socklen_t)addr_to_sockaddr(&any_port, &ss);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return errno;
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
	    sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, len) != 0)
		error = errno;
	close(fd);
	return error;
}

/* NULL, or the interface that has it and is down or without a carrier. */
static const struct ifaddrs *
dead_interface(const struct source_probe *p, const struct addr *a)
{
	const struct ifaddrs *i, *dead = NULL;
	struct addr have;

	for (i = p->list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL)
			continue;
		have = addr_from_sockaddr(i->ifa_addr);
		if (have.family == ADDR_NONE || !addr_eq_ip(&have, a))
			continue;
		if ((i->ifa_flags & IFF_UP) && (i->ifa_flags & IFF_RUNNING))
			return NULL;
		dead = i;
	}
	return dead;
}

enum source_probe_result
source_probe_look(const struct source_probe *p, const struct addr *a,
    char why_r[SOURCE_PROBE_WHY_MAX])
{
	const struct ifaddrs *dead;
	int error = try_bind(a);

	if (error == EMFILE || error == ENFILE || error == ENOMEM ||
	    error == ENOBUFS)
		return SOURCE_PROBE_UNKNOWN;
	if (error != 0) {
		snprintf(why_r, SOURCE_PROBE_WHY_MAX, "cannot be bound: %s",
		    reason_errno(error));
		return SOURCE_PROBE_OUT;
	}
	dead = dead_interface(p, a);
	if (dead == NULL)
		return SOURCE_PROBE_UP;
	snprintf(why_r, SOURCE_PROBE_WHY_MAX, "interface %s %s",
	    dead->ifa_name, dead->ifa_flags & IFF_UP ? "has no carrier" :
	    "is down");
	return SOURCE_PROBE_OUT;
}
