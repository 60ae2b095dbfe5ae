/*
 * What the status server answers; without HTTP, which is status_http.c's.
 *
 * A family of paths has a file of its own with a table of routes;
 * status_api.c knows the tables. To add a path, add a row to the table of its
 * family; to add a family, a file and a line in status_api.c.
 */
#ifndef WEIR_SERVICE_STATUS_API_H
#define WEIR_SERVICE_STATUS_API_H

#include "service/status.h"

#define STATUS_API_ANSWER_MAX (32u * 1024 * 1024)	/* bytes */
#define STATUS_API_ARGUMENTS_MAX 16
#define STATUS_API_BY_MAX 64

struct status_figures;
struct status_series;

struct status_api_argument {
	struct span name, value;	/* decoded */
};

struct status_api_request {
	struct span path;
	const struct status_api_argument *arguments;
	size_t n_arguments;
	const char *by;		/* who asks for a POST: an address, or "control
				   uid 0" */
	/* the server's own: */
	struct status_series *series;
	struct status_figures *figures;
};

struct status_api_answer {
	unsigned code;		/* HTTP status; 200 to begin with */
	const char *type;	/* Content-Type; JSON to begin with */
	struct buf body;
	char error[256];	/* what was wrong, or the beginning of it */
	/* To be done when the client has the answer, or has gone. */
	void (*then)(const struct status_source *source);
};

/* Runs in any of the server's threads, several at a time. */
typedef void status_api_fn(const struct status_source *source,
	const struct status_api_request *request,
	struct status_api_answer *answer);

struct status_api_route {
	const char *path;	/* ends in '/': also what begins so */
	bool post;
	bool is_public;		/* holds no secret: needs no token */
	bool slow;		/* asks the database or waits for a thread: it
				   keeps no other request waiting */
	bool is_stream;		/* 200 is the beginning of a stream */
	const char *arguments;	/* names that the query may have, separated by
				   spaces; NULL: none */
	status_api_fn *answer;
};

/* Each table ends with a path of NULL. */
extern const struct status_api_route status_overview_routes[];
extern const struct status_api_route status_config_routes[];
extern const struct status_api_route status_sessions_routes[];
extern const struct status_api_route status_events_routes[];
extern const struct status_api_route status_series_routes[];
extern const struct status_api_route status_mx_routes[];
extern const struct status_api_route status_orders_routes[];
extern const struct status_api_route status_top_routes[];

/* NULL: no such path. */
const struct status_api_route *status_api_route(struct span path);

/* May its query have an argument of this name? */
bool status_api_takes(const struct status_api_route *route, struct span name);

/* Checks the arguments against the route's, and has it answer. */
void status_api_answer(const struct status_source *source,
	const struct status_api_route *route,
	const struct status_api_request *request,
	struct status_api_answer *answer);

/* The value of an argument: data is NULL where it was not given; "?q" is
 * given, and empty. */
struct span status_api_argument(const struct status_api_request *request,
	const char *name);

/* A number among min..max, fallback where it was not given. -1: anything
 * else, and the answer is an error that says so. */
int status_api_number(const struct status_api_request *request,
	const char *name, uint64_t min, uint64_t max, uint64_t fallback,
	uint64_t *value_r, struct status_api_answer *answer) MUSTUSE;

/* Makes the answer {"error": "why"}. */
void status_api_error(struct status_api_answer *answer, unsigned code,
	const char *why);

/* The ETag of a body, with its quotes: W/"0123456789abcdef". */
#define STATUS_API_TAG_MAX 24
void status_api_tag(struct span body, char tag_r[STATUS_API_TAG_MAX]);

/* Is tag among those of an If-None-Match header (NULL: there is none)? */
bool status_api_has_tag(const char *if_none_match, const char *tag);

#endif
