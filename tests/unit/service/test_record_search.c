/*
 * Searches against a check of each session by hand: by every pair of
 * arguments, and page by page. Several workers' sessions begin within the same
 * millisecond, as they do under load.
 */
#include "record_fixture.h"

enum { MADE = 400, WORKERS = 4, PAGE = 7, VALUES = 4 };

static const char *const senders[VALUES] = { "", "a_c@One.example",
	"o'%q@two.example", "\"x@y\"@two.example" };
static const char *const recipients[VALUES] = { "abc@one.example",
	"ABC@Three.example", "postmaster", "\xc3\xa4\xff@three.example" };
static const char *const clients[VALUES] = { "192.0.2.1", "192.0.2.11",
	"2001:db8::1", "::1" };
static const char *const mxs[VALUES] = { "198.51.100.1", "198.51.100.11",
	"2001:db8::25", "2001:db8::2" };
static const char *const groups[VALUES] = { "one.example", "two.example",
	"198.51.100.0/24", "google.com" };
static const char *const policies[VALUES] = { "reputation", "p%", "p_", "P" };
static const struct { unsigned code; const char *enhanced; } replies[VALUES] = {
	{ 250, "2.0.0" }, { 451, "4.7.1" }, { 550, "5.7.1" }, { 554, "5.7.10" },
};

struct made_transaction {
	unsigned sender, recipients[2], replies[2], reply, group;
};

struct made {
	uint64_t wall_us;
	char id[ULID_TEXT_LEN + 1];
	unsigned client, mx, policy, n;
	struct made_transaction t[2];
};

struct argument {
	size_t field;			/* of struct record_query */
	const char *text;
};

#define FIELD(name) offsetof(struct record_query, name)
static const struct argument arguments[] = {
	{ FIELD(sender), "<>" },
	{ FIELD(sender), "A_C@one.EXAMPLE" },
	{ FIELD(sender), "abc@one.example" },
	{ FIELD(sender), "<o'%q@two.example>" },
	{ FIELD(sender), "@two.example" },
	{ FIELD(sender), "\"x@y\"@two.example" },
	{ FIELD(sender), "@%" },
	{ FIELD(recipient), "abc@one.example" },
	{ FIELD(recipient), "@three.example" },
	{ FIELD(recipient), "postmaster" },
	{ FIELD(recipient), "\xc3\xa4\xff@three.example" },
	{ FIELD(client), "192.0.2.1" },
	{ FIELD(client), "2001:db8::1" },
	{ FIELD(mx), "198.51.100.1" },
	{ FIELD(mx), "2001:db8::2" },
	{ FIELD(mx), "one.example" },
	{ FIELD(mx), "198.51.100.0/24" },
	{ FIELD(code), "550" },
	{ FIELD(code), "5xx" },
	{ FIELD(code), "4XX" },
	{ FIELD(code), "250" },
	{ FIELD(code), "2xx" },
	{ FIELD(code), "5.7.1" },
	{ FIELD(code), "2.0.0" },
	{ FIELD(outcome), "delivered" },
	{ FIELD(outcome), "deferred" },
	{ FIELD(outcome), "rejected" },
	{ FIELD(policy), "p_" },
	{ FIELD(policy), "p%" },
	{ FIELD(policy), "p" },
};

/* ------------------------------------------------------------- by hand */

static const char *
bare(const char *text, char out[64])
{
	size_t n = strlen(text);

	if (text[0] == '<')
		snprintf(out, 64, "%.*s", (int)n - 2, text + 1);
	else
		snprintf(out, 64, "%s", text);
	return out;
}

static bool
address_fits(const char *wanted, const char *there)
{
	char text[64];
	const char *at = strrchr(there, '@');

	if (wanted[0] == '@')
		return strcasecmp(at == NULL ? there : at + 1, wanted + 1) ==
		    0;
	return strcasecmp(bare(wanted, text), there) == 0;
}

static bool
reply_fits(const char *wanted, unsigned i)
{
	char code[8];

	snprintf(code, sizeof(code), "%u", replies[i].code);
	if (wanted[1] == '.')
		return strcmp(wanted, replies[i].enhanced) == 0;
	if (wanted[1] == 'x' || wanted[1] == 'X')
		return wanted[0] == code[0];
	return strcmp(wanted, code) == 0;
}

static const char *
outcome_of(unsigned reply)
{
	return reply == 0 ? "delivered" : reply == 1 ? "deferred" : "rejected";
}

static bool
transaction_fits(const struct made_transaction *t, const struct argument *a)
{
	unsigned i;

	if (a->field == FIELD(sender))
		return address_fits(a->text, senders[t->sender]);
	if (a->field == FIELD(mx))
		return strcmp(a->text, groups[t->group]) == 0;
	if (a->field == FIELD(code) && reply_fits(a->text, t->reply))
		return true;
	for (i = 0; i < 2; i++)
		if ((a->field == FIELD(recipient) && address_fits(a->text,
		    recipients[t->recipients[i]])) ||
		    (a->field == FIELD(code) &&
		    reply_fits(a->text, t->replies[i])))
			return true;
	return false;
}

static bool
fits(const struct made *m, const struct argument *a)
{
	unsigned i, worst = 0;

	if (a->field == FIELD(client))
		return strcmp(a->text, clients[m->client]) == 0;
	if (a->field == FIELD(policy))
		return strcmp(a->text, policies[m->policy]) == 0;
	if (a->field == FIELD(mx) && strcmp(a->text, mxs[m->mx]) == 0)
		return true;
	for (i = 0; i < m->n; i++) {
		if (m->t[i].reply > worst)
			worst = m->t[i].reply;
		if (transaction_fits(&m->t[i], a))
			return true;
	}
	return a->field == FIELD(outcome) &&
	    strcmp(a->text, outcome_of(worst)) == 0;
}

/* -------------------------------------------------------------- making */

static unsigned
draw(uint64_t *seed, unsigned n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (unsigned)(*seed >> 20) % n;
}

static void
put_one(struct record_session *s, const struct made_transaction *t,
    const char *id, const char *policy, const char *group_source)
{
	struct fact f = { .type = FACT_RECIPIENT, .now_us = 5000 };
	unsigned i;

	for (i = 0; i < 2; i++) {
		f.u.recipient.transaction_id = id;
		f.u.recipient.index = i;
		f.u.recipient.address = span_str(recipients[t->recipients[i]]);
		f.u.recipient.accepted = t->replies[i] == 0;
		f.u.recipient.decided_by = "mx";
		f.u.recipient.category = "";
		f.u.recipient.code = replies[t->replies[i]].code;
		f.u.recipient.enhanced =
		    span_str(replies[t->replies[i]].enhanced);
		record_session_fact(s, &f);
	}
	f = (struct fact){ .type = FACT_DECISION, .now_us = 5001 };
	f.u.decision.policy = policy;
	f.u.decision.version = f.u.decision.error_text = "";
	f.u.decision.transaction_id = id;
	f.u.decision.phase = POLICY_PHASE_MAIL;
	f.u.decision.action = POLICY_RELAY;
	record_session_fact(s, &f);
	f = (struct fact){ .type = FACT_TRANSACTION, .now_us = 6000 };
	f.u.transaction.transaction_id = id;
	f.u.transaction.sender = span_str(senders[t->sender]);
	f.u.transaction.outcome = t->reply == 0 ? POLICY_OUTCOME_DELIVERED :
	    t->reply == 1 ? POLICY_OUTCOME_DEFERRED : POLICY_OUTCOME_REJECTED;
	f.u.transaction.decided_by = "mx";
	f.u.transaction.code = replies[t->reply].code;
	f.u.transaction.enhanced = span_str(replies[t->reply].enhanced);
	f.u.transaction.begin_us = 5000;
	f.u.transaction.mx_group = groups[t->group];
	f.u.transaction.category = "";
	f.u.transaction.local = address(group_source);
	record_session_fact(s, &f);
}

static struct addr
with_port(const char *text)
{
	char both[64];

	snprintf(both, sizeof(both), strchr(text, ':') ? "[%s]:25" : "%s:25",
	    text);
	return address(both);
}

static void
put_made(struct record *r, struct fixture *f, struct ulid_source *worker,
    struct made *m, uint64_t *seed)
{
	struct record_session *s = record_session_new(r, &f->metrics);
	struct ulid id = ulid_next(worker, m->wall_us), transaction;
	struct fact fact = { .type = FACT_OPEN, .now_us = 4000 };
	unsigned i;

	memcpy(m->id, id.text, sizeof(m->id));
	m->client = draw(seed, VALUES);
	m->mx = draw(seed, VALUES);
	m->policy = draw(seed, VALUES);
	m->n = 1 + draw(seed, 2);
	fact.u.open.id = m->id;
	fact.u.open.wall_us = m->wall_us;
	fact.u.open.listener = "outbound";
	fact.u.open.client = with_port(clients[m->client]);
	fact.u.open.destination = with_port(mxs[m->mx]);
	record_session_fact(s, &fact);
	fact = (struct fact){ .type = FACT_UPSTREAM, .now_us = 4001 };
	fact.u.upstream.local = address("203.0.113.10:50000");
	fact.u.upstream.remote = with_port(mxs[m->mx]);
	fact.u.upstream.error = fact.u.upstream.reused = "";
	record_session_fact(s, &fact);
	for (i = 0; i < m->n; i++) {
		m->t[i] = (struct made_transaction){
			.sender = draw(seed, VALUES),
			.recipients = { draw(seed, VALUES),
			    draw(seed, VALUES) },
			.reply = draw(seed, 3) == 0 ? draw(seed, VALUES) : 0,
			.group = draw(seed, VALUES),
		};
		if (draw(seed, 4) == 0)
			m->t[i].replies[draw(seed, 2)] = draw(seed, VALUES);
		transaction = ulid_next(worker, m->wall_us);
		put_one(s, &m->t[i], transaction.text, policies[m->policy],
		    "203.0.113.10:50000");
	}
	put_close(s, 9000);
	record_session_end(s);
}

/* ----------------------------------------------------------- comparing */

static void
set(struct record_query *q, const struct argument *a)
{
	struct span text = span_str(a->text);

	memcpy((char *)q + a->field, &text, sizeof(text));
}

/* Newest first; the array is in the order of time. */
static void
compare(struct record *r, const struct made *all, struct record_query *q,
    const struct argument *a, const struct argument *b)
{
	static const char key[] = "\"id\":\"";
	const struct made *m = all + MADE;
	struct buf out;
	const char *at;
	unsigned n;

	buf_init(&out, 0);
	do {
		buf_clear(&out);
		assert_int_equal(record_list(r, &out, q, PAGE), 0);
		buf_append_byte(&out, '\0');
		at = (const char *)buf_span(&out).data;
		for (n = 0; (at = strstr(at, key)) != NULL; n++) {
			at += strlen(key);
			while (m > all && (!fits(m - 1, a) || !fits(m - 1, b)))
				m--;
			if (m == all)
				fail_msg("%s and %s: too many: %.26s", a->text,
				    b->text, at);
			m--;
			if (strncmp(at, m->id, ULID_TEXT_LEN) != 0)
				fail_msg("%s and %s: %.26s, not %s", a->text,
				    b->text, at, m->id);
			q->before = m->wall_us;
		}
	} while (n == PAGE);
	while (m > all)
		if (fits(--m, a) && fits(m, b))
			fail_msg("%s and %s: %s is missing", a->text, b->text,
			    m->id);
	buf_release(&out);
}

static void
every_pair_of_arguments(void **state)
{
	struct fixture *f = fixture_new("/tmp");
	struct record *r = record_start(&f->config);
	struct made *all = calloc(MADE, sizeof(*all));
	struct ulid_source workers[WORKERS];
	uint64_t seed = 88172645463325252u;
	struct record_query q;
	size_t i, k;

	(void)state;
	assert_non_null(all);
	for (i = 0; i < WORKERS; i++)
		ulid_source_init(&workers[i], i + 1);
	for (i = 0; i < MADE; i++) {
		all[i].wall_us = (i == 0 ? WALL_US : all[i - 1].wall_us) + 1 +
		    draw(&seed, 500);
		put_made(r, f, &workers[draw(&seed, WORKERS)], &all[i], &seed);
	}
	record_flush(r);
	for (i = 0; i < ARRAY_LEN(arguments); i++)
		for (k = i; k < ARRAY_LEN(arguments); k++) {
			if (k != i && arguments[k].field == arguments[i].field)
				continue;
			q = (struct record_query){ .before = 0 };
			set(&q, &arguments[i]);
			set(&q, &arguments[k]);
			compare(r, all, &q, &arguments[i], &arguments[k]);
		}
	free(all);
	record_stop(r);
	fixture_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
