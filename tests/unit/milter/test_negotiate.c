/*
 * Negotiation: what is offered, what is taken, and what a filter must not ask.
 */
#include "unit.h"

#include "milter-bridge/negotiate.h"

static void
test_offer(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	milter_negotiate_offer(&out, 6);
	/* byte for byte what Postfix 3.7 says */
	assert_span(buf_span(&out), SPAN("\0\0\0\15O\0\0\0\6"
	    "\0\0\1\xff\0\x1f\xff\xff"));
	buf_release(&out);
}

static void
test_answers(void **state)
{
	static const struct {
		uint8_t letter;
		struct span payload;
		const char *why;
	} table[] = {
		{ 'O', SPAN("\0\0\0\6\0\0\0\1\0\0\0\0"), NULL },
		{ 'O', SPAN("\0\0\0\2\0\0\0\0\0\0\0\0"), NULL },
		{ 'O', SPAN("\0\0\0\6\0\0\0\1\0\0\0"),
		    "the answer to the negotiation is cut" },
		{ 'O', SPAN(""), "the answer to the negotiation is cut" },
		{ 'c', SPAN("\0\0\0\6\0\0\0\1\0\0\0\0"),
		    "it does not answer the negotiation" },
		{ 'O', SPAN("\0\0\0\1\0\0\0\0\0\0\0\0"),
		    "it speaks another version of the protocol" },
		{ 'O', SPAN("\0\0\0\7\0\0\0\0\0\0\0\0"),
		    "it speaks another version of the protocol" },
		{ 'O', SPAN("\0\0\0\6\0\0\2\0\0\0\0\0"),
		    "it wants actions that were not offered" },
		{ 'O', SPAN("\0\0\0\6\0\0\0\0\0\x20\0\0"),
		    "it wants protocol options that were not offered" },
		{ 'O', SPAN("\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0"),
		    "the list of macros is cut" },
		{ 'O', SPAN("\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\0j"),
		    "the list of macros has no end" },
		{ 'O', SPAN("\0\0\0\6\0\0\0\0\0\0\0\0\0\0\0\77j\0"), NULL },
	};
	struct milter_terms terms;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_packet packet = {
			table[i].letter, table[i].payload
		};
		const char *why = milter_negotiate_decode(&packet, 6, &terms);

		if (table[i].why == NULL)
			assert_null(why);
		else
			assert_string_equal(why, table[i].why);
	}
}

static void
test_macros_by_stage(void **state)
{
	struct milter_packet packet = { 'O', SPAN("\0\0\0\6\0\0\1\0\0\0\0\0"
	    "\0\0\0\2i {auth_type}\0\0\0\0\5\0") };
	struct milter_terms terms;

	(void)state;
	assert_null(milter_negotiate_decode(&packet, 6, &terms));
	assert_true(terms.chosen[MILTER_AT_MAIL]);
	assert_span_str(terms.symbols[MILTER_AT_MAIL], "i {auth_type}");
	assert_true(terms.chosen[MILTER_AT_END]);
	assert_int_equal(terms.symbols[MILTER_AT_END].len, 0);
	assert_false(terms.chosen[MILTER_AT_RCPT]);
}

static void
test_what_it_wants(void **state)
{
	static const struct {
		enum milter_command command;
		uint32_t version, ways;
		bool wants, answers;
	} table[] = {
		{ MILTER_CONNECT, 6, 0, true, true },
		{ MILTER_CONNECT, 6, MILTER_NO_CONNECT, false, true },
		{ MILTER_HELO, 6, MILTER_NO_HELO, false, true },
		{ MILTER_MAIL, 6, MILTER_NO_MAIL, false, true },
		{ MILTER_RCPT, 6, MILTER_NO_RCPT | MILTER_NR_RCPT, false,
		    false },
		{ MILTER_DATA, 6, MILTER_NR_DATA, true, false },
		{ MILTER_DATA, 3, 0, false, true },
		{ MILTER_UNKNOWN, 2, 0, false, true },
		{ MILTER_UNKNOWN, 3, MILTER_NR_UNKNOWN, true, false },
		{ MILTER_HEADER, 2, MILTER_NR_HEADER, true, false },
		{ MILTER_HEADER, 6, MILTER_NO_HEADERS, false, true },
		{ MILTER_EOH, 6, MILTER_NO_EOH | MILTER_NR_EOH, false,
		    false },
		{ MILTER_BODY, 6, MILTER_NR_BODY, true, false },
		{ MILTER_BODY, 6, MILTER_NO_BODY, false, true },
		{ MILTER_END, 6, MILTER_WAYS_ALL, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_terms terms = {
			.version = table[i].version, .ways = table[i].ways,
		};

		assert_int_equal(milter_negotiate_wants(&terms,
		    table[i].command), table[i].wants);
		assert_int_equal(milter_negotiate_answers(&terms,
		    table[i].command), table[i].answers);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offer),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_macros_by_stage),
		cmocka_unit_test(test_what_it_wants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
