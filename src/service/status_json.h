/*
 * Members of the API's objects: each begins with the comma to the one before.
 */
#ifndef WEIR_SERVICE_STATUS_JSON_H
#define WEIR_SERVICE_STATUS_JSON_H

#include "base/buf.h"

void status_json_text(struct buf *out, const char *key, const char *text);
void status_json_bool(struct buf *out, const char *key, bool value);
void status_json_u64(struct buf *out, const char *key, uint64_t value);

/* A time as UTC text; 0: null. */
void status_json_time(struct buf *out, const char *key, uint64_t wall_us);

#endif
