/*
 * Writes the entries of vectors.json; see README for the format.
 */
#ifndef WEIR_TESTS_GOLDEN_WRITER_H
#define WEIR_TESTS_GOLDEN_WRITER_H

#include "policy/codec.h"
#include "proto/policy.pb-c.h"

typedef Weir__Policy__V1__ToPolicy to_policy;
typedef Weir__Policy__V1__FromPolicy from_policy;

/* to_policy: as weir itself encodes it; as protobuf does; and these bytes. */
void write_event(const char *name, const struct policy_event *event);
void write_to_policy(const char *name, const to_policy *message);
void write_to_policy_bytes(const char *name, const void *bytes, size_t n);

void write_from_policy(const char *name, const from_policy *message);

/* refused: a frame's message that is none. */
void write_refused(const char *name, const void *bytes, size_t n);

/* The three lists, in the order in which they stand. */
void events_write(void);
void answers_write(void);
void refused_write(void);

#endif
