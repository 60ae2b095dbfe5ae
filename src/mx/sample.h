/*
 * What one transaction taught about an MX: the currency of deliverability. The
 * session measures, the driver adds what the kernel knows; detectors, series
 * and the record read.
 *
 * A connection that came to nothing, or carried no transaction, is a sample of
 * its own.
 */
#ifndef WEIR_MX_SAMPLE_H
#define WEIR_MX_SAMPLE_H

#include "base/addr.h"
#include "mx/reply.h"

/* The phases of a session with an MX, in their order. Each lasts from when
 * the MX had all that it needed to when its reply was there. */
enum mx_phase {
	MX_PHASE_CONNECT,	/* SYN to the connection */
	MX_PHASE_GREETING,	/* the connection to 220 */
	MX_PHASE_EHLO,		/* EHLO, the first one, to 250 */
	MX_PHASE_TLS,		/* STARTTLS to the end of the handshake */
	MX_PHASE_MAIL,
	MX_PHASE_RCPT,		/* of the slowest RCPT */
	MX_PHASE_DATA,		/* DATA to 354 */
	MX_PHASE_BODY,		/* 354 to the final dot: the client's pace and
				   the network's as well */
	MX_PHASE_FINAL,		/* the final dot to its reply */
	MX_PHASE_QUIT,
	MX_PHASE_COUNT
};

const char *mx_phase_name(enum mx_phase p);	/* "greeting" */

enum mx_result {
	MX_RESULT_DELIVERED,
	MX_RESULT_DEFERRED,	/* 4xx */
	MX_RESULT_REJECTED,	/* 5xx */
	MX_RESULT_NONE,		/* nothing was asked of it: no transaction */
	/* of the connection: */
	MX_RESULT_REFUSED,	/* RST, or an ICMP error */
	MX_RESULT_TIMED_OUT,	/* no connection, or no reply in time */
	MX_RESULT_CLOSED,	/* it hung up without the reply that was due */
	MX_RESULT_COUNT
};

const char *mx_result_name(enum mx_result r);	/* "timed_out" */

/* All of it is valid during the call that gets it only. */
struct mx_sample {
	uint64_t now_us;		/* monotonic, when it ended */
	uint64_t wall_us;		/* since 1970 */
	struct addr source;		/* weir's own; the port does not count */
	struct addr destination;
	const char *group;		/* mx/group.h */
	struct span sender_domain;	/* lower case; empty: <> or none */
	struct span recipient_domain;	/* of its first recipient; likewise */
	const char *session;		/* its id; NULL: not known */
	uint64_t contact;		/* a hash of its sender and first
					   recipient; 0: not known */
	enum mx_result result;
	enum mx_category category;	/* of the reply that decided it */
	unsigned code;			/* of that reply; 0: there was none */
	struct span enhanced;		/* its enhanced code, "5.7.1"; or empty */
	struct span text;		/* of its first line, behind the codes */
	uint64_t size;			/* octets of content that it was sent */
	/* 0: not in this sample. Phases up to TLS are in a connection's first
	 * one, QUIT is in one of its own (MX_RESULT_NONE). */
	uint64_t phase_us[MX_PHASE_COUNT];
	uint32_t min_rtt_us;		/* the network's share of each reply;
					   0: the kernel does not say */
};

#endif
