/*
 * The envelope as policies want it.
 *
 * A rewritten address takes the place of the client's in the line that goes to
 * the MX, with the parameters as they were sent; the record has both lines and
 * both addresses. A later stage is shown what the earlier ones made of it.
 */
#include "session/internal.h"

/* args with another address, for as long as the actions live. */
struct span
session_rewrite_args(struct session *s, struct span args,
    const struct smtp_path *path, struct span address)
{
	struct buf *b = session_scratch_buf(s);

	smtp_path_rewrite(b, args, path, address);
	return buf_span(b);
}

/* Did the policies change the address? */
bool
session_rewritten(const struct inquiry *q, struct span *address_r)
{
	if (q == NULL || q->merge.rewrite < 0)
		return false;
	*address_r = q->votes[q->merge.rewrite].decision->rewrite;
	return true;
}

static bool
is_ascii(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.data[i] >= 0x80)
			return false;
	return true;
}

/**
 * session_rewrite_wrong - can this address stand where the client's does?
 *
 * Whoever reads the line that it makes must read this address again, and not
 * what follows a source route. Returns NULL, or why not.
 */
const char *
session_rewrite_wrong(struct session *s, const struct inquiry *q,
    const struct policy_decision *d)
{
	const struct span keyword = q->phase == POLICY_PHASE_MAIL ?
	    SPAN("FROM") : SPAN("TO");
	struct smtp_path path;
	struct span args;

	if (!d->rewrite_set || q->pending == NULL)
		return NULL;
	if (!is_ascii(d->rewrite) && !q->transaction->smtputf8)
		return "the rewritten address needs SMTPUTF8, which the "
		    "client did not ask for";
	args = q->pending->parsed.args;
	if (smtp_path_parse(args, keyword, &path) != 0)
		return NULL;	/* never: it was read before */
	args = session_rewrite_args(s, args, &path, d->rewrite);
	if (smtp_path_parse(args, keyword, &path) != 0 ||
	    !span_eq(path.address, d->rewrite))
		return "the rewritten address is no address";
	return NULL;
}

/* The line of a MAIL or RCPT to the MX. */
struct span
session_forward_envelope(struct session *s, struct pending *p,
    struct span keyword)
{
	struct span line = span_of(p->line, p->line_len);
	struct span args = p->parsed.args, address;
	size_t before = (size_t)(args.data - line.data);
	struct smtp_path path;
	struct buf *b;

	if (!session_rewritten(p->inquiry, &address) ||
	    smtp_path_parse(args, keyword, &path) != 0) {
		session_forward(s, p, line);
		return line;
	}
	b = session_scratch_buf(s);
	buf_append(b, span_take(line, before));
	smtp_path_rewrite(b, args, &path, address);
	buf_append(b, span_skip(line, before + args.len));
	session_forward_instead(s, p, buf_span(b));
	return buf_span(b);
}
