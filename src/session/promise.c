/*
 * What the client's EHLO was promised. Its messages may go another way than it
 * knows of (rehome.c), and must not bounce there for want of what it was
 * offered: so what it asks for is held against what the connection in use has.
 * What it was offered and does not ask for need not be there.
 */
#include "session/internal.h"

/* What of the capabilities in `lost` this MAIL or RCPT asks for. */
static const char *
needs(const struct smtp_path *path, unsigned lost)
{
	static const struct {
		const char *param, *value;	/* NULL: any */
		enum smtp_capability cap;
		const char *name;
	} rows[] = {
		{ "SIZE", NULL, SMTP_CAP_SIZE, "SIZE" },
		{ "BODY", "8BITMIME", SMTP_CAP_8BITMIME, "8BITMIME" },
		{ "BODY", "BINARYMIME", SMTP_CAP_BINARYMIME, "BINARYMIME" },
		{ "BODY", "BINARYMIME", SMTP_CAP_CHUNKING, "CHUNKING" },
		{ "SMTPUTF8", NULL, SMTP_CAP_SMTPUTF8, "SMTPUTF8" },
		{ "RET", NULL, SMTP_CAP_DSN, "DSN" },
		{ "ENVID", NULL, SMTP_CAP_DSN, "DSN" },
		{ "NOTIFY", NULL, SMTP_CAP_DSN, "DSN" },
		{ "ORCPT", NULL, SMTP_CAP_DSN, "DSN" },
		{ "AUTH", NULL, SMTP_CAP_AUTH, "AUTH" },
	};
	struct span value;
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].cap & lost && smtp_path_param(path,
		    span_str(rows[i].param), &value) && (rows[i].value == NULL ||
		    span_eq_nocase(value, span_str(rows[i].value))))
			return rows[i].name;
	return NULL;
}

/* The largest message that an MX may be sent, as the client sees it. 0: any. */
static uint64_t
size_limit(const struct session *s, const struct smtp_ehlo *ehlo)
{
	uint64_t own = s->config->limits.message_size;

	if (!(ehlo->capabilities & SMTP_CAP_SIZE))
		return 0;
	return own != 0 && (ehlo->size == 0 || own < ehlo->size) ? own :
	    ehlo->size;
}

/* A client that declares no size may send whatever it was promised (RFC 1870
 * 6): then the limit must not have become smaller. */
static bool
fits(const struct session *s, const struct smtp_path *path)
{
	uint64_t now = size_limit(s, &s->up->ehlo), size;
	uint64_t promised = size_limit(s, &s->promised);
	struct span value;

	if (now == 0)
		return true;
	if (smtp_path_param(path, SPAN("SIZE"), &value) &&
	    span_to_u64(value, &size) == 0)
		return size <= now;
	return !(s->promised.capabilities & SMTP_CAP_SIZE) ||
	    (promised != 0 && promised <= now);
}

static const char *
missing_for(const struct session *s, struct span args, bool mail)
{
	struct smtp_path path;

	if (smtp_path_parse(args, mail ? SPAN("FROM") : SPAN("TO"), &path) != 0)
		return NULL;	/* never: it was read before */
	return mail && !fits(s, &path) ? "SIZE" : needs(&path,
	    s->promised.capabilities & ~s->up->ehlo.capabilities);
}

/* What the client was promised and needs now, and the connection in use does
 * not offer; NULL: nothing. For a recipient that moves its transaction, also
 * what MAIL needs. */
const char *
session_promise_missing(const struct session *s, const struct pending *p)
{
	const bool mail = p->command == &session_command_mail;
	struct span line = buf_span(&p->transaction->mail_line);
	struct smtp_command said;
	const char *cap = NULL;

	if ((s->promised.capabilities & ~s->up->ehlo.capabilities) == 0 &&
	    s->promised.size == s->up->ehlo.size)
		return NULL;
	if (s->rehome != NULL && !mail) {
		smtp_command_parse(span_take(line, line.len - 2), &said);
		cap = missing_for(s, said.args, true);
	}
	return cap != NULL ? cap : missing_for(s, p->parsed.args, mail);
}
