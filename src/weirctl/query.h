/*
 * A path of the API with its query, percent-encoded.
 */
#ifndef WEIR_WEIRCTL_QUERY_H
#define WEIR_WEIRCTL_QUERY_H

#include "base/buf.h"

struct query {
	struct buf path;
	bool has_argument;
};

void query_init(struct query *q, const char *path);
void query_release(struct query *q);

/* One more segment, behind what is there and a slash. */
void query_segment(struct query *q, const char *text);

/* An argument; value NULL: none. */
void query_add(struct query *q, const char *name, const char *value);

/* As a C string; NULL without memory. */
const char *query_text(struct query *q);

#endif
