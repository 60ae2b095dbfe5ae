/*
 * BDAT: chunks of counted octets (RFC 3030), forwarded with exact counts.
 *
 * Offered to the client only where no decider wants the content, so chunks
 * always stream. Whatever a chunk is answered, its octets are counted off, and
 * never read as commands.
 */
#include "session/content.h"

#include "smtp/bdat.h"

/* Answer it, but only behind its octets. */
static void
bdat_swallow(struct session *s, struct pending *p)
{
	p->chunk_swallow = true;
	session_chunk_begin(s, p);
}

/* Reads the size. Returns whether that worked; if not, it is answered. */
static bool
bdat_size(struct session *s, struct pending *p)
{
	struct smtp_bdat bdat;

	if (smtp_bdat_parse(p->parsed.args, &bdat) != 0) {
		/* How many octets follow is not known: nothing more can be
		 * read of this client. */
		session_reply_local(s, p, 501, "5.5.4", "Syntax: BDAT size "
		    "[LAST]");
		p->close_after = true;
		s->end_cause = "limit";
		return false;
	}
	p->chunk = bdat.size;
	p->chunk_last = bdat.last;
	return true;
}

void
session_bdat_refuse(struct session *s, struct pending *p, const char *why)
{
	if (!bdat_size(s, p))
		return;
	session_reply_local(s, p, 503, "5.5.1", why);
	bdat_swallow(s, p);
}

/* To an MX that does not know BDAT the octets would be commands; and a decider
 * that wants the content would never see it. */
static bool
bdat_is_offered(const struct session *s)
{
	return s->chunking_offered;
}

/* It was, until a policy came back that decides on content now, or the
 * transaction had to go where it is not offered. */
static const char *
bdat_is_put_off(const struct session *s)
{
	const struct transaction *t = s->transaction;

	if (!s->chunking_offered || t == NULL || t->content != NULL)
		return NULL;
	if (session_wants_content(s))
		return "A policy has to see the content: try again later";
	return s->up->ehlo.capabilities & SMTP_CAP_CHUNKING ? NULL :
	    "The MX that the message has to go to now does not offer "
	    "CHUNKING: try again later";
}

static void
bdat_parse(struct session *s, struct pending *p)
{
	struct transaction *t = s->transaction;
	const char *why = bdat_is_put_off(s);

	if (why != NULL) {
		if (!bdat_size(s, p))
			return;
		session_reply_local(s, p, 451, "4.3.0", why);
		bdat_swallow(s, p);
		return;
	}
	if (t == NULL || !bdat_is_offered(s)) {
		session_bdat_refuse(s, p, bdat_is_offered(s) ?
		    "Send MAIL first" : "BDAT is not offered here");
		return;
	}
	if (!bdat_size(s, p))
		return;
	p->transaction = t;
	t->references++;
}

static bool
bdat_ready(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;

	if (t->content != NULL || p->data_asked || t->ended || t->refused ||
	    !session_data_has_recipients(s, t))
		return true;
	session_data_ask(s, p);
	return p->inquiry == NULL;
}

static void
bdat_pass(struct session *s, struct pending *p)
{
	struct transaction *t = p->transaction;
	struct content *c = t->content;

	if (c == NULL && session_data_without_recipients(s, p)) {
		bdat_swallow(s, p);
		return;
	}
	if (t->discarded || (t->n_accepted == 0 && t->n_discarded > 0)) {
		t->discarded = true;
		session_reply_discarded(s, p);
		if (p->chunk_last) {
			session_transaction_undo(s, t);
			session_transaction_end(s, t,
			    POLICY_OUTCOME_DISCARDED);
		}
		bdat_swallow(s, p);
		return;
	}
	if (c == NULL && (c = session_content_new(s, p)) == NULL)
		return;
	c->chunked = true;
	if (t->measured.body_since_us == 0)
		t->measured.body_since_us = s->now_us;
	session_forward(s, p, span_of(p->line, p->line_len));
	session_chunk_begin(s, p);
}

static void
bdat_refuse(struct session *s, struct pending *p, enum policy_action action)
{
	struct transaction *t = p->transaction;

	(void)action;
	session_transaction_verdict(s, t, p->inquiry, buf_span(&p->reply));
	session_transaction_undo(s, t);
	session_transaction_end(s, t, session_outcome_of(t->code));
	bdat_swallow(s, p);
}

const struct session_command session_command_bdat = {
	.verb = SMTP_VERB_BDAT,
	.flags = COMMAND_ALONE | COMMAND_LAST,
	.expect = EXPECT_CHUNK,
	.parse = bdat_parse,
	.ready = bdat_ready,
	.pass = bdat_pass,
	.discard = session_data_discard,
	.refuse = bdat_refuse,
};
