/*
 * Option negotiation: what the bridge offers and what a filter takes of it.
 */
#ifndef WEIR_MILTER_NEGOTIATE_H
#define WEIR_MILTER_NEGOTIATE_H

#include "base/compiler.h"
#include "milter-bridge/packet.h"

/* The stages for which a filter can choose its macros. */
enum milter_stage {
	MILTER_AT_CONNECT, MILTER_AT_HELO, MILTER_AT_MAIL, MILTER_AT_RCPT,
	MILTER_AT_DATA, MILTER_AT_END, MILTER_AT_EOH, MILTER_STAGES
};

struct milter_terms {
	uint32_t version, actions, ways;
	bool chosen[MILTER_STAGES];		/* it named its macros */
	struct span symbols[MILTER_STAGES];	/* into the packet: a copy is
						 * made by who keeps it */
};

/* Appends the offer: everything, as Postfix does. Filters refuse to work
 * where an action is missing that they hardly ever use. */
void milter_negotiate_offer(struct buf *out, uint32_t version);

/**
 * milter_negotiate_decode(packet, offered, terms_r) - read its answer.
 *
 * offered  the version that was offered
 *
 * Returns NULL, or why the answer is none (static text). Pure.
 */
const char *milter_negotiate_decode(const struct milter_packet *packet,
	uint32_t offered, struct milter_terms *terms_r) MUSTUSE;

/* Does a filter on these terms want the command; does it answer it? */
bool milter_negotiate_wants(const struct milter_terms *terms,
	enum milter_command command);
bool milter_negotiate_answers(const struct milter_terms *terms,
	enum milter_command command);

#endif
