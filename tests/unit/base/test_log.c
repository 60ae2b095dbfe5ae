/*
 * The exact line, the threshold, and that a line stays one line.
 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

static char last[8192];
static size_t last_len;
static int lines;

static void
keep(void *ctx, const char *line, size_t len)
{
	assert_ptr_equal(ctx, &lines);
	assert_true(len < sizeof(last));
	memcpy(last, line, len);
	last[len] = '\0';
	last_len = len;
	lines++;
}

static int
setup(void **state)
{
	(void)state;
	log_set_sink(keep, &lines);
	log_set_level(LOG_INFO);
	lines = 0;
	return 0;
}

static void
test_line(void **state)
{
	char text[LOG_QUOTE_MAX];

	(void)state;
	log_event(LOG_INFO, "listener.open", "address=%s n=%d", "[::]:25", 3);
	assert_string_equal(last,
	    "level=info event=listener.open address=[::]:25 n=3\n");
	log_event(LOG_ERROR, "x.y", "said=%s", log_quote(
	    SPAN("a\"b\\\r\n\0\x1b[31m"), text));
	assert_string_equal(last, "level=error event=x.y "
	    "said=\"a\\\"b\\\\\\r\\n\\x00\\x1b[31m\"\n");
	log_event(LOG_INFO, "x.y", "%s", "");
	assert_string_equal(last, "level=info event=x.y \n");
	assert_int_equal(lines, 3);
}

static void
test_one_line(void **state)
{
	static char long_text[6000];

	(void)state;
	log_event(LOG_INFO, "x.y", "a=%s", "1\nlevel=error\r\x1b\x7f");
	assert_string_equal(last, "level=info event=x.y a=1 level=error   \n");
	for (size_t n = 4040; n < 4110; n++) {
		memset(long_text, 'a', sizeof(long_text));
		long_text[n] = '\0';
		log_event(LOG_INFO, "x.y", "%s", long_text);
		assert_true(last_len <= 4096);
		assert_int_equal(last_len, strlen(last));
		assert_ptr_equal(strchr(last, '\n'), last + last_len - 1);
		if (last_len < n + strlen("level=info event=x.y \n"))
			assert_memory_equal(last + last_len - 4, "...\n", 4);
		else
			assert_memory_equal(last + last_len - 4, "aaa\n", 4);
	}
}

static void
test_level(void **state)
{
	enum log_level level = LOG_DEBUG;

	(void)state;
	for (int on = 0; on < LOG_LEVEL_COUNT; on++) {
		log_set_level((enum log_level)on);
		for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
			lines = 0;
			log_event((enum log_level)i, "x.y", "a=%d", 1);
			assert_int_equal(lines, i <= on);
			assert_int_equal(log_is_on((enum log_level)i),
			    i <= on);
		}
		assert_int_equal(log_level_parse(span_str(log_level_name(
		    (enum log_level)on)), &level), 0);
		assert_int_equal(level, on);
	}
	assert_int_equal(log_level_parse(SPAN("Info"), &level), -1);
	assert_int_equal(log_level_parse(SPAN(""), &level), -1);
}

static void
test_quote(void **state)
{
	char text[LOG_QUOTE_MAX];
	uint8_t in[300];

	(void)state;
	/* the worst case: four characters for each byte */
	memset(in, 0xff, sizeof(in));
	assert_ptr_equal(log_quote(span_of(in, sizeof(in)), text), text);
	assert_int_equal(strlen(text), 256 * 4 + 3 + 2);
	assert_string_equal(text + strlen(text) - 4, "...\"");
	log_quote(span_of(in, 256), text);
	assert_string_equal(text + strlen(text) - 4, "xff\"");
	assert_string_equal(log_quote(SPAN(""), text), "\"\"");
}

static void
test_stderr(void **state)
{
	int fds[2], saved = dup(STDERR_FILENO);
	char got[64] = "";

	(void)state;
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	log_set_sink(NULL, NULL);
	log_event(LOG_WARNING, "x.y", "a=%d", 1);
	dup2(saved, STDERR_FILENO);
	assert_true(read(fds[0], got, sizeof(got) - 1) > 0);
	assert_string_equal(got, "level=warning event=x.y a=1\n");
	close(fds[0]);
	close(fds[1]);
	close(saved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_line, setup),
		cmocka_unit_test_setup(test_one_line, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_quote, setup),
		cmocka_unit_test_setup(test_stderr, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
