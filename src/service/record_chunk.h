/*
 * Chunks: facts of one session on their way from its worker to the writer
 * thread, in a private binary form that costs the worker one copy. A chunk can
 * be understood without the ones before it, so that the writer keeps no state
 * of sessions and can write a chunk again after a failure.
 */
#ifndef WEIR_SERVICE_RECORD_CHUNK_H
#define WEIR_SERVICE_RECORD_CHUNK_H

#include "base/ulid.h"
#include "policy/decision.h"
#include "session/fact.h"

/* A chunk grows from START by doubling; beyond MAX only for one fact that is
 * larger. Spans are cut at SPAN_MAX bytes, lines and certificates at LINE_MAX,
 * which bounds a fact, and with it a chunk, by HARD_MAX. */
#define RECORD_CHUNK_START 1024
#define RECORD_CHUNK_MAX 8192
#define RECORD_CHUNK_SPAN_MAX 4096
#define RECORD_CHUNK_LINE_MAX 32768
#define RECORD_CHUNK_ANNOTATIONS_MAX 32
#define RECORD_CHUNK_HARD_MAX (1024 * 1024)
#define RECORD_CHUNK_PROCESS_MAX 96

/* Writes rows out of a chunk's bytes, in the writer thread and within its
 * transaction. SQLite's codes. It may be called again with the same bytes, after
 * a failure. */
struct sqlite3;
typedef int record_write_fn(struct sqlite3 *db, struct span data);

struct record_chunk {
	struct record_chunk *next;
	record_write_fn *write;		/* what it holds is no session's; NULL:
					   facts */
	bool is_line;			/* and is a line for the JSON file */
	unsigned references;		/* writer thread only */
	char id[ULID_TEXT_LEN + 1];	/* of the session */
	bool last;			/* of its session */
	struct addr client;		/* NONE: not yet known */
	char process[RECORD_CHUNK_PROCESS_MAX];	/* "uid 33 /cgroup"; "": it is
						   not known who sends */
	uint64_t began_us;		/* the session, monotonic */
	uint64_t wall_offset_us;	/* wall - monotonic, modulo 2^64 */
	uint32_t first_line;		/* number of its first line */
	uint32_t first_decision;	/* of decisions and annotations */
	enum policy_outcome worst;	/* of the session so far */
	unsigned worst_code;
	unsigned transactions;		/* ended so far */
	size_t len, cap;		/* of data */
	uint8_t data[];
};

/* Room for cap bytes of facts; chunk NULL: a new one. NULL without memory, and
 * chunk is then as before. */
struct record_chunk *record_chunk_grow(struct record_chunk *chunk, size_t cap);

/* The writer thread's: the last reference frees it. A new one has none. */
void record_chunk_ref(struct record_chunk *chunk);
void record_chunk_unref(struct record_chunk *chunk);

/**
 * record_chunk_put(chunk, fact, of_first) - append one fact.
 *
 * of_first  it belongs to the session's first transaction
 *
 * Returns 0, or the bytes that it would need: chunk is then as before.
 */
size_t record_chunk_put(struct record_chunk *chunk, const struct fact *fact,
	bool of_first) MUSTUSE;

/* Reads the facts of a chunk in order: those of some types. */
#define RECORD_CURSOR(type) (1u << (type))
#define RECORD_CURSOR_ALL (~0u)
struct record_cursor {
	const struct record_chunk *chunk;
	unsigned types;
	size_t offset;
	struct fact fact;		/* points into the chunk and cursor */
	bool of_first;
	uint64_t wall_us;		/* of the fact */
	uint32_t line;			/* number of a line in its session */
	uint32_t decision;		/* of a decision or annotation */
	struct policy_decision decided;
	struct policy_annotation annotations[RECORD_CHUNK_ANNOTATIONS_MAX];
};

void record_cursor_init(struct record_cursor *c,
	const struct record_chunk *chunk, unsigned types);
bool record_cursor_next(struct record_cursor *c);	/* false: no more */

#endif
