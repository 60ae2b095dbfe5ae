/*
 * What rules_read.c makes and rules.c asks.
 */
#ifndef WEIR_MX_RULES_INTERNAL_H
#define WEIR_MX_RULES_INTERNAL_H

#include "mx/rules.h"

#define MX_RULES_BUCKETS 1024
#define MX_RULES_WORD_MIN 3	/* octets: they choose the bucket */

struct mx_rules_word {
	struct span text;	/* normalized */
	unsigned next;		/* of its bucket; 0: none */
};

struct mx_rules_enhanced {
	uint8_t class;		/* 0: any */
	int16_t subject, detail;	/* -1: any */
};

struct mx_rules_place {
	struct span name;	/* empty: network */
	struct addr_prefix network;
};

struct mx_rule {
	enum mx_category category;
	uint16_t code_min, code_max;
	unsigned phases;	/* set of 1 << mx_phase; 0: any */
	struct mx_rules_enhanced enhanced;
	unsigned place;		/* in places; 0: any */
	unsigned first_word, n_words;	/* in of_rules */
	unsigned line;
};

/* In each list the first entry is none, but for rules. */
struct mx_rules {
	struct mx_rule *rules;
	size_t n_rules;
	struct mx_rules_word *words;
	size_t n_words;
	unsigned *of_rules;	/* words */
	size_t n_of_rules;
	struct mx_rules_place *places;
	size_t n_places;
	char *memory;		/* what words and names point into */
	unsigned buckets[MX_RULES_BUCKETS];
};

bool mx_rules_is_letter(uint8_t c);

/* Appends text in lower case, with one space for any white space, to the n
 * octets in out. Returns how many there are then. */
size_t mx_rules_normalize(uint8_t *out, size_t room, size_t n,
	struct span text);

unsigned mx_rules_bucket(const uint8_t *at);	/* three octets */

#endif
