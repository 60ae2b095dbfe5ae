/*
 * Values as text: how weir.conf writes them, and how they get into the fields
 * of the snapshot.
 */
#ifndef WEIR_CONFIG_VALUE_H
#define WEIR_CONFIG_VALUE_H

#include "base/buf.h"
#include "config/memory.h"
#include "config/schema.h"

/* "500ms", "30s", "5m", "2h", "30d"; a bare number is seconds. 0, or -1 for
 * anything else and for what 64 bits do not hold. Pure. */
int config_value_duration(struct span text, uint64_t *us_r) MUSTUSE;

/* "1048576", "1024KB", "1MB", "1GB"; a bare number is bytes, 1 KB is 1024 of
 * them, the case does not count. 0 or -1. Pure. */
int config_value_size(struct span text, uint64_t *bytes_r) MUSTUSE;

/* The shortest of these texts that says exactly this: "2s", "256KB". */
void config_value_duration_text(uint64_t us, struct buf *out);
void config_value_size_text(uint64_t bytes, struct buf *out);

/* What a value may be: "1ms..1d", "enforce|observe", "-" for any. */
void config_value_range(const struct config_key *key, struct buf *out);

/**
 * config_value_store(key, base, texts, n, memory, error) - read a value.
 *
 * base    the section's struct; its field of this key is written
 * texts   the value; n texts for a list, else one; must live as long as
 *         memory: strings are not copied
 * error   gets what is wrong and what to write instead
 *
 * Returns 0, or -1 with the field as it was.
 */
int config_value_store(const struct config_key *key, void *base,
	const char *const *texts, size_t n, struct config_memory *memory,
	struct buf *error) MUSTUSE;

#endif
