/*
 * What an MX's refusal is about, by its code and its words.
 */
#ifndef WEIR_MX_REPLY_H
#define WEIR_MX_REPLY_H

#include "policy/types.h"

enum mx_category {
	MX_ACCEPTED,		/* no refusal */
	/* about the address that it came from: */
	MX_THROTTLE,		/* too much, too fast */
	MX_BLOCKLIST,		/* listed, or of bad repute */
	MX_POLICY,		/* refused by a rule, without a reason */
	MX_OTHER,
	/* about something else: */
	MX_GREYLIST,		/* come again later: so do all new ones */
	MX_CONTENT,
	MX_AUTHENTICATION,	/* SPF, DKIM, DMARC */
	MX_MAILBOX,		/* the recipient */
	MX_CATEGORY_COUNT
};

const char *mx_category_name(enum mx_category c);

/* Does it say anything about the source address? */
bool mx_category_is_about_source(enum mx_category c);

/**
 * mx_reply_category(r, heard) - what the reply is about.
 *
 * heard  the MX had heard the content. A refusal then that does not put itself
 *        down to the address is about the content.
 *
 * The rules are a table in mx_reply.c; the first that fits counts. Pure.
 */
enum mx_category mx_reply_category(const struct policy_reply *r, bool heard);

#endif
