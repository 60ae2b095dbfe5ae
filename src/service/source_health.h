/*
 * Which source addresses are fit to send from: those of the pools and of
 * upstream.source, looked at by the main thread each second and at once when a
 * connection could not be bound, and read by the workers without a lock.
 *
 *	main thread: configure, probe --> flags --> is_usable: any thread
 *	any thread:  failed --> wake(): "probe now" --> main thread
 */
#ifndef WEIR_SERVICE_SOURCE_HEALTH_H
#define WEIR_SERVICE_SOURCE_HEALTH_H

#include "base/buf.h"
#include "base/compiler.h"
#include "config/config.h"
#include "net/source_probe.h"

#define SOURCE_HEALTH_MAX 1024		/* addresses, over all reloads */

struct source_health;

/* How addresses are looked at: source_probe.h, or a test's script. begin and
 * end stand around each round of looks. */
struct source_health_prober {
	void *(*begin)(void *ctx);	/* NULL: not now */
	enum source_probe_result (*look)(void *round, const struct addr *a,
		char why_r[SOURCE_PROBE_WHY_MAX]);
	void (*end)(void *round);
	/* From any thread: have source_health_probe() called soon. */
	void (*wake)(void *ctx);
	void *ctx;
};

/* NULL: no memory. */
struct source_health *source_health_new(
	const struct source_health_prober *prober);
void source_health_free(struct source_health *h);	/* NULL is fine */

/* The prober that asks the kernel; wake and ctx are the caller's. */
struct source_health_prober source_health_prober(void (*wake)(void *ctx),
	void *ctx);

/* ---- main thread */

/* From now on these addresses are looked after. Probes at once. More than
 * SOURCE_HEALTH_MAX: the rest is not looked after, and counts as up. */
void source_health_configure(struct source_health *h, struct config *c);

/* One round; what has changed is logged. */
void source_health_probe(struct source_health *h);

/* ---- any thread */

/* False: it is out, or suspended. What nobody looks after is usable. h: a source_health;
 * NULL: all are. (A config_pool_usable_fn.) */
bool source_health_is_usable(void *h, const struct addr *a);

/* It could not be bound. */
void source_health_failed(struct source_health *h, const struct addr *a);

/**
 * source_health_suspend(h, a, until_wall_us) - take it out by hand.
 *
 * until_wall_us  0: until it is resumed
 *
 * From now on it is not usable, whatever its interface says; connections that
 * stand go on. A reload leaves it so, a restart does not. source_health_probe()
 * ends it when the time has come. Returns 0, or -1: nobody looks after it.
 */
int source_health_suspend(struct source_health *h, const struct addr *a,
	uint64_t until_wall_us) MUSTUSE;

/* 0; 1, it was not suspended; or -1 as above. */
int source_health_resume(struct source_health *h, const struct addr *a)
	MUSTUSE;

/* A connection from it stands, and has ended. */
void source_health_opened(struct source_health *h, const struct addr *a);
void source_health_closed(struct source_health *h, const struct addr *a);

struct source_state {
	bool is_up;
	char why[SOURCE_PROBE_WHY_MAX];	/* when it is out; "" */
	uint64_t since_wall_us;		/* it has been so; 0: not looked at */
	uint64_t open, connections;	/* now, and so far */
	bool is_suspended;		/* by hand, whether up or not */
	uint64_t suspended_until_wall_us;	/* 0: until it is resumed */
};

/* false: it is not looked after (and state_r says up). */
bool source_health_state(struct source_health *h, const struct addr *a,
	struct source_state *state_r);

#endif
