/*
 * What weir measures of the MXs, per source address and group of MXs
 * (mx/group.h): the evidence in Connect.health.
 *
 *	a connection:  begin -> greeted -> judged ... -> end     (any worker)
 *	CONNECT:       view                                      (any worker)
 *
 * One table for all workers, in shards by group, each behind a mutex that is
 * held for a few hundred nanoseconds once per connection, greeting and
 * transaction. Tables per worker would need as many locks at each CONNECT to
 * be read together, and this is where they are read.
 *
 * Bounded: MX_HEALTH_PAIRS pairs of source and group, as many destinations
 * whose group is known; the least recently used leave. Nothing survives a
 * restart: evidence is young, and the record has the past.
 */
#ifndef WEIR_SERVICE_MX_HEALTH_H
#define WEIR_SERVICE_MX_HEALTH_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "policy/event.h"

#define MX_HEALTH_PAIRS 4096
#define MX_HEALTH_SOURCES_MAX 64	/* of one group, in one view */

struct mx_health;

struct mx_health *mx_health_new(void);	/* NULL: no memory */
void mx_health_free(struct mx_health *h);	/* after the last visit */

/* ---- from any thread; now_us is monotonic */

/* One connection to an MX. All accept NULL. */
struct mx_visit;

/* It stands. source: our end; its port does not count. NULL: no memory, or h
 * is NULL. */
struct mx_visit *mx_visit_begin(struct mx_health *h,
	const struct addr *source, const struct addr *destination);

/* The MX's greeting: from now on the session is open, and the destination is
 * of the group that it names. A refusal counts as a refused transaction. */
void mx_visit_greeted(struct mx_visit *v, const struct policy_reply *greeting,
	uint64_t now_us);

/* The MX has decided on a transaction. heard: it had the content. */
void mx_visit_judged(struct mx_visit *v, const struct policy_reply *reply,
	bool heard, uint64_t data_reply_us, uint64_t now_us);

void mx_visit_end(struct mx_visit *v);

/* There was no connection: counts as a deferral, for the group that is known
 * or its network. source NONE: nobody knows from where, nothing is counted. */
void mx_health_unreached(struct mx_health *h, const struct addr *source,
	const struct addr *destination, uint64_t now_us);

/* What is known of a destination. health points into it: one free(). */
struct mx_view {
	struct policy_health health;
	char group[128];
	struct policy_source_health sources[];
};

/* NULL: nothing. */
struct mx_view *mx_health_view(struct mx_health *h,
	const struct addr *destination, uint64_t now_us);

/* [{"group", "sources": [...]}, ...]: everything, for the status API. */
void mx_health_json(struct buf *out, struct mx_health *h, uint64_t now_us);

/* The same of the MX_HEALTH_TOP that matter most: the worst states first, of
 * one state the busiest. */
#define MX_HEALTH_TOP 30
void mx_health_top_json(struct buf *out, struct mx_health *h, uint64_t now_us);

/* How many are in each state: names that mail brings are no labels. */
void mx_health_prometheus(struct buf *out, struct mx_health *h,
	uint64_t now_us);

#endif
