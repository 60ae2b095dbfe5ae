/*
 * What driver.c (events in) and driver_execute.c (actions out) share.
 */
#ifndef WEIR_DAEMON_DRIVER_INTERNAL_H
#define WEIR_DAEMON_DRIVER_INTERNAL_H

#include "daemon/driver.h"
#include "net/connect.h"
#include "net/stream.h"
#include "service/spool.h"

struct driver {
	TAILQ_ENTRY(driver) link;
	struct worker *worker;
	struct config *config;		/* the session's */
	const struct config_listener *listener;	/* in config */
	struct session *session;
	struct ulid id;
	struct stream *client, *upstream;
	struct connect_attempt *attempt;
	struct policy_member *member;
	struct record_session *record;
	struct spool *spool;
	struct process_query *process;	/* NULL: answered, or not asked */
	struct loop_timer *timer;
	uint64_t armed_us, dialled_us;
	struct addr client_addr, destination, upstream_local;
	struct addr client_local;	/* what the client's socket connected to */
	struct addr upstream_to;	/* dialled, or being dialled */
	bool client_claimed, upstream_claimed;
	/* Reading of each side: stopped by the session, by the other side's
	 * queue, and in effect. */
	bool paused[2], blocked[2], stopped[2];
	bool policy_full;		/* a policy is behind: the client waits */
	bool ended;
	bool spool_waits;		/* a read, for room in spool_for's queue:
					   the MX's, or the policies' */
	enum session_side spool_for;
	uint64_t spool_offset;
	size_t spool_length;
	struct session_event *queue;	/* to be fed next */
	size_t n_queue, cap_queue;
};

/* driver.c */
void driver_feed(struct driver *d, struct session_event *ev);
void driver_queue(struct driver *d, const struct session_event *ev);
void driver_run(struct driver *d);
void driver_arm(struct driver *d);
void driver_pause(struct driver *d, enum session_side side, bool pause);
void driver_unblock(struct driver *d, enum session_side from);
void driver_end(struct driver *d);
void driver_upstream_release(struct driver *d);
void driver_connected(void *ctx, int fd, const struct addr *local,
	const char *why);

/* driver_process.c: who is the client? */
void driver_process_seek(struct driver *d,
	const struct config_listener *listener, int fd);

/* driver_execute.c */
void driver_execute(struct driver *d, const struct session_actions *actions);
void driver_spool_read(struct driver *d);

#endif
