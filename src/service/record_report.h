/*
 * What was refused, and why: which behaviour of which sender led to refusals
 * by which MXs. For the status page and weirctl.
 */
#ifndef WEIR_SERVICE_RECORD_REPORT_H
#define WEIR_SERVICE_RECORD_REPORT_H

#include "service/record.h"

#define RECORD_REPORT_MAX_US (UINT64_C(31) * 86400 * CLOCK_US_PER_S)
#define RECORD_REPORT_ROWS_MAX 500

/**
 * record_report(r, out, since_us, limit) - the report from since_us (wall) on.
 *
 * A JSON object: "from" (UTC), "transactions", "delivered", "deferred",
 * "rejected" (transactions), "unreached" (sessions without an MX), and "rows",
 * the most frequent first, at most limit: "sender" (null: there was no MAIL),
 * "mx_group" (null: no MX was told MAIL), "decided_by" (mx, weir, or a
 * policy), "code", "enhanced", "category" (mx/reply.h; also "unreachable",
 * "capped"), "behaviour" (in words), "count", of so many "messages" of that
 * sender to that group, "recipients", "first_at",
 * "last_at", and of one of them "example_text" and "example_session". A message
 * that some of its recipients were refused counts for each of these.
 *
 * 0; or -1: the record cannot be read, or that much not within ten seconds.
 */
int record_report(struct record *r, struct buf *out, uint64_t since_us,
	unsigned limit) MUSTUSE;

#endif
