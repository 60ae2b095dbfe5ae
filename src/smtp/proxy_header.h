/*
 * The PROXY protocol: who the client is and where it was going, told by a
 * proxy in the first bytes of a connection. Version 1 is a line of text,
 * version 2 is binary. Pure.
 *
 * Source: doc/proxy-protocol.txt of HAProxy.
 */
#ifndef WEIR_SMTP_PROXY_HEADER_H
#define WEIR_SMTP_PROXY_HEADER_H

#include "base/addr.h"
#include "base/buf.h"

/* A header of version 2 may come to 64 KiB, by additions (TLVs) that weir has
 * no use for; nobody sends as many. */
#define PROXY_HEADER_MAX 8192

enum proxy_header_type {
	PROXY_HEADER_MORE,	/* all of it belongs to the header, and is not
				   the whole of it */
	PROXY_HEADER_CLIENT,	/* client and destination are set */
	PROXY_HEADER_UNKNOWN,	/* a client, but nothing is told of it */
	PROXY_HEADER_LOCAL,	/* no client: the proxy looks after us */
	PROXY_HEADER_BAD,	/* why is set */
};

struct proxy_header {
	enum proxy_header_type type;
	unsigned version;		/* 1 or 2; 0 with MORE and BAD */
	struct addr client, destination;
	const char *why;		/* in words */
};

/**
 * proxy_header_parse(in, h_r) - read the header that `in` begins with.
 *
 * Says MORE until the whole header is there, which takes PROXY_HEADER_MAX
 * bytes at most; the caller then comes again with the same bytes and more.
 * BAD is said as soon as it is seen, and stays with whatever follows. Returns
 * the length of the header, 0 with MORE and BAD.
 */
size_t proxy_header_parse(struct span in, struct proxy_header *h_r);

/**
 * proxy_header_write(out, client, destination) - a header of version 2.
 *
 * Two addresses of different families, or none, are told as UNKNOWN.
 */
void proxy_header_write(struct buf *out, const struct addr *client,
	const struct addr *destination);

#endif
