/*
 * The categories' names, as they stand in rules, the record and on the status
 * page.
 */
#include "mx/reply.h"

#include <assert.h>

#include "base/compiler.h"

const char *
mx_category_name(enum mx_category c)
{
	static const char *const names[] = {
		[MX_ACCEPTED] = "accepted", [MX_THROTTLE] = "throttle",
		[MX_BLOCKLIST] = "blocklist", [MX_POLICY] = "policy",
		[MX_OTHER] = "other", [MX_GREYLIST] = "greylist",
		[MX_CONTENT] = "content",
		[MX_AUTHENTICATION] = "authentication",
		[MX_MAILBOX] = "mailbox", [MX_TLS] = "tls",
	};
	static_assert(ARRAY_LEN(names) == MX_CATEGORY_COUNT,
	    "name every category");

	return names[c];
}

bool
mx_category_is_about_source(enum mx_category c)
{
	return c >= MX_THROTTLE && c <= MX_OTHER;
}
