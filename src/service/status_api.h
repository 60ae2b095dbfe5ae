/*
 * What the status server answers; without HTTP, which is status.c's.
 */
#ifndef WEIR_SERVICE_STATUS_API_H
#define WEIR_SERVICE_STATUS_API_H

#include "service/status.h"

#define STATUS_API_SESSIONS_MAX 500
#define STATUS_API_ANSWER_MAX (32u * 1024 * 1024)	/* bytes */

struct status_api_request {
	struct span path;
	struct span q, limit, before;	/* of the query; data NULL: not given */
};

struct status_api_answer {
	unsigned code;		/* HTTP status; 200 to begin with */
	const char *type;	/* Content-Type; JSON to begin with */
	struct buf body;
};

typedef void status_api_fn(const struct status_source *source,
	const struct status_api_request *request,
	struct status_api_answer *answer);

struct status_api_route {
	const char *path;	/* ends in '/': also what begins so */
	bool post, is_public;
	status_api_fn *answer;
};

/* NULL: no such path. */
const struct status_api_route *status_api_route(struct span path);

/* Makes the answer {"error": "why"}. */
void status_api_error(struct status_api_answer *answer, unsigned code,
	const char *why);

#endif
