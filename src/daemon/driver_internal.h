/*
 * What driver.c (events in), driver_execute.c (actions out) and
 * driver_upstream.c (connections to the MX) share.
 */
#ifndef WEIR_DAEMON_DRIVER_INTERNAL_H
#define WEIR_DAEMON_DRIVER_INTERNAL_H

#include "daemon/driver.h"
#include "net/connect.h"
#include "net/dns_confirm.h"
#include "net/stream.h"
#include "service/mx_ticket.h"
#include "service/spool.h"

/* One connection to an MX, from its dial on. */
struct leg {
	struct driver *driver;
	struct stream *stream;
	struct connect_attempt *attempt;
	struct addr destination, local;	/* as dialled, and our end, or where it
					   would be; NONE: not known */
	struct mx_visit *visit;		/* what is measured of it */
	struct mx_ticket *ticket;	/* that let it in; NULL: needs none */
	char why[MX_TICKET_WHY_MAX];	/* it was not let in */
	struct driver_lookup *lookup;	/* what TLS is to show; or NULL */
	struct dns_confirm_query *confirm;	/* its name, before TLS; or NULL */
	uint64_t dialled_us;
	bool claimed;			/* in the loop guard */
};

struct driver {
	TAILQ_ENTRY(driver) link;
	struct worker *worker;
	struct config *config;		/* the session's */
	const struct config_listener *listener;	/* in config */
	struct session *session;
	struct ulid id;
	struct tls_server *client_tls;	/* the listener's; NULL: none */
	struct tls_client *upstream_tls;
	struct stream *client;
	struct leg legs[2];
	struct leg *up, *parked;	/* in use; set aside, or NULL */
	struct mx_view *view;		/* what was measured before, for
					   CONNECT */
	uint32_t min_rtt_us;		/* to the MX; 0: not known */
	struct policy_member *member;
	struct record_session *record;
	struct spool *spool;
	struct process_query *process;	/* NULL: answered, or not asked */
	bool client_is_local;		/* so that it should be known */
	struct loop_timer *timer;
	uint64_t armed_us;
	struct addr client_addr, destination;	/* as the client means it */
	struct addr client_local;	/* what the client's socket connected to */
	char *tls_name, *tls_greeting;	/* asked for, and greeted with; NULL */
	bool client_claimed;
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
void driver_drained(struct driver *d, enum session_side side);
void driver_reading_anew(struct driver *d, enum session_side side);

/* driver_upstream.c */
void driver_legs_init(struct driver *d);
void driver_legs_end(struct driver *d);
void driver_connect(struct driver *d, const struct session_action *a);
void driver_end_upstream(struct driver *d, enum stream_end how);
void driver_keep(struct driver *d, struct session_kept *k);
void driver_park(struct driver *d);
void driver_unpark(struct driver *d);
void driver_leave_parked(struct driver *d, struct span last_words);

/* driver_process.c: who is the client? */
void driver_process_seek(struct driver *d,
	const struct config_listener *listener, int fd);

/* driver_tls.c */
void driver_tls_tell(struct driver *d, enum session_side side,
	const struct tls_info *info, const char *error);
void driver_tls_client(void *ctx, const struct tls_info *info,
	const char *error);	/* of the client's stream */

/* driver_measure.c */
const struct policy_health *driver_measured(struct driver *d,
	const struct session_policy *policies);
void driver_bind_failed(void *leg, const struct addr *source);
enum mx_result driver_measure_failed(int error);
bool driver_measure_enter(struct leg *leg);	/* false: leg->why says why */
void driver_measure_begin(struct leg *leg);
void driver_measure(struct leg *leg, const struct session_action *a);
void driver_measure_end(struct leg *leg);
void driver_record_transaction(struct driver *d, const struct fact *f);
void driver_record_close(struct driver *d, const struct fact *f);

/* driver_verify.c */
void driver_start_tls(struct driver *d, const struct session_action *a);
void driver_tls_learn(struct driver *d, const struct tls_info *info);
void driver_verify(struct driver *d, const struct session_action *a);
void driver_verify_now(struct leg *leg, const struct tls_demand *demand,
	struct tls_verdict *verdict_r);
void driver_verify_release(struct driver *d);

/* driver_lookup.c: what nobody brought. true: SESSION_TLS_VERIFIED will be fed
 * later, unless it is cancelled; false: this is the verdict. */
bool driver_lookup(struct driver *d, const struct session_action *a,
	struct tls_verdict *verdict_r);
void driver_lookup_cancel(struct leg *leg);

/* driver_execute.c */
void driver_execute(struct driver *d, const struct session_actions *actions);
void driver_spool_read(struct driver *d);

#endif
