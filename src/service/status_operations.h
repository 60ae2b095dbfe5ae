/*
 * Who has asked weir to do what, and what came of it: a line of the log, an
 * event and a row of the record for each POST. Those that were turned away
 * before anything was done (no token, no such path) are told together where
 * they come often, so that nobody fills the record by asking.
 */
#ifndef WEIR_SERVICE_STATUS_OPERATIONS_H
#define WEIR_SERVICE_STATUS_OPERATIONS_H

#include <pthread.h>

#include "service/status_api.h"

/* So many askers are told apart at a time, and the rest are one more. */
#define STATUS_OPERATIONS_ASKERS 16

/* An asker's first is told at once, then all until that time has passed, which
 * becomes twice as long each time. */
#define STATUS_OPERATIONS_WAIT_S 10
#define STATUS_OPERATIONS_WAIT_MAX_S 640

#define STATUS_OPERATIONS_NAME_MAX 64	/* bytes that are kept of a path */
#define STATUS_OPERATIONS_ARGUMENT_MAX 256
#define STATUS_OPERATIONS_RESULT_MAX 192

struct status_operations_asker {
	char by[STATUS_API_BY_MAX];	/* "": nobody */
	uint64_t n;			/* refused, and not yet told */
	uint64_t wait_us, next_us;	/* monotonic */
	uint64_t wall_us;		/* of the last one, as what follows */
	char operation[STATUS_OPERATIONS_NAME_MAX + 1];
	char argument[STATUS_OPERATIONS_ARGUMENT_MAX + 1];
	char result[STATUS_OPERATIONS_RESULT_MAX + 32];	/* and how often */
};

struct status_operations {
	const struct status_source *source;
	pthread_mutex_t lock;
	/* the last: all others */
	struct status_operations_asker askers[STATUS_OPERATIONS_ASKERS + 1];
};

void status_operations_init(struct status_operations *o,
	const struct status_source *source);

/* Tells what has not been told. */
void status_operations_destroy(struct status_operations *o);

/* It was let in, and this was the answer. From any thread, as all below. */
void status_operations_done(const struct status_source *source,
	const struct status_api_route *route,
	const struct status_api_request *request,
	const struct status_api_answer *answer);

/**
 * status_operations_refused(o, route, request, code, why, now_us) - it was
 * turned away.
 *
 * route  NULL: there is none for its path
 * code   the HTTP status, and why in words
 */
void status_operations_refused(struct status_operations *o,
	const struct status_api_route *route,
	const struct status_api_request *request, unsigned code,
	const char *why, uint64_t now_us);

/* A second has passed. */
void status_operations_check(struct status_operations *o, uint64_t now_us);

#endif
