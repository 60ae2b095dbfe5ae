/*
 * What the report counts, and that it counts each refusal once.
 */
#include "record_fixture.h"

#include "service/mx_ticket.h"
#include "service/record_report.h"

#define SECOND CLOCK_US_PER_S

struct mail {
	const char *sender, *group;	/* NULL group: told no MX */
	enum policy_outcome outcome;
	unsigned accepted, code;
	const char *refused;		/* the last RCPT: "550", or NULL */
	const char *connect_error;	/* "": connected */
	bool is_open;			/* its end is not there */
};

static const struct mail mails[] = {
	/* before the time that is asked for */
	{ "a@x.test", "g.test", POLICY_OUTCOME_REJECTED, 1, 554, NULL, "",
	    false },
	{ "a@x.test", "g.test", POLICY_OUTCOME_DELIVERED, 1, 250, "550", "",
	    false },
	{ "a@x.test", "g.test", POLICY_OUTCOME_DELIVERED, 1, 250, NULL, "",
	    false },
	{ "a@x.test", "h.test", POLICY_OUTCOME_DELIVERED, 1, 250, NULL, "",
	    false },
	{ "a@x.test", "g.test", POLICY_OUTCOME_REJECTED, 1, 554, NULL, "",
	    false },
	{ "a@x.test", "g.test", POLICY_OUTCOME_DEFERRED, 0, 451, "451", "",
	    false },
	/* MAIL was refused, and RCPT therefore */
	{ "b@x.test", "g.test", POLICY_OUTCOME_DEFERRED, 0, 421, "503", "",
	    false },
	{ "b@x.test", "g.test", POLICY_OUTCOME_ABORTED, 1, 0, NULL, "",
	    false },
	{ "b@x.test", NULL, POLICY_OUTCOME_REJECTED, 1, 554, NULL, "",
	    false },
	{ "b@x.test", NULL, POLICY_OUTCOME_DISCARDED, 1, 250, NULL, "",
	    false },
	{ "", NULL, POLICY_OUTCOME_ABORTED, 0, 0, NULL, "timed out", false },
	{ "", NULL, POLICY_OUTCOME_ABORTED, 0, 0, NULL,
	    "1 are open" MX_TICKET_FULL_END, false },
	{ "c@x.test", "g.test", POLICY_OUTCOME_DELIVERED, 1, 250, "550", "",
	    true },
};

static void
put_recipients(struct record_session *s, const struct mail *m, const char *id)
{
	struct fact f = { .type = FACT_RECIPIENT, .now_us = 5001000 };
	unsigned i, n = m->accepted + (m->refused != NULL);

	for (i = 0; i < n; i++) {
		bool ok = i < m->accepted;

		f.u.recipient.transaction_id = id;
		f.u.recipient.index = i;
		f.u.recipient.address = SPAN("r@y.test");
		f.u.recipient.accepted = ok;
		f.u.recipient.decided_by = "mx";
		f.u.recipient.code = ok ? 250 : (unsigned)atoi(m->refused);
		f.u.recipient.enhanced = SPAN("");
		f.u.recipient.text = ok ? SPAN("Ok") : SPAN("not at RCPT");
		f.u.recipient.category = ok ? "" : "mailbox";
		record_session_fact(s, &f);
	}
}

static void
put_end(struct record_session *s, const struct mail *m, const char *id)
{
	struct fact f = { .type = FACT_TRANSACTION, .now_us = 5002000 };

	f.u.transaction.transaction_id = id;
	f.u.transaction.sender = span_str(m->sender);
	f.u.transaction.recipients = m->accepted + (m->refused != NULL);
	f.u.transaction.accepted = m->accepted;
	f.u.transaction.outcome = m->outcome;
	f.u.transaction.decided_by = m->group == NULL ? "rules" : "mx";
	f.u.transaction.code = m->code;
	f.u.transaction.enhanced = SPAN("");
	f.u.transaction.text = SPAN("not at the end");
	f.u.transaction.begin_us = 5000500;
	f.u.transaction.end_us = 5002000;
	f.u.transaction.mx_group = m->group == NULL ? "" : m->group;
	f.u.transaction.category = "";
	record_session_fact(s, &f);
}

static void
put_mail(struct record *r, struct fixture *f, const struct mail *m,
    uint64_t wall_us)
{
	struct record_session *s = record_session_new(r, &f->metrics);
	struct ulid id = ulid_next(&f->ids, wall_us);
	struct ulid transaction = ulid_next(&f->ids, wall_us);
	struct fact up = { .type = FACT_UPSTREAM, .now_us = 5000000 };

	put_open(s, 5000000, id.text, wall_us);
	up.u.upstream.remote = address("198.51.100.9:25");
	up.u.upstream.error = m->connect_error;
	up.u.upstream.reused = "";
	record_session_fact(s, &up);
	put_recipients(s, m, transaction.text);
	if (!m->is_open && m->connect_error[0] == '\0')
		put_end(s, m, transaction.text);
	if (!m->is_open)
		put_close(s, 5003000);
	record_session_end(s);
}

static void
has(const struct buf *report, const char *part)
{
	struct span s = buf_span(report);

	if (memmem(s.data, s.len, part, strlen(part)) == NULL)
		fail_msg("no %s in %.*s", part, (int)s.len,
		    (const char *)s.data);
}

#define ROW(sender, group, by, code, category, behaviour, counts) \
	"{\"sender\":" sender ",\"mx_group\":" group ",\"decided_by\":\"" by \
	"\",\"code\":" code ",\"enhanced\":null,\"category\":" category \
	",\"behaviour\":\"" behaviour "\"," counts
#define COUNTS(count, messages, recipients) "\"count\":" count \
	",\"messages\":" messages ",\"recipients\":" recipients ","
#define B "\"b@x.test\""
#define UNKNOWN "was refused without a known reason"

static void
each_refusal_counts_once(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct buf out;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(mails); i++)
		put_mail(r, f, &mails[i], WALL_US + i * SECOND);
	record_flush(r);
	buf_init(&out, 0);
	assert_int_equal(record_report(r, &out, WALL_US + SECOND, 100), 0);
	has(&out, "\"transactions\":10,\"delivered\":3,\"deferred\":2,"
	    "\"rejected\":2,\"unreached\":2,");
	has(&out, ROW("\"a@x.test\"", "\"g.test\"", "mx", "550",
	    "\"mailbox\"", "writes to mailboxes that are not there, or full",
	    COUNTS("1", "4", "1")));
	has(&out, ROW("\"a@x.test\"", "\"g.test\"", "mx", "554", "null",
	    UNKNOWN, COUNTS("1", "4", "1")));
	has(&out, ROW("\"a@x.test\"", "\"g.test\"", "mx", "451",
	    "\"mailbox\"", "writes to mailboxes that are not there, or full",
	    COUNTS("1", "4", "1")));
	has(&out, ROW(B, "\"g.test\"", "mx", "421", "null", UNKNOWN,
	    COUNTS("1", "2", "1")));
	has(&out, ROW(B, "null", "rules", "554", "null",
	    "was refused by policy rules", COUNTS("1", "2", "1")));
	has(&out, ROW("null", "\"198.51.100.9\"", "weir", "null",
	    "\"unreachable\"", "the MX could not be reached",
	    COUNTS("1", "0", "0")));
	has(&out, ROW("null", "\"198.51.100.9\"", "weir", "null",
	    "\"capped\"", "weir keeps to deliverability.cap",
	    COUNTS("1", "0", "0")));
	/* of an open one it is known already */
	has(&out, ROW("null", "null", "mx", "550", "\"mailbox\"",
	    "writes to mailboxes that are not there, or full",
	    COUNTS("1", "1", "1")));
	has(&out, "\"example_text\":\"not at RCPT\"");
	has(&out, "\"example_text\":\"not at the end\"");
	has(&out, "\"example_text\":\"timed out\"");
	buf_release(&out);
	record_stop(r);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
