/*
 * What an MX's refusal is about. Which one it is rules say (mx/rules.h).
 */
#ifndef WEIR_MX_REPLY_H
#define WEIR_MX_REPLY_H

#include <stdbool.h>

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
	MX_TLS,			/* TLS, or better TLS, is wanted */
	MX_CATEGORY_COUNT
};

const char *mx_category_name(enum mx_category c);

/* Does it say anything about the source address? */
bool mx_category_is_about_source(enum mx_category c);

#endif
