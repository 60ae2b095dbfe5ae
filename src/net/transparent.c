/*
 * The kernel's NAT keeps where a redirected connection was going. Asked about
 * a connection that was made to weir directly, some kernels fail and some
 * answer with weir's own address: both mean "none", or weir would call itself.
 */
#include "net/transparent.h"
#include "base/clock.h"
#include <ifaddrs.h>
#include <netinet/in.h>		/* before the kernel's, which give way */
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netfilter_ipv4.h>

#ifndef IP6T_SO_ORIGINAL_DST
#define IP6T_SO_ORIGINAL_DST 80	/* linux/netfilter_ipv6/ip6_tables.h, which
				   does not go with netinet/in.h */
#endif
#define CACHE_US CLOCK_US_PER_S
#define CACHE_MAX 64

int
transparent_set(int fd, bool on)
{
	int value = on, family;
	socklen_t len = sizeof(family);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) != 0)
		return -1;
	return family == AF_INET6 ?
	    setsockopt(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, &value,
	    sizeof(value)) :
	    setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &value, sizeof(value));
}

bool
transparent_is_allowed(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool allowed = fd != -1 && transparent_set(fd, true) == 0;

	if (fd != -1)
		close(fd);
	return allowed;
}

int
transparent_local(int fd, struct addr *local_r)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -1;
	*local_r = addr_from_sockaddr((struct sockaddr *)&ss);
	return local_r->family == ADDR_NONE ? -1 : 0;
}

int
transparent_original(int fd, struct addr *destination_r)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr local, original;
	int rc;

	if (transparent_local(fd, &local) != 0)
		return -1;
	if (local.family == ADDR_IPV4)
		rc = getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, &ss, &len);
	else
		rc = getsockopt(fd, IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, &ss,
		    &len);
	if (rc != 0)
		return -1;
	original = addr_from_sockaddr((struct sockaddr *)&ss);
	if (original.family == ADDR_NONE || addr_eq(&original, &local))
		return -1;
	*destination_r = original;
	return 0;
}

/* Calls with a machine's many addresses are answered from the list itself;
 * the usual few are remembered, per thread, since this is asked for each
 * connection. */
struct own_ips {
	uint64_t read_us;	/* 0: never */
	size_t count;		/* CACHE_MAX + 1: too many to remember */
	struct addr ips[CACHE_MAX];
};

static bool
read_own_ips(struct own_ips *own, const struct addr *wanted)
{
	struct ifaddrs *list, *i;
	struct addr ip;
	bool found = false;

	own->count = 0;
	if (getifaddrs(&list) != 0)
		return false;
	for (i = list; i != NULL; i = i->ifa_next) {
		if (i->ifa_addr == NULL)
			continue;
		ip = addr_from_sockaddr(i->ifa_addr);
		if (ip.family == ADDR_NONE)
			continue;
		found = found || addr_eq_ip(&ip, wanted);
		if (own->count < CACHE_MAX)
			own->ips[own->count] = ip;
		if (own->count <= CACHE_MAX)
			own->count++;
	}
	freeifaddrs(list);
	own->read_us = clock_mono_us();
	return found;
}

bool
transparent_is_own_ip(const struct addr *a)
{
	static _Thread_local struct own_ips own;
	size_t i;

	if (addr_is_loopback(a))
		return true;
	if (own.read_us == 0 || own.count > CACHE_MAX ||
	    clock_mono_us() - own.read_us > CACHE_US)
		return read_own_ips(&own, a);
	for (i = 0; i < own.count; i++) {
		if (addr_eq_ip(&own.ips[i], a))
			return true;
	}
	return false;
}
