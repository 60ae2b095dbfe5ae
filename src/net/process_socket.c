/*
 * An exact look-up, so that the kernel hashes and does not walk: the answer is
 * one socket, or ENOENT. The kernel goes on to listening sockets when there is
 * no connection with these ends; what it gives is therefore compared.
 *
 * A socket of an IPv6 program that is connected to an IPv4 address is found by
 * its IPv4 ends; the answer shows them as mapped addresses.
 */
#include "net/process_socket.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 diag;
};

union reply {
	struct nlmsghdr head;
	uint8_t bytes[8192];
};

int
process_socket_open(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct timeval patience = { .tv_sec = 1 };	/* it never takes any */
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
	    NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
	    sizeof(patience)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
ask(int diag, const struct addr *local, const struct addr *remote)
{
	size_t size = local->family == ADDR_IPV6 ? 16 : 4;
	struct request r = {
		.head = { .nlmsg_len = sizeof(r), .nlmsg_flags = NLM_F_REQUEST,
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY },
		.diag = { .sdiag_protocol = IPPROTO_TCP,
		    .sdiag_family = local->family == ADDR_IPV6 ? AF_INET6 :
		    AF_INET },
	};

	r.diag.id.idiag_sport = htons(local->port);
	r.diag.id.idiag_dport = htons(remote->port);
	memcpy(r.diag.id.idiag_src, local->ip, size);
	memcpy(r.diag.id.idiag_dst, remote->ip, size);
	r.diag.id.idiag_if = local->scope;
	r.diag.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	r.diag.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return send(diag, &r, sizeof(r), 0) == (ssize_t)sizeof(r) ? 0 : -1;
}

static bool
is_end(const struct addr *a, unsigned family, const uint32_t ip[4],
    uint16_t port)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct addr end;

	memcpy(&in6.sin6_addr, ip, sizeof(in6.sin6_addr));
	memcpy(&in.sin_addr, ip, sizeof(in.sin_addr));
	end = addr_from_sockaddr(family == AF_INET6 ?
	    (struct sockaddr *)&in6 : (struct sockaddr *)&in);
	return addr_eq_ip(&end, a) && ntohs(port) == a->port;
}

/* The attributes behind the fixed part. */
static uint64_t
cgroup_of(const struct inet_diag_msg *m, size_t len)
{
	struct rtattr *a = (struct rtattr *)(m + 1);
	uint64_t id = 0;
	unsigned rest = (unsigned)len;

	for (; RTA_OK(a, rest); a = RTA_NEXT(a, rest))
		if (a->rta_type == INET_DIAG_CGROUP_ID &&
		    RTA_PAYLOAD(a) == sizeof(id))
			memcpy(&id, RTA_DATA(a), sizeof(id));
	return id;
}

bool
process_socket_find(int diag, const struct addr *local,
    const struct addr *remote, struct process_socket *found_r)
{
	const struct inet_diag_msg *m;
	union reply r;
	ssize_t n;

	if (diag < 0 || local->family != remote->family ||
	    ask(diag, local, remote) != 0)
		return false;
	/* One question, one answer. */
	n = recv(diag, &r, sizeof(r), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*m)) ||
	    !NLMSG_OK(&r.head, (size_t)n) ||
	    r.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    r.head.nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return false;
	m = NLMSG_DATA(&r.head);
	if (!is_end(local, m->idiag_family, m->id.idiag_src,
	    m->id.idiag_sport) || !is_end(remote, m->idiag_family,
	    m->id.idiag_dst, m->id.idiag_dport) || m->idiag_inode == 0)
		return false;
	found_r->uid = m->idiag_uid;
	found_r->inode = m->idiag_inode;
	found_r->cgroup = cgroup_of(m, r.head.nlmsg_len -
	    NLMSG_LENGTH(sizeof(*m)));
	return true;
}
