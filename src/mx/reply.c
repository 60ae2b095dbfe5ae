/*
 * The rules, one per row. Enhanced codes are those of RFC 3463 and RFC 7372;
 * words are what large receivers write, in lower case. The order matters: an
 * URL on a blocklist is content, though the text names a blocklist.
 */
#include "mx/reply.h"

#include <assert.h>

#include "base/compiler.h"

static const struct {
	enum mx_category category;
	const char *enhanced;	/* begins so behind the class, "7.26"; NULL:
				   any */
	const char *words;	/* are in the text; NULL: any */
} rule_table[] = {
	{ MX_GREYLIST, NULL, "greylist" },
	{ MX_GREYLIST, NULL, "graylist" },
	{ MX_GREYLIST, NULL, "grey-list" },

	{ MX_AUTHENTICATION, "7.20", NULL },	/* RFC 7372: no DKIM passes */
	{ MX_AUTHENTICATION, "7.21", NULL },
	{ MX_AUTHENTICATION, "7.22", NULL },
	{ MX_AUTHENTICATION, "7.23", NULL },	/* SPF failed */
	{ MX_AUTHENTICATION, "7.24", NULL },
	{ MX_AUTHENTICATION, "7.26", NULL },	/* several failed */
	{ MX_AUTHENTICATION, NULL, "dmarc" },
	{ MX_AUTHENTICATION, NULL, "dkim" },
	{ MX_AUTHENTICATION, NULL, "spf" },
	{ MX_AUTHENTICATION, NULL, "unauthenticated" },

	{ MX_CONTENT, "6.", NULL },		/* RFC 3463: content or media */
	{ MX_CONTENT, NULL, "virus" },
	{ MX_CONTENT, NULL, "malware" },
	{ MX_CONTENT, NULL, "phish" },
	{ MX_CONTENT, NULL, "attachment" },
	{ MX_CONTENT, NULL, "surbl" },
	{ MX_CONTENT, NULL, "uribl" },
	{ MX_CONTENT, NULL, "dbl.spamhaus" },
	{ MX_CONTENT, NULL, "url in" },
	{ MX_CONTENT, NULL, "message content" },
	{ MX_CONTENT, NULL, "content of" },
	{ MX_CONTENT, NULL, "content reject" },
	{ MX_CONTENT, NULL, "spam message" },
	{ MX_CONTENT, NULL, "spam content" },
	{ MX_CONTENT, NULL, "message looks like" },
	{ MX_CONTENT, NULL, "considered spam" },
	{ MX_CONTENT, NULL, "detected as spam" },

	{ MX_MAILBOX, "5.3", NULL },		/* RFC 3463: too many recipients */

	{ MX_THROTTLE, "7.28", NULL },		/* a large receiver's rate */
	{ MX_THROTTLE, NULL, "rate limit" },
	{ MX_THROTTLE, NULL, "ratelimit" },
	{ MX_THROTTLE, NULL, "unusual rate" },
	{ MX_THROTTLE, NULL, "too many" },
	{ MX_THROTTLE, NULL, "too much" },
	{ MX_THROTTLE, NULL, "too fast" },
	{ MX_THROTTLE, NULL, "throttl" },
	{ MX_THROTTLE, NULL, "slow down" },
	{ MX_THROTTLE, NULL, "limit exceeded" },
	{ MX_THROTTLE, NULL, "temporarily deferred" },

	{ MX_BLOCKLIST, NULL, "blocklist" },
	{ MX_BLOCKLIST, NULL, "block list" },
	{ MX_BLOCKLIST, NULL, "blacklist" },
	{ MX_BLOCKLIST, NULL, "black list" },
	{ MX_BLOCKLIST, NULL, "blocked" },
	{ MX_BLOCKLIST, NULL, "banned" },
	{ MX_BLOCKLIST, NULL, "spamhaus" },
	{ MX_BLOCKLIST, NULL, "spamcop" },
	{ MX_BLOCKLIST, NULL, "barracuda" },
	{ MX_BLOCKLIST, NULL, "dnsbl" },
	{ MX_BLOCKLIST, NULL, "reputation" },
	{ MX_BLOCKLIST, NULL, "is listed" },
	{ MX_BLOCKLIST, NULL, "listed in" },
	{ MX_BLOCKLIST, NULL, "listed at" },

	{ MX_MAILBOX, "1.", NULL },		/* RFC 3463: address */
	{ MX_MAILBOX, "2.", NULL },		/* mailbox */
	{ MX_MAILBOX, NULL, "user unknown" },
	{ MX_MAILBOX, NULL, "unknown user" },
	{ MX_MAILBOX, NULL, "no such" },
	{ MX_MAILBOX, NULL, "mailbox" },
	{ MX_MAILBOX, NULL, "quota" },
	{ MX_MAILBOX, NULL, "does not exist" },

	{ MX_POLICY, "7.", NULL },		/* security or policy */
	{ MX_POLICY, NULL, "policy" },
	{ MX_POLICY, NULL, "denied" },
	{ MX_POLICY, NULL, "not allowed" },
};

const char *
mx_category_name(enum mx_category c)
{
	static const char *const names[] = {
		[MX_ACCEPTED] = "accepted", [MX_THROTTLE] = "throttle",
		[MX_BLOCKLIST] = "blocklist", [MX_POLICY] = "policy",
		[MX_OTHER] = "other", [MX_GREYLIST] = "greylist",
		[MX_CONTENT] = "content",
		[MX_AUTHENTICATION] = "authentication",
		[MX_MAILBOX] = "mailbox",
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

static bool
has_words(struct span text, const char *words)
{
	struct span w = span_str(words);

	for (; text.len >= w.len; text = span_skip(text, 1))
		if (span_starts_nocase(text, w))
			return true;
	return false;
}

static bool
fits(size_t rule, const struct policy_reply *r)
{
	struct span want = span_str(rule_table[rule].enhanced);
	const char *words = rule_table[rule].words;

	if (want.len > 0) {
		struct span detail = span_skip(r->enhanced, 2);
		bool whole = want.data[want.len - 1] != '.';

		return whole ? span_eq(detail, want) :
		    span_eq(span_take(detail, want.len), want);
	}
	for (size_t i = 0; i < r->n_lines; i++)
		if (has_words(r->lines[i], words))
			return true;
	return false;
}

enum mx_category
mx_reply_category(const struct policy_reply *r, bool heard)
{
	enum mx_category c = MX_OTHER;

	if (r->code / 100 == 2)
		return MX_ACCEPTED;
	for (size_t i = 0; i < ARRAY_LEN(rule_table); i++)
		if (fits(i, r)) {
			c = rule_table[i].category;
			break;
		}
	if (heard && r->code / 100 == 5 && (c == MX_OTHER || c == MX_POLICY))
		return MX_CONTENT;
	return c;
}
