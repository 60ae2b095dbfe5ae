/* Decisions: which may be obeyed, how several become one, weir's own words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "policy/decision.h"
#include "policy/event.h"

#define ALL_GRANTS ((1u << POLICY_GRANT_COUNT) - 2)
#define P(phase) POLICY_PHASE_##phase

static const struct addr clean_addresses[] = {
	{ .family = ADDR_IPV4, .ip = { 203, 0, 113, 10 } },
	{ .family = ADDR_IPV6, .ip = { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
};
static const struct policy_pool_info pools[] = {
	{ "clean", clean_addresses, 2, "out1.example.com" },
	{ "other", NULL, 0, "" },
};

static const char *
check(const struct policy_decision *d, enum policy_phase phase,
    unsigned grants)
{
	const struct policy_rules rules = {
		.phase = phase, .grants = grants, .pools = pools,
		.n_pools = ARRAY_LEN(pools), .delay_max_ms = 1000,
	};

	return policy_decision_check(d, &rules);
}

static void
check_row(size_t row, const struct policy_decision *d, enum policy_phase phase,
    unsigned grants, const char *words)
{
	const char *why = check(d, phase, grants);

	if ((why == NULL) != (words == NULL) ||
	    (why != NULL && strstr(why, words) == NULL))
		fail_msg("row %zu: %s, wanted %s", row, why == NULL ? "ok" :
		    why, words == NULL ? "ok" : words);
}

static void
test_actions(void **state)
{
	static const struct {
		int action, scope;
		enum policy_phase phase;
		unsigned grants;
		const char *why;
	} rows[] = {
		{ POLICY_RELAY, 0, P(CONNECT), 0, NULL },
		{ POLICY_RELAY, 2, P(MAIL), 0, NULL },
		{ POLICY_RELAY, 3, P(MAIL), 0, "scope" },
		{ POLICY_ACTION_NONE, 0, P(MAIL), 0, "action" },
		{ POLICY_ACTION_COUNT, 0, P(MAIL), 0, "action" },
		{ POLICY_DISCARD, 0, P(MAIL), 0, "not granted" },
		{ POLICY_DISCARD, 0, P(MAIL), ALL_GRANTS, NULL },
		{ POLICY_DISCARD, 0, P(RCPT), ALL_GRANTS, NULL },
		{ POLICY_DISCARD, 0, P(DATA), ALL_GRANTS, NULL },
		{ POLICY_DISCARD, 0, P(HEADERS), ALL_GRANTS, NULL },
		{ POLICY_DISCARD, 0, P(BODY), ALL_GRANTS, NULL },
		{ POLICY_DISCARD, 0, P(END_OF_MESSAGE), ALL_GRANTS, NULL },
		{ POLICY_DISCARD, 0, P(CONNECT), ALL_GRANTS, "only fits" },
		{ POLICY_DISCARD, 0, P(EHLO), ALL_GRANTS, "only fits" },
		{ POLICY_DISCARD, 0, P(AUTH), ALL_GRANTS, "only fits" },
		{ POLICY_DISCARD, 0, P(COMMAND), ALL_GRANTS, "only fits" },
		{ POLICY_DISCONNECT, 0, P(EHLO), 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_decision d = {
			.action = (enum policy_action)rows[i].action,
			.scope = (enum policy_scope)rows[i].scope,
		};

		check_row(i, &d, rows[i].phase, rows[i].grants, rows[i].why);
	}
}

static void
test_unreadable(void **state)
{
	const struct policy_decision d = { .unreadable = "a reason" };

	(void)state;
	assert_string_equal(check(&d, P(MAIL), ALL_GRANTS), "a reason");
}

static void
test_replies(void **state)
{
	static const struct {
		enum policy_action action;
		unsigned code;
		struct span enhanced;
		size_t n_lines;
		struct span line;
		const char *why;
	} rows[] = {
		{ POLICY_REJECT, 550, SPAN("5.7.1"), 1, SPAN("no"), NULL },
		{ POLICY_REJECT, 550, SPAN(""), 1, SPAN("n\xc3\xb6"), NULL },
		{ POLICY_REJECT, 599, SPAN("5.999.999"), 0, SPAN(""), NULL },
		{ POLICY_REJECT, 499, SPAN(""), 1, SPAN("no"), "5xx" },
		{ POLICY_REJECT, 600, SPAN(""), 1, SPAN("no"), "5xx" },
		{ POLICY_REJECT, 250, SPAN(""), 1, SPAN("no"), "5xx" },
		{ POLICY_REJECT, 550, SPAN("4.7.1"), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5.7"), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5.7."), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5..1"), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5.7.1000"), 1, SPAN("x"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5.7.1 "), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5x7.1"), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN("5.7.1\r"), 1, SPAN("no"), "fit" },
		{ POLICY_REJECT, 550, SPAN(""), 1, SPAN("a\r\nb"), "CR, LF" },
		{ POLICY_REJECT, 550, SPAN(""), 1, SPAN("a\nb"), "CR, LF" },
		{ POLICY_REJECT, 550, SPAN(""), 1, SPAN("a\rb"), "CR, LF" },
		{ POLICY_REJECT, 550, SPAN(""), 1, SPAN("a\0b"), "CR, LF" },
		{ POLICY_REJECT, 0, SPAN(""), 1, SPAN("no"), "no code" },
		{ POLICY_REJECT, 0, SPAN("5.7.1"), 0, SPAN(""), "no code" },
		{ POLICY_TEMPFAIL, 451, SPAN("4.7.1"), 1, SPAN("x"), NULL },
		{ POLICY_TEMPFAIL, 550, SPAN(""), 1, SPAN("x"), "4xx" },
		{ POLICY_TEMPFAIL, 451, SPAN("5.7.1"), 1, SPAN("x"), "fit" },
		{ POLICY_DISCONNECT, 421, SPAN("4.3.2"), 1, SPAN("x"), NULL },
		{ POLICY_DISCONNECT, 451, SPAN(""), 1, SPAN("x"), "421" },
		{ POLICY_DISCARD, 250, SPAN("2.0.0"), 1, SPAN("x"), NULL },
		{ POLICY_DISCARD, 251, SPAN(""), 1, SPAN("x"), "250" },
		{ POLICY_RELAY, 250, SPAN(""), 1, SPAN("x"), "no reply" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_decision d = {
			.action = rows[i].action,
			.reply = { .code = rows[i].code,
			    .enhanced = rows[i].enhanced,
			    .lines = { rows[i].line },
			    .n_lines = rows[i].n_lines },
		};

		check_row(i, &d, P(MAIL), ALL_GRANTS, rows[i].why);
	}
}

static void
test_long_line(void **state)
{
	uint8_t text[511];
	struct policy_decision d = {
		.action = POLICY_REJECT,
		.reply = { .code = 550, .n_lines = 2,
		    .lines = { SPAN("first"), { text, 510 } } },
	};

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_null(check(&d, P(MAIL), 0));
	d.reply.lines[1].len = 511;
	assert_non_null(strstr(check(&d, P(MAIL), 0), "510"));
}

static void
test_edits(void **state)
{
	static const struct {
		struct span name, value;
		enum policy_phase phase;
		unsigned grants;
		const char *why;
	} rows[] = {
		{ SPAN("X-A"), SPAN("b"), P(HEADERS), ALL_GRANTS, NULL },
		{ SPAN("X-A"), SPAN(""), P(END_OF_MESSAGE), ALL_GRANTS, NULL },
		{ SPAN("X-A"), SPAN("b"), P(HEADERS),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_HEADERS), "granted" },
		{ SPAN("X-A"), SPAN("b"), P(MAIL), ALL_GRANTS, "only fit" },
		{ SPAN("X-A"), SPAN("b"), P(BODY), ALL_GRANTS, "only fit" },
		{ SPAN("X-A"), SPAN("b\r\n c\r\n\td"), P(HEADERS), ALL_GRANTS,
		    NULL },
		{ SPAN("X-A"), SPAN("\r\n b"), P(HEADERS), ALL_GRANTS, NULL },
		{ SPAN("X-A"), SPAN("b\r\n"), P(HEADERS), ALL_GRANTS, "value" },
		{ SPAN("X-A"), SPAN("b\r\nc: d"), P(HEADERS), ALL_GRANTS,
		    "value" },
		{ SPAN("X-A"), SPAN("b\n c"), P(HEADERS), ALL_GRANTS, "value" },
		{ SPAN("X-A"), SPAN("b\r c"), P(HEADERS), ALL_GRANTS, "value" },
		{ SPAN("X-A"), SPAN("b\r"), P(HEADERS), ALL_GRANTS, "value" },
		{ SPAN("X-A"), SPAN("b\0"), P(HEADERS), ALL_GRANTS, "value" },
		{ SPAN("X-A"), SPAN("b\r\n\r\n"), P(HEADERS), ALL_GRANTS,
		    "value" },
		{ SPAN(""), SPAN("b"), P(HEADERS), ALL_GRANTS, "name" },
		{ SPAN("X A"), SPAN("b"), P(HEADERS), ALL_GRANTS, "name" },
		{ SPAN("X:A"), SPAN("b"), P(HEADERS), ALL_GRANTS, "name" },
		{ SPAN("X\r\nA"), SPAN("b"), P(HEADERS), ALL_GRANTS, "name" },
		{ SPAN("X\0A"), SPAN("b"), P(HEADERS), ALL_GRANTS, "name" },
		{ SPAN("X\xc3\xa4"), SPAN("b"), P(HEADERS), ALL_GRANTS,
		    "name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_header_edit edits[] = {
			{ POLICY_EDIT_ADD, SPAN("Good"), SPAN("yes"), 0 },
			{ POLICY_EDIT_ADD, rows[i].name, rows[i].value, 0 },
		};
		const struct policy_decision d = {
			.action = POLICY_RELAY, .edits = edits, .n_edits = 2,
		};

		check_row(i, &d, rows[i].phase, rows[i].grants, rows[i].why);
	}
}

static void
test_splices(void **state)
{
	static const struct {
		struct policy_splice splices[2];
		size_t n;
		enum policy_phase phase;
		unsigned grants;
		const char *why;
	} rows[] = {
		{ { { 0, 0, SPAN("a\r\n") }, { 0, 1, SPAN("b") } }, 2,
		    P(END_OF_MESSAGE), ALL_GRANTS, NULL },
		{ { { 3, 4, SPAN("") }, { 7, 0, SPAN("b") } }, 2,
		    P(END_OF_MESSAGE), ALL_GRANTS, NULL },
		{ { { 3, 4, SPAN("") }, { 6, 0, SPAN("b") } }, 2,
		    P(END_OF_MESSAGE), ALL_GRANTS, "overlap" },
		{ { { 3, 0, SPAN("") }, { 2, 0, SPAN("b") } }, 2,
		    P(END_OF_MESSAGE), ALL_GRANTS, "overlap" },
		{ { { 3, UINT64_MAX - 2, SPAN("") } }, 1,
		    P(END_OF_MESSAGE), ALL_GRANTS, "leaves" },
		{ { { 0, 0, SPAN("a\n") } }, 1,
		    P(END_OF_MESSAGE), ALL_GRANTS, "bare" },
		{ { { 0, 0, SPAN("a\r") } }, 1,
		    P(END_OF_MESSAGE), ALL_GRANTS, "bare" },
		{ { { 0, 0, SPAN("\r\r\n") } }, 1,
		    P(END_OF_MESSAGE), ALL_GRANTS, "bare" },
		{ { { 0, 0, SPAN("\r\n\n") } }, 1,
		    P(END_OF_MESSAGE), ALL_GRANTS, "bare" },
		{ { { 0, 0, SPAN("a") } }, 1, P(HEADERS), ALL_GRANTS,
		    "END_OF_MESSAGE" },
		{ { { 0, 0, SPAN("a") } }, 1, P(END_OF_MESSAGE),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_BODY), "granted" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_decision d = {
			.action = POLICY_RELAY, .splices = rows[i].splices,
			.n_splices = rows[i].n,
		};

		check_row(i, &d, rows[i].phase, rows[i].grants, rows[i].why);
	}
}

#define HOP { .family = ADDR_IPV4, .port = 25, .ip = { 192, 0, 2, 99 } }

static void
test_outbound(void **state)
{
	static const char *const names[33] = { "mx.example.net",
	    "*.example.net", "192.0.2.1" };
	static const struct tls_tlsa tlsa[17] = {
		{ 3, 1, 1, { (const uint8_t *)"x", 1 } },
	};
#define NAMES(n) { .names = names, .n_names = (n) }
#define TLSA(n) { .tlsa = tlsa, .n_tlsa = (n) }
	static const struct {
		struct policy_outbound outbound;
		enum policy_phase phase;
		unsigned grants;
		const char *why;
	} rows[] = {
		{ { .source_address = SPAN("203.0.113.10") }, P(CONNECT),
		    ALL_GRANTS, NULL },
		{ { .source_address = SPAN("2001:db8::1") }, P(MAIL),
		    ALL_GRANTS, NULL },
		{ { .source_address = SPAN("203.0.113.11") }, P(MAIL),
		    ALL_GRANTS, "in no pool" },
		{ { .source_address = SPAN("clean") }, P(MAIL), ALL_GRANTS,
		    "in no pool" },
		{ { .source_pool = SPAN("other") }, P(RCPT), ALL_GRANTS, NULL },
		{ { .source_pool = SPAN("Clean") }, P(RCPT), ALL_GRANTS,
		    "no such" },
		{ { .source_pool = SPAN("clean"),
		    .source_address = SPAN("203.0.113.10") }, P(RCPT),
		    ALL_GRANTS, "both" },
		{ { .ehlo_name = SPAN("a.example") }, P(MAIL), ALL_GRANTS,
		    NULL },
		{ { .ehlo_name = SPAN("a example") }, P(MAIL), ALL_GRANTS,
		    "EHLO" },
		{ { .ehlo_name = SPAN("a\r\nMAIL") }, P(MAIL), ALL_GRANTS,
		    "EHLO" },
		{ { .tls = POLICY_TLS_ENCRYPT }, P(MAIL), ALL_GRANTS, NULL },
		{ { .tls = POLICY_TLS_ENCRYPT }, P(DATA), ALL_GRANTS,
		    "only fits" },
		{ { .tls = POLICY_TLS_ENCRYPT }, P(EHLO), ALL_GRANTS,
		    "only fits" },
		{ { .tls = POLICY_TLS_MAY }, P(MAIL),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_OUTBOUND), "granted" },
		{ { .next_hop = HOP }, P(MAIL),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_NEXT_HOP), "granted" },
		{ { .next_hop = HOP }, P(MAIL), ALL_GRANTS, NULL },
		{ { .next_hop = HOP }, P(DATA), ALL_GRANTS, "only fits" },
		{ { .next_hop = HOP }, P(RCPT),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_OUTBOUND), NULL },
		{ { .next_hop = HOP, .ehlo_name = SPAN("a.example") },
		    P(CONNECT), ALL_GRANTS & ~(1u << POLICY_GRANT_OUTBOUND),
		    "granted" },
		{ { .tls = POLICY_TLS_VERIFY }, P(RCPT), ALL_GRANTS, NULL },
		{ { .tls = POLICY_TLS_VERIFY, .demand = NAMES(2) }, P(RCPT),
		    ALL_GRANTS, NULL },
		{ { .tls = POLICY_TLS_VERIFY, .demand = NAMES(2) }, P(RCPT),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_OUTBOUND), "granted" },
		{ { .tls = POLICY_TLS_VERIFY, .demand = NAMES(3) }, P(RCPT),
		    ALL_GRANTS, "no host name" },
		{ { .tls = POLICY_TLS_VERIFY, .demand = NAMES(33) }, P(RCPT),
		    ALL_GRANTS, "more than 32" },
		{ { .tls = POLICY_TLS_ENCRYPT, .demand = NAMES(1) }, P(RCPT),
		    ALL_GRANTS, "only fit" },
		{ { .demand = NAMES(1) }, P(MAIL), ALL_GRANTS, "only fit" },
		{ { .tls = POLICY_TLS_DANE, .demand = TLSA(1) }, P(MAIL),
		    ALL_GRANTS, NULL },
		{ { .tls = POLICY_TLS_VERIFY, .demand = TLSA(1) }, P(MAIL),
		    ALL_GRANTS, "only fits" },
		{ { .tls = POLICY_TLS_DANE, .demand = TLSA(2) }, P(MAIL),
		    ALL_GRANTS, "no data" },
		{ { .tls = POLICY_TLS_DANE, .demand = TLSA(17) }, P(MAIL),
		    ALL_GRANTS, "more than 16" },
	};
#undef NAMES
#undef TLSA

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_decision d = {
			.action = POLICY_RELAY, .outbound = rows[i].outbound,
		};

		d.outbound.set = true;
		check_row(i, &d, rows[i].phase, rows[i].grants, rows[i].why);
	}
}

static void
test_rewrites(void **state)
{
	static const struct {
		struct span rewrite;
		enum policy_phase phase;
		unsigned grants;
		const char *why;
	} rows[] = {
		{ SPAN("a@b"), P(MAIL), ALL_GRANTS, NULL },
		{ SPAN(""), P(MAIL), ALL_GRANTS, NULL },
		{ SPAN("a@b"), P(RCPT), ALL_GRANTS, NULL },
		{ SPAN(""), P(RCPT), ALL_GRANTS, "nothing" },
		{ SPAN("a@b"), P(DATA), ALL_GRANTS, "only fits" },
		{ SPAN("a@b"), P(MAIL),
		    ALL_GRANTS & ~(1u << POLICY_GRANT_ENVELOPE), "granted" },
		{ SPAN("a@b>"), P(MAIL), ALL_GRANTS, "holds" },
		{ SPAN("<a@b"), P(MAIL), ALL_GRANTS, "holds" },
		{ SPAN("a@b\r\n"), P(MAIL), ALL_GRANTS, "holds" },
		{ SPAN("a\0@b"), P(MAIL), ALL_GRANTS, "holds" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct policy_decision d = {
			.action = POLICY_RELAY, .rewrite_set = true,
			.rewrite = rows[i].rewrite,
		};

		check_row(i, &d, rows[i].phase, rows[i].grants, rows[i].why);
	}
}

/* Every pair of votes: nothing, pending, and the five actions. */
enum { NONE, PEND, RELAY, DISC, TEMP, REJ, CLOSE, VOTES };

static const struct policy_decision vote_decisions[VOTES] = {
	[RELAY] = { .action = POLICY_RELAY },
	[DISC] = { .action = POLICY_DISCARD },
	[TEMP] = { .action = POLICY_TEMPFAIL },
	[REJ] = { .action = POLICY_REJECT },
	[CLOSE] = { .action = POLICY_DISCONNECT },
};

static struct policy_vote
vote(int v)
{
	return (struct policy_vote){
		.pending = v == PEND,
		.decision = v == NONE || v == PEND ? NULL : &vote_decisions[v],
	};
}

/* Which wins: 0 the first, 1 the second, - nobody; and + settled, ? not. */
static const char *const pairs[VOTES][VOTES] = {
	/*	     none  pend  relay disc  temp  rej   close: the second */
	[NONE] =  { "-+", "-?", "1+", "1+", "1+", "1+", "1+" },
	[PEND] =  { "-?", "-?", "1?", "1?", "1?", "1?", "1?" },
	[RELAY] = { "0+", "0?", "0+", "1+", "1+", "1+", "1+" },
	[DISC] =  { "0+", "0?", "0+", "0+", "1+", "1+", "1+" },
	[TEMP] =  { "0+", "0?", "0+", "0+", "0+", "1+", "1+" },
	[REJ] =   { "0+", "0?", "0+", "0+", "0+", "0+", "1+" },
	[CLOSE] = { "0+", "0+", "0+", "0+", "0+", "0+", "0+" },
};

static void
test_merge_pairs(void **state)
{
	(void)state;
	for (int a = 0; a < VOTES; a++) {
		for (int b = 0; b < VOTES; b++) {
			const struct policy_vote votes[] = { vote(a), vote(b) };
			const char *want = pairs[a][b];
			struct policy_merge m;
			int winner = want[0] == '-' ? -1 : want[0] - '0';

			policy_merge(votes, 2, &m);
			if (m.winner != winner ||
			    m.settled != (want[1] == '+'))
				fail_msg("pair %d %d: winner %d settled %d",
				    a, b, m.winner, m.settled);
			assert_int_equal(m.action, winner < 0 ? POLICY_RELAY :
			    votes[winner].decision->action);
		}
	}
}

/* Two stages of one policy each, with every pair of actions; the second one is
 * only there when the first has nothing against it. */
static void
test_merge_stages(void **state)
{
	(void)state;
	for (int a = 0; a < VOTES; a++) {
		for (int b = 0; b < VOTES; b++) {
			const struct policy_vote first = vote(a),
			    second = vote(b);
			struct policy_merge m, one, two;
			bool ends;
			int winner;

			policy_merge(NULL, 0, &m);
			policy_merge(&first, 1, &one);
			policy_merge(&second, 1, &two);
			policy_merge_stage(&m, &one, 0);
			ends = !one.settled || one.action != POLICY_RELAY;
			if (!ends)
				policy_merge_stage(&m, &two, 1);
			winner = ends || two.winner < 0 || (one.winner == 0 &&
			    two.action == POLICY_RELAY) ? one.winner : 1;
			if (m.winner != winner || m.action != (winner == 1 ?
			    two.action : one.action) || m.settled !=
			    (ends ? one.settled : two.settled))
				fail_msg("stages %d %d: winner %d settled %d",
				    a, b, m.winner, m.settled);
		}
	}
}

static void
test_merge_stages_rest(void **state)
{
	struct policy_merge m = { .winner = 0, .action = POLICY_RELAY,
	    .delay_ms = 7, .outbound = -1, .rewrite = 1, .settled = true };
	const struct policy_merge second = { .winner = 1,
	    .action = POLICY_RELAY, .delay_ms = 3, .outbound = 2,
	    .rewrite = -1, .settled = true },
	    third = { .winner = 0, .action = POLICY_TEMPFAIL, .delay_ms = 9,
	    .outbound = 0, .rewrite = 0, .settled = true };

	(void)state;
	policy_merge_stage(&m, &second, 2);
	assert_int_equal(m.winner, 0);
	assert_int_equal(m.delay_ms, 7);
	assert_int_equal(m.outbound, 4);
	assert_int_equal(m.rewrite, 1);
	policy_merge_stage(&m, &third, 5);
	assert_int_equal(m.winner, 5);
	assert_int_equal(m.action, POLICY_TEMPFAIL);
	assert_int_equal(m.delay_ms, 9);
	assert_int_equal(m.outbound, 4);
	assert_int_equal(m.rewrite, 5);
}

static void
test_merge_rest(void **state)
{
	static const struct policy_decision first = {
		.action = POLICY_RELAY, .delay_ms = 5,
		.outbound = { .set = true },
	}, second = {
		.action = POLICY_REJECT, .delay_ms = 9,
		.outbound = { .set = true }, .rewrite_set = true,
	}, unread = { .action = POLICY_ACTION_NONE, .delay_ms = 99 };
	const struct policy_vote votes[] = {
		{ true, &second }, { false, &unread }, { false, NULL },
		{ false, &first }, { false, &second }, { false, &second },
	};
	struct policy_merge m;

	(void)state;
	policy_merge(votes, ARRAY_LEN(votes), &m);
	assert_int_equal(m.winner, 4);
	assert_int_equal(m.delay_ms, 9);
	assert_int_equal(m.outbound, 3);
	assert_int_equal(m.rewrite, 4);
	assert_false(m.settled);

	policy_merge(votes + 1, 3, &m);
	assert_int_equal(m.winner, 2);
	assert_int_equal(m.rewrite, -1);
	assert_true(m.settled);

	policy_merge(NULL, 0, &m);
	assert_int_equal(m.winner, -1);
	assert_int_equal(m.action, POLICY_RELAY);
	assert_int_equal(m.outbound, -1);
	assert_true(m.settled);
}

static void
test_default_replies(void **state)
{
	static const struct {
		enum policy_action action;
		enum policy_phase phase;
		unsigned given, code;
		const char *enhanced;
	} rows[] = {
		{ POLICY_REJECT, P(CONNECT), 0, 554, "5.7.1" },
		{ POLICY_REJECT, P(MAIL), 0, 550, "5.7.1" },
		{ POLICY_REJECT, P(END_OF_MESSAGE), 0, 550, "5.7.1" },
		{ POLICY_REJECT, P(CONNECT), 521, 521, "5.7.1" },
		{ POLICY_TEMPFAIL, P(RCPT), 0, 451, "4.7.1" },
		{ POLICY_TEMPFAIL, P(RCPT), 452, 452, "4.7.1" },
		{ POLICY_DISCONNECT, P(RCPT), 0, 421, "4.7.1" },
		{ POLICY_DISCARD, P(RCPT), 0, 250, "2.0.0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_reply r = { .code = rows[i].given };
		struct policy_decision d = { .action = rows[i].action };

		policy_default_reply(rows[i].action, rows[i].phase, &r);
		assert_int_equal(r.code, rows[i].code);
		assert_true(span_eq(r.enhanced, span_str(rows[i].enhanced)));
		assert_int_equal(r.n_lines, 1);
		assert_true(r.lines[0].len > 0);
		d.reply = r;		/* weir's own words are valid words */
		if (d.action != POLICY_DISCARD)
			assert_null(check(&d, rows[i].phase, 0));
	}
}

static void
test_default_reply_keeps(void **state)
{
	struct policy_reply r = { .code = 550, .enhanced = SPAN("5.1.1"),
	    .lines = { SPAN("gone") }, .n_lines = 1 }, none = { 0 };

	(void)state;
	policy_default_reply(POLICY_REJECT, P(RCPT), &r);
	assert_true(span_eq(r.enhanced, SPAN("5.1.1")));
	assert_int_equal(r.n_lines, 1);
	assert_true(span_eq(r.lines[0], SPAN("gone")));
	policy_default_reply(POLICY_RELAY, P(RCPT), &none);
	assert_int_equal(none.code, 0);
	assert_int_equal(none.n_lines, 0);
}

static void
test_fallbacks(void **state)
{
	static const enum policy_action actions[] = { POLICY_RELAY,
	    POLICY_TEMPFAIL, POLICY_REJECT, POLICY_DISCONNECT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		const struct policy_decision *d = policy_fallback(actions[i]);

		assert_int_equal(d->action, actions[i]);
		assert_int_equal(d->scope, POLICY_SCOPE_COMMAND);
		assert_null(check(d, P(MAIL), 0));
		policy_decision_free((struct policy_decision *)d);
	}
	policy_decision_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_splices),
		cmocka_unit_test(test_outbound),
		cmocka_unit_test(test_rewrites),
		cmocka_unit_test(test_merge_pairs),
		cmocka_unit_test(test_merge_rest),
		cmocka_unit_test(test_merge_stages),
		cmocka_unit_test(test_merge_stages_rest),
		cmocka_unit_test(test_default_replies),
		cmocka_unit_test(test_default_reply_keeps),
		cmocka_unit_test(test_fallbacks),
	};

	return cmocka_run_group_tests_name("policy/decision", tests, NULL,
	    NULL);
}
