/*
 * The EHLO reply, read and edited.
 */
#include "unit.h"

#include "smtp/ehlo.h"

#define TLS SMTP_CAP_STARTTLS

static void
test_parse(void **state)
{
	static const struct {
		const char *raw;
		unsigned capabilities;
		uint64_t size;
	} cases[] = {
		{ "250 mx\r\n", 0, 0 },
		{ "250-STARTTLS\r\n250 STARTTLSX\r\n", 0, 0 },
		{ "250-mx\r\n250-STARTTLS\r\n250-PIPELINING\r\n250-SIZE 42\r\n"
		    "250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n"
		    "250-BINARYMIME\r\n250-DSN\r\n250-AUTH PLAIN LOGIN\r\n"
		    "250-REQUIRETLS\r\n250-XCLIENT NAME\r\n"
		    "250-XFORWARD NAME\r\n250 ENHANCEDSTATUSCODES\r\n",
		    (1 << 13) - 1, 42 },
		{ "250-mx\n250-starttls\n250 size\n", TLS | SMTP_CAP_SIZE, 0 },
		{ "250-mx\r\n250 SIZE 0\r\n", SMTP_CAP_SIZE, 0 },
		{ "250-mx\r\n250 SIZE x\r\n", SMTP_CAP_SIZE, 0 },
		{ "250-mx\r\n250-SIZE 9\r\n250 SIZE 5\r\n", SMTP_CAP_SIZE, 5 },
		{ "250-mx\r\n250 AUTH=LOGIN\r\n", SMTP_CAP_AUTH, 0 },
		{ "250-mx\r\n250  \tStartTLS \r\n", TLS, 0 },
		{ "250-mx\r\n250\r\n", 0, 0 },
		{ "", 0, 0 },
	};
	struct smtp_ehlo ehlo;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		smtp_ehlo_parse(span_str(cases[i].raw), &ehlo);
		assert_int_equal(ehlo.capabilities, cases[i].capabilities);
		assert_int_equal(ehlo.size, cases[i].size);
	}
}

static const struct {
	const char *raw;
	unsigned withhold;
	uint64_t size_max;
	const char *want;
} edits[] = {
	/* nothing to do: byte for byte, with its odd line ends and spaces */
	{ "250-mx  hi\n250-X  y \r\n250-size 7\n250\r\n",
	    ~(unsigned)SMTP_CAP_SIZE, 0,
	    "250-mx  hi\n250-X  y \r\n250-size 7\n250\r\n" },
	/* first, middle, last, all */
	{ "250-mx\r\n250-STARTTLS\r\n250-A\r\n250 B\r\n", TLS, 0,
	    "250-mx\r\n250-A\r\n250 B\r\n" },
	{ "250-mx\r\n250-A\r\n250-STARTTLS\r\n250 B\r\n", TLS, 0,
	    "250-mx\r\n250-A\r\n250 B\r\n" },
	{ "250-mx\r\n250-A\n250-starttls\r\n250 StartTLS\r\n", TLS, 0,
	    "250-mx\r\n250 A\n" },
	{ "250-mx\r\n250-STARTTLS\r\n250 CHUNKING\r\n",
	    TLS | SMTP_CAP_CHUNKING, 0, "250 mx\r\n" },
	{ "250-mx\r\n250 STARTTLS\r\n", TLS, 0, "250 mx\r\n" },
	/* spellings that a lenient client understands */
	{ "250-mx\r\n250- STARTTLS\r\n250-STARTTLS x\r\n250 STARTTLS\t\r\n",
	    TLS, 0, "250 mx\r\n" },
	{ "250-mx\r\n250-AUTH PLAIN\r\n250 auth=PLAIN\r\n", SMTP_CAP_AUTH, 0,
	    "250 mx\r\n" },
	/* no keyword: the greeting, and other words */
	{ "250-STARTTLS\r\n250 XSTARTTLS\r\n", TLS, 0,
	    "250-STARTTLS\r\n250 XSTARTTLS\r\n" },
	{ "250 STARTTLS\r\n", TLS, 0, "250 STARTTLS\r\n" },
	/* SIZE: the smaller of both */
	{ "250-mx\r\n250 SIZE 100\r\n", 0, 200, "250-mx\r\n250 SIZE 100\r\n" },
	{ "250-mx\r\n250 SIZE 300\r\n", 0, 200, "250-mx\r\n250 SIZE 200\r\n" },
	{ "250-mx\r\n250-size\n250 A\r\n", 0, 200,
	    "250-mx\r\n250-size 200\n250 A\r\n" },
	{ "250-mx\r\n250 SIZE 0\r\n", 0, 200, "250-mx\r\n250 SIZE 200\r\n" },
	{ "250-mx\r\n250 SIZE 99999999999999999999\r\n", 0, 200,
	    "250-mx\r\n250 SIZE 200\r\n" },
	{ "250-mx\r\n250 SIZE 0\r\n", 0, 0, "250-mx\r\n250 SIZE 0\r\n" },
	{ "250-mx\r\n250 A\r\n", 0, 200, "250-mx\r\n250 A\r\n" },
	{ "250-mx\r\n250 SIZE 9\r\n", SMTP_CAP_SIZE, 200, "250 mx\r\n" },
	{ "250-SIZE 300\r\n250 A\r\n", 0, 200, "250-SIZE 300\r\n250 A\r\n" },
	{ "", TLS, 200, "" },
};

static void
test_edit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		struct buf out;

		buf_init(&out, 0);
		smtp_ehlo_edit(&out, span_str(edits[i].raw),
		    edits[i].withhold, NULL, edits[i].size_max);
		assert_span_str(buf_span(&out), edits[i].want);
		buf_release(&out);
	}
}

/* weir's own STARTTLS, whatever the MX offers. */
static void
test_add(void **state)
{
	static const struct { const char *raw, *want; } rows[] = {
		{ "250 mx\r\n", "250-mx\r\n250 STARTTLS\r\n" },
		{ "250\r\n", "250-\r\n250 STARTTLS\r\n" },
		{ "250-mx\n250 A\n", "250-mx\n250-A\n250 STARTTLS\r\n" },
		{ "250-mx\r\n250-starttls\r\n250 SIZE 300\r\n",
		    "250-mx\r\n250-SIZE 200\r\n250 STARTTLS\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;

		buf_init(&out, 0);
		smtp_ehlo_edit(&out, span_str(rows[i].raw), TLS, "STARTTLS",
		    200);
		assert_span_str(buf_span(&out), rows[i].want);
		buf_release(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
