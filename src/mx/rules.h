/*
 * Reply rules: what a refusal is about, by what an operator can read.
 *
 *	# category	what must hold, all of it
 *	throttle	4xx  x.7.28  "rate limit"  @google.com
 *	content		5xx  final
 *
 * The first rule that fits counts. weir's own (src/mx/reply-rules, built in)
 * come behind those of the operator's file. doc/weir-reply-rules.5 is for
 * people.
 */
#ifndef WEIR_MX_RULES_H
#define WEIR_MX_RULES_H

#include "base/addr.h"
#include "base/buf.h"
#include "mx/reply.h"
#include "mx/sample.h"
#include "policy/types.h"

#define MX_RULES_MAX 2000	/* half of them in the operator's file */
#define MX_RULES_WORDS_MAX 2048	/* different texts; likewise */
#define MX_RULES_TEXT_MAX 1000	/* octets of a reply that are looked at */

struct mx_rules;

/**
 * mx_rules_new(name, text, errors) - read rules, and put weir's own behind them.
 *
 * text    of the operator's file; empty: there is none
 * errors  gets all that is wrong, "name:line: message\n" each
 *
 * NULL with at least one line in errors. What comes back never changes:
 * threads may share it.
 */
struct mx_rules *mx_rules_new(const char *name, struct span text,
	struct buf *errors);
void mx_rules_free(struct mx_rules *r);		/* NULL is fine */

struct mx_refusal {
	const struct policy_reply *reply;
	enum mx_phase phase;		/* that it answers */
	struct span name;		/* how the MX greets; empty: unknown */
	struct addr destination;	/* NONE: unknown */
};

/* The number of the first rule that fits, from 0; mx_rules_count(): none. No
 * memory is taken. */
size_t mx_rules_match(const struct mx_rules *r, const struct mx_refusal *f);

size_t mx_rules_count(const struct mx_rules *r);
enum mx_category mx_rules_category(const struct mx_rules *r, size_t rule);
unsigned mx_rules_line(const struct mx_rules *r, size_t rule);	/* of its file */

/* What the reply is about: accepted for 2xx, other where no rule fits. */
enum mx_category mx_reply_category(const struct mx_rules *r,
	const struct mx_refusal *f);

/* The built-in file. */
extern const char mx_rules_builtin[];

#endif
