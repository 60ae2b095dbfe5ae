/*
 * Every key of weir.conf, one row each: the single source for parsing, for
 * value checks, for `weir -T`, for the JSON of the configuration in force,
 * and (by a test) for the man page. To add a key, add a field to a struct of
 * config/config.h and a row to schema.c.
 */
#ifndef WEIR_CONFIG_SCHEMA_H
#define WEIR_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum config_section {
	CONFIG_TOP, CONFIG_LISTENER, CONFIG_UPSTREAM, CONFIG_TLS, CONFIG_POOL,
	CONFIG_POLICY, CONFIG_RECORD, CONFIG_STATUS, CONFIG_LIMITS,
	CONFIG_DNS, CONFIG_DELIVERABILITY,
	CONFIG_SECTION_COUNT
};

enum config_type {
	CONFIG_STRING,
	CONFIG_WORD,		/* one of words; an enum or unsigned field */
	CONFIG_WORDS,		/* list of words; a set of 1 << value */
	CONFIG_BOOL,
	CONFIG_NUMBER,		/* uint32_t or unsigned */
	CONFIG_NUMBERS,		/* list of unsigned, then its length */
	CONFIG_SIZE,		/* bytes; by the width of the field */
	CONFIG_DURATION,	/* uint64_t in microseconds */
	CONFIG_DURATION_MS,	/* uint32_t in milliseconds */
	CONFIG_ADDRESS,		/* struct addr with port; "": NONE */
	CONFIG_DESTINATION,	/* host:port of a listener; "": none */
	CONFIG_ADDRESSES,	/* list without ports, then its length */
	CONFIG_RESOLVERS,	/* list with ports (53), then its length */
	CONFIG_SOURCES,		/* struct addr[2], at most one per family */
	CONFIG_STRINGS,		/* list of strings, then its length */
	CONFIG_PREFIXES,	/* list of struct addr_prefix, then its length */
	CONFIG_ENDPOINT,	/* transport, path, host, port of a policy */
	CONFIG_TYPE_COUNT
};

struct config_word { const char *name; unsigned value; };

struct config_key {
	enum config_section section;
	const char *name;
	enum config_type type;
	size_t offset, size;	/* of its field in the section's struct */
	size_t count_offset;	/* of the list's length */
	const char *unit;	/* of a bare number; NULL: none */
	uint64_t min, max;	/* numbers; durations in us; size: bytes */
	const struct config_word *words;	/* ends with a NULL name */
	const char *fallback;	/* default; lists: separated by spaces */
	const char *text;	/* one line for the operator */
};

extern const struct config_key config_schema[];
extern const size_t config_schema_count;

/* "" for CONFIG_TOP, else "listener", ... */
const char *config_schema_section_name(enum config_section section);
bool config_schema_is_titled(enum config_section section);
bool config_schema_is_list(const struct config_key *key);

/* NULL: no such key. */
const struct config_key *config_schema_find(enum config_section section,
	const char *name);

/**
 * config_schema_hint(section, name, out) - help with a word that is no key.
 *
 * Appends what the operator may have meant, as "; did you mean timeout?" or
 * "; it belongs into limits { }" or where to look. Pure.
 */
void config_schema_hint(enum config_section section, const char *name,
	struct buf *out);

/* The default as weir.conf would have it: quoted, lists in braces. */
void config_schema_fallback(const struct config_key *key, struct buf *out);

#endif
