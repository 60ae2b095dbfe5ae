/*
 * The command line, and where a filter may listen.
 */
#include "unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "milter-bridge/options.h"

static const char *
parse(struct milter_options *o, char *words, struct buf *error)
{
	char *argv[40] = { (char[]){ "weir-milter-bridge" } };
	int argc = 1;

	buf_clear(error);
	for (char *word = strtok(words, " "); word != NULL;
	    word = strtok(NULL, " "))
		argv[argc++] = word;
	if (milter_options_parse(argc, argv, o, error) == 0) {
		assert_int_equal(buf_len(error), 0);
		return NULL;
	}
	buf_append_byte(error, '\0');
	return (const char *)buf_span(error).data;
}

static void
test_what_holds_for_whom(void **state)
{
	char words[] = "--listen unix:/w --milter unix:/a --default-action "
	    "accept --command-timeout 5 --milter unix:/b --content-timeout "
	    "2m --connect-timeout 500ms --default-action reject --protocol 2 "
	    "--milter unix:/c --on-envelope ignore --on-quarantine reject "
	    "--hostname h --log-level debug";
	struct milter_options o;
	struct buf error;

	(void)state;
	buf_init(&error, 0);
	assert_null(parse(&o, words, &error));
	assert_string_equal(o.listen, "unix:/w");
	assert_string_equal(o.hostname, "h");
	assert_int_equal(o.level, LOG_DEBUG);
	assert_int_equal(o.envelope, MILTER_REFUSAL_IGNORE);
	assert_int_equal(o.quarantine, MILTER_REFUSAL_REJECT);
	assert_int_equal(o.n_filters, 3);
	assert_string_equal(o.filters[0].address.text, "unix:/a");
	assert_int_equal(o.filters[0].fallback, MILTER_FALLBACK_TEMPFAIL);
	assert_int_equal(o.filters[0].command_ms, 30000);
	assert_int_equal(o.filters[0].version, 6);
	assert_int_equal(o.filters[1].fallback, MILTER_FALLBACK_ACCEPT);
	assert_int_equal(o.filters[1].command_ms, 5000);
	assert_int_equal(o.filters[1].content_ms, 300000);
	assert_int_equal(o.filters[2].fallback, MILTER_FALLBACK_REJECT);
	assert_int_equal(o.filters[2].command_ms, 5000);
	assert_int_equal(o.filters[2].content_ms, 120000);
	assert_int_equal(o.filters[2].connect_ms, 500);
	assert_int_equal(o.filters[2].version, 2);
	buf_release(&error);
}

static void
test_what_is_wrong(void **state)
{
	static const struct {
		const char *words, *error;
	} table[] = {
		{ "--milter unix:/a", "--listen is missing: where weir "
		    "connects to, say unix:/run/weir/milter.sock" },
		{ "--listen unix:/w", "--milter is missing: where a milter "
		    "listens, say inet:8891@127.0.0.1" },
		{ "--listen", "option --listen needs a value" },
		{ "--nothing", "unknown option --nothing" },
		{ "--listen unix:/w --milter unix:/a more",
		    "unexpected argument more" },
		{ "--command-timeout 5x", "5x is no time: write 30s or "
		    "500ms, from 1ms to 24h" },
		{ "--command-timeout 0", "0 is no time: write 30s or 500ms, "
		    "from 1ms to 24h" },
		{ "--command-timeout 25h", "25h is no time: write 30s or "
		    "500ms, from 1ms to 24h" },
		{ "--default-action ignore",
		    "ignore is none of tempfail accept reject" },
		{ "--on-envelope accept",
		    "accept is none of tempfail reject ignore" },
		{ "--protocol 7", "7 is none of 2 3 4 5 6" },
		{ "--log-level loud",
		    "loud is none of error warning info debug" },
		{ "--milter 127.0.0.1:25", "--milter 127.0.0.1:25: an "
		    "address begins with unix: or inet:" },
	};
	struct milter_options o;
	struct buf error;

	(void)state;
	buf_init(&error, 0);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		char words[200];
		const char *why;

		(void)snprintf(words, sizeof words, "%s", table[i].words);
		why = parse(&o, words, &error);
		assert_non_null(why);
		assert_string_equal(why, table[i].error);
	}
	buf_release(&error);
}

static void
test_help(void **state)
{
	char help[] = "--help", version[] = "--version";
	struct milter_options o;
	struct buf error;

	(void)state;
	buf_init(&error, 0);
	assert_null(parse(&o, help, &error));
	assert_int_equal(o.action, MILTER_OPTIONS_HELP);
	assert_null(parse(&o, version, &error));
	assert_int_equal(o.action, MILTER_OPTIONS_VERSION);
	buf_release(&error);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *text, *path, *error;
		uint16_t port;
		int family;
	} table[] = {
		{ "unix:/run/a b", "/run/a b", NULL, 0, AF_UNIX },
		{ "local:/run/x", "/run/x", NULL, 0, AF_UNIX },
		{ "unix:x", NULL, "a unix socket needs its whole path", 0,
		    0 },
		{ "inet:8891@127.0.0.1", NULL, NULL, 8891, AF_INET },
		{ "inet:127.0.0.1:8891", NULL, NULL, 8891, AF_INET },
		{ "inet:8891@[::1]", NULL, NULL, 8891, AF_INET6 },
		{ "inet:[::1]:8891", NULL, NULL, 8891, AF_INET6 },
		{ "inet6:8891@::1", NULL, NULL, 8891, AF_INET6 },
		{ "inet:8891", NULL, "inet needs port@host or host:port", 0,
		    0 },
		{ "inet:@127.0.0.1", NULL, "inet needs both host and port",
		    0, 0 },
		{ "inet:8891@", NULL, "inet needs both host and port", 0,
		    0 },
		{ "inet6:8891@127.0.0.1", NULL,
		    "there is no such host or port", 0, 0 },
		{ "/run/x", NULL, "an address begins with unix: or inet:", 0,
		    0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct milter_address address;
		struct sockaddr_un sun;
		struct sockaddr_in6 sin6;
		const char *why = milter_address_parse(table[i].text,
		    &address);

		if (table[i].error != NULL) {
			assert_non_null(why);
			assert_string_equal(why, table[i].error);
			continue;
		}
		assert_null(why);
		assert_int_equal(address.to.ss_family, table[i].family);
		memcpy(&sun, &address.to, sizeof sun);
		memcpy(&sin6, &address.to, sizeof sin6);
		if (table[i].path != NULL)
			assert_string_equal(sun.sun_path, table[i].path);
		else
			assert_int_equal(ntohs(sin6.sin6_port),
			    table[i].port);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_holds_for_whom),
		cmocka_unit_test(test_what_is_wrong),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
