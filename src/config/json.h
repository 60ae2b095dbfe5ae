/*
 * What the two renderings of a snapshot as JSON share.
 */
#ifndef WEIR_CONFIG_JSON_H
#define WEIR_CONFIG_JSON_H

#include "config/config.h"
#include "config/schema.h"

/* The value of a key; base: the section's struct. */
void config_json_value(const struct config_key *key, const void *base,
	struct buf *out);

/* The name of the section's i-th struct in c, "" for one without; false: it
 * has no more. */
bool config_json_section(const struct config *c, enum config_section section,
	size_t i, const char **title_r);

#endif
