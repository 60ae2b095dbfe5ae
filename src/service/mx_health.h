/*
 * What weir measures of the MXs, per source address and group of MXs
 * (mx/group.h): the evidence in Connect.health.
 *
 *	a connection:  begin -> greeted -> learn ... -> end      (any worker)
 *	CONNECT:       view                                      (any worker)
 *
 * One table for all workers, in shards by group, each behind a mutex that is
 * held for a few hundred nanoseconds once per connection, greeting and
 * transaction. Tables per worker would need as many locks at each CONNECT to
 * be read together, and this is where they are read.
 *
 * Bounded: MX_HEALTH_PAIRS pairs of source and group, as many destinations
 * whose group is known, MX_DOMAINS recipient domains; the least recently used
 * leave. A pair takes 10 to 16 KB, a domain up to 4: some 70 MB if all are busy.
 * A sample costs about a microsecond, two locks included. Of all this a restart
 * leaves the states, which the record has; figures and what is usual begin anew.
 */
#ifndef WEIR_SERVICE_MX_HEALTH_H
#define WEIR_SERVICE_MX_HEALTH_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "mx/group.h"
#include "mx/sample.h"
#include "policy/event.h"

#define MX_HEALTH_PAIRS 4096
#define MX_HEALTH_SOURCES_MAX 64	/* of one group, in one view */

struct mx_health;

struct mx_health *mx_health_new(void);	/* NULL: no memory */
void mx_health_free(struct mx_health *h);	/* after the last visit */

/* The minutes go there, which outlives h or its last flush. Before the first
 * visit. */
struct record;
void mx_health_keep(struct mx_health *h, struct record *r);

/* Has the record's writer thread read how MXs stood when weir ended: once, after
 * mx_health_keep(). h outlives r. -1: dropped, and counted. */
int mx_health_resume(struct mx_health *h, struct record *r);

/* Who hears of each change of state, behind a lock and from any thread:
 * mx_events_tell(). Before the first visit. */
struct mx_transition;
typedef void mx_health_tell_fn(void *ctx, const struct mx_transition *t);
void mx_health_tell(struct mx_health *h, mx_health_tell_fn *fn, void *ctx);

/* Once a second: what was bad and has not been seen for long is over. */
void mx_health_pass(struct mx_health *h, uint64_t now_us);

/* Once a second: writes down the minutes that are over by that time (since
 * 1970). all: and those that are not. */
void mx_health_flush(struct mx_health *h, uint64_t wall_us, bool all);

/* ---- from any thread; now_us is monotonic */

/* One connection to an MX. All accept NULL. */
struct mx_visit;

/* It stands. source: our end; its port does not count. NULL: no memory, or h
 * is NULL. */
struct mx_visit *mx_visit_begin(struct mx_health *h,
	const struct addr *source, const struct addr *destination);

/* The MX's greeting: from now on the session is open, and the destination is
 * of the group that it names. */
void mx_visit_greeted(struct mx_visit *v, const struct policy_reply *greeting,
	uint64_t now_us);

/* The group's name, while the visit lasts; "": not greeted yet, or v is NULL. */
const char *mx_visit_group(const struct mx_visit *v);

void mx_visit_end(struct mx_visit *v);

/* What is known of a destination: its group, or else its network. */
void mx_health_group(struct mx_health *h, const struct addr *destination,
	char group_r[MX_GROUP_MAX], uint64_t now_us);

/* What a transaction or a connection taught, whole. h may be NULL. */
void mx_health_learn(struct mx_health *h, const struct mx_sample *m);

/* What is known of a destination. health points into it: one free(). */
struct mx_view {
	struct policy_health health;
	char group[128];
	struct policy_source_health sources[];
};

/* NULL: nothing. */
struct mx_view *mx_health_view(struct mx_health *h,
	const struct addr *destination, uint64_t now_us);

/* ---- what the status API shows; wall_us is the same time, since 1970. They
 * copy behind the locks and write without. */

/* [{"group", "source", ...}, ...]: an object for each pair. */
void mx_health_json(struct buf *out, struct mx_health *h, uint64_t now_us,
	uint64_t wall_us);

/* The same of the MX_HEALTH_TOP that matter most: the worst states first, of
 * one state the busiest. */
#define MX_HEALTH_TOP 30
void mx_health_top_json(struct buf *out, struct mx_health *h, uint64_t now_us,
	uint64_t wall_us);

/* One group or recipient domain, with its past in r: an object. 0; 1: nothing
 * is known of it; -1: the record cannot be read, or no memory. */
#define MX_HEALTH_HOURS_MAX (366u * 24)
int mx_health_group_json(struct buf *out, struct mx_health *h,
	struct record *r, struct span group, unsigned hours, uint64_t now_us,
	uint64_t wall_us) MUSTUSE;
int mx_health_domain_json(struct buf *out, struct mx_health *h,
	struct record *r, struct span domain, unsigned hours,
	uint64_t wall_us) MUSTUSE;

/* The recipient domains with most mail, most first: an array. */
void mx_health_domains_json(struct buf *out, struct mx_health *h,
	size_t limit, uint64_t wall_us);

/* Metrics: of all MXs, and of the groups that matter most by name. */
void mx_health_prometheus(struct buf *out, struct mx_health *h,
	uint64_t now_us);

#endif
