/*
 * Answers of filters: each letter, each way to get it wrong, and reply codes.
 */
#include "unit.h"

#include "milter-bridge/verdict.h"

static void
test_letters(void **state)
{
	static const char no_code[] = "the reply code is no 4xx or 5xx";
	static const char no_name[] = "the name of the header field is none";
	static const struct {
		uint8_t letter;
		struct span payload;
		const char *why;
		uint32_t index;
		struct span name, value;
	} table[] = {
		{ 'c', SPAN(""), NULL, 0, SPAN(""), SPAN("") },
		{ 'a', SPAN(""), NULL, 0, SPAN(""), SPAN("") },
		{ 'y', SPAN("550 5.7.1 No\0"), NULL, 0, SPAN(""),
		    SPAN("550 5.7.1 No") },
		{ 'y', SPAN("550 No"), "the reply has no end", 0, SPAN(""),
		    SPAN("") },
		{ 'y', SPAN("250 Yes\0"), no_code, 0, SPAN(""), SPAN("") },
		{ 'y', SPAN("5x0 No\0"), no_code, 0, SPAN(""), SPAN("") },
		{ 'y', SPAN("\0"), no_code, 0, SPAN(""), SPAN("") },
		{ 'h', SPAN("X-A\0v\0"), NULL, 0, SPAN("X-A"), SPAN("v") },
		{ 'h', SPAN("X-A\0v"), "the last text has no end", 0,
		    SPAN(""), SPAN("") },
		{ 'h', SPAN("X-A"), "the first text has no end", 0, SPAN(""),
		    SPAN("") },
		{ 'h', SPAN("X A\0v\0"), no_name, 0, SPAN(""), SPAN("") },
		{ 'h', SPAN("X:\0v\0"), no_name, 0, SPAN(""), SPAN("") },
		{ 'h', SPAN("\0v\0"), no_name, 0, SPAN(""), SPAN("") },
		{ 'i', SPAN("\0\0\1\2X\0\0"), NULL, 258, SPAN("X"),
		    SPAN("") },
		{ 'i', SPAN("\0\0\1"), "the index is missing", 0, SPAN(""),
		    SPAN("") },
		{ 'm', SPAN("\0\0\0\3X\0v\0"), NULL, 3, SPAN("X"),
		    SPAN("v") },
		{ 'b', SPAN("a\0b"), NULL, 0, SPAN(""), SPAN("a\0b") },
		{ 'e', SPAN("<a@b>\0SIZE=1\0"), NULL, 0, SPAN("<a@b>"),
		    SPAN("SIZE=1\0") },
		{ '+', SPAN("<a@b>\0"), NULL, 0, SPAN("<a@b>"), SPAN("") },
		{ '2', SPAN("<a@b>\0"), NULL, 0, SPAN("<a@b>"), SPAN("") },
		{ '-', SPAN("<a@b>\0"), NULL, 0, SPAN("<a@b>"), SPAN("") },
		{ '-', SPAN("<a@b>"), "the first text has no end", 0,
		    SPAN(""), SPAN("") },
		{ 'q', SPAN("why\0"), NULL, 0, SPAN(""), SPAN("why") },
		{ 'z', SPAN(""), "no answer has this letter", 0, SPAN(""),
		    SPAN("") },
		{ 'O', SPAN(""), "no answer has this letter", 0, SPAN(""),
		    SPAN("") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_packet packet = {
			table[i].letter, table[i].payload
		};
		struct milter_reply reply;
		const char *why = milter_reply_decode(&packet, &reply);

		if (table[i].why != NULL) {
			assert_non_null(why);
			assert_string_equal(why, table[i].why);
			continue;
		}
		assert_null(why);
		assert_int_equal(reply.type, table[i].letter);
		assert_int_equal(reply.index, table[i].index);
		assert_span(reply.name, table[i].name);
		assert_span(reply.value, table[i].value);
	}
}

static void
test_reply_codes(void **state)
{
	static const struct {
		const char *text;
		unsigned code;
		const char *enhanced, *lines;
	} table[] = {
		{ "550 5.7.1 No", 550, "5.7.1", "No|" },
		{ "550 No", 550, "", "No|" },
		{ "550", 550, "", "|" },
		{ "550 5.7.1", 550, "5.7.1", "|" },
		{ "451-4.7.0 one\r\n451 4.7.0 two", 451, "4.7.0",
		    "one|two|" },
		{ "451-4.7.0 one\n451-4.7.0 two\n451 4.7.0 three\r\n", 451,
		    "4.7.0", "one|two|three|" },
		{ "451 4.7.0 one\r\ntwo", 451, "4.7.0", "one|two|" },
		{ "550 5.7.0 100%% no", 550, "5.7.0", "100% no|" },
		{ "550 50% off %", 550, "", "50 off |" },
		{ "550 %%%%s", 550, "", "%%s|" },
		{ "550 4.7.1 of another class", 550, "",
		    "4.7.1 of another class|" },
		{ "550 5.7 short", 550, "", "5.7 short|" },
		{ "550 5.7.1.2 long", 550, "", "5.7.1.2 long|" },
		{ "550 5.7.1234 long", 550, "", "5.7.1234 long|" },
		{ "550 5..1 empty", 550, "", "5..1 empty|" },
		{ "550 a\rb", 550, "", "ab|" },
	};
	struct buf room;

	(void)state;
	buf_init(&room, 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_smtp smtp;
		struct buf lines;

		assert_null(milter_smtp_parse(&smtp, span_str(table[i].text),
		    &room));
		assert_int_equal(smtp.code, table[i].code);
		assert_string_equal(smtp.enhanced, table[i].enhanced);
		buf_init(&lines, 0);
		for (size_t n = 0; n < smtp.n_lines; n++) {
			buf_append(&lines, smtp.lines[n]);
			buf_append_byte(&lines, '|');
		}
		assert_span_str(buf_span(&lines), table[i].lines);
		buf_release(&lines);
	}
	buf_release(&room);
}

static void
test_too_many_lines(void **state)
{
	struct milter_smtp smtp;
	struct buf room, text;

	(void)state;
	buf_init(&room, 0);
	buf_init(&text, 0);
	for (int i = 0; i < 40; i++)
		buf_append_str(&text, "550-x\r\n");
	assert_null(milter_smtp_parse(&smtp, buf_span(&text), &room));
	assert_int_equal(smtp.n_lines, MILTER_LINES_MAX);
	buf_release(&text);
	buf_release(&room);
}

static void
test_verdicts(void **state)
{
	static const struct {
		char letter;
		const char *text;
		enum milter_command command;
		bool decides;
		enum milter_action action;
		unsigned code;
		enum milter_scope scope;
	} table[] = {
		{ 'c', "", 'M', false, 0, 0, 0 },
		{ 'a', "", 'M', false, 0, 0, 0 },
		{ 's', "", 'B', false, 0, 0, 0 },
		{ 'r', "", 'M', true, MILTER_REJECTS, 550, 0 },
		{ 'r', "", 'C', true, MILTER_REJECTS, 550,
		    MILTER_FOR_SESSION },
		{ 't', "", 'H', true, MILTER_TEMPFAILS, 451,
		    MILTER_FOR_SESSION },
		{ 't', "", 'E', true, MILTER_TEMPFAILS, 451, 0 },
		{ 'd', "", 'R', true, MILTER_DISCARDS, 0, 0 },
		{ 'd', "", 'C', false, 0, 0, 0 },
		{ 'd', "", 'U', false, 0, 0, 0 },
		{ 'y', "554 5.0.0 x", 'R', true, MILTER_REJECTS, 554, 0 },
		{ 'y', "450 x", 'R', true, MILTER_TEMPFAILS, 450, 0 },
		{ 'y', "421 4.7.0 x", 'R', true, MILTER_DISCONNECTS, 421,
		    0 },
		{ 'f', "", 'C', true, MILTER_DISCONNECTS, 421,
		    MILTER_FOR_SESSION },
		{ '4', "", 'M', true, MILTER_DISCONNECTS, 421, 0 },
	};
	struct buf room;

	(void)state;
	buf_init(&room, 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_reply reply = {
			.type = (enum milter_reply_type)table[i].letter,
			.value = span_str(table[i].text),
		};
		struct milter_verdict v;
		bool decides = milter_verdict_of(&v, &reply,
		    table[i].command, &room);

		assert_int_equal(decides, table[i].decides);
		if (!decides)
			continue;
		assert_int_equal(v.action, table[i].action);
		assert_int_equal(v.smtp.code, table[i].code);
		assert_int_equal(v.scope, table[i].scope);
	}
	buf_release(&room);
}

static void
test_fallback(void **state)
{
	struct milter_verdict v;

	(void)state;
	assert_false(milter_verdict_fallback(&v, MILTER_FALLBACK_ACCEPT,
	    "x"));
	assert_true(milter_verdict_fallback(&v, MILTER_FALLBACK_TEMPFAIL,
	    "x"));
	assert_int_equal(v.smtp.code, 451);
	assert_true(milter_verdict_fallback(&v, MILTER_FALLBACK_REJECT,
	    "x"));
	assert_int_equal(v.smtp.code, 550);
	assert_string_equal(v.reason, "x");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_reply_codes),
		cmocka_unit_test(test_too_many_lines),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_fallback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
