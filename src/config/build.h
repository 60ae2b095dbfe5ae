/*
 * From parsed sections to the structs of the snapshot.
 */
#ifndef WEIR_CONFIG_BUILD_H
#define WEIR_CONFIG_BUILD_H

#include "config/config.h"
#include "config/parse.h"

/**
 * config_build(parts, report, c) - fill a zeroed snapshot.
 *
 * Every key gets its value or its default; values that cannot be read are
 * reported and leave the default. Arrays are in the order of the file.
 */
void config_build(const struct config_part *parts,
	struct config_report *report, struct config *c);

/* The last steps, after the checks: policies by stage, pools as the policies
 * see them, and what the machine knows: hostname, workers. */
void config_settle(struct config *c, struct config_memory *memory);

/**
 * config_check(c, parts, report) - what one key alone cannot show.
 *
 * c is as config_build() left it, and belongs to the same parts.
 */
void config_check(const struct config *c, const struct config_part *parts,
	struct config_report *report);

/* "", "any", a number or a user's name as struct config_policy.peer has it.
 * -1: there is no such user. */
int config_peer(const char *text, uint32_t *peer_r) MUSTUSE;

/* Reads "timeout=relay". 0, or -1. */
int config_on_error_cause(const char *text, enum policy_error *cause_r,
	enum policy_action *action_r) MUSTUSE;

/* The part of config_check() that is about what a policy is asked. */
void config_check_conditions(const struct config *c,
	const struct config_policy *p, const struct config_part *part,
	struct config_report *report);

/* check_tls.c: a tls block. */
void config_check_tls(const struct config_tls_block *block,
	const struct config_part *part, struct config_report *report);

/* The next part of that kind after `part` (NULL: the first of parts). */
const struct config_part *config_next_part(const struct config_part *parts,
	const struct config_part *part, enum config_section section);

/* Where a section's struct is in c; i counts the titled ones of its kind. */
void *config_section_base(const struct config *c, enum config_section section,
	size_t i);

#endif
