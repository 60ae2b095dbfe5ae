/*
 * Durations and sizes, to and from text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/value.h"

struct row { const char *text; uint64_t value; const char *shortest; };

static const struct row durations[] = {
	{ "0", 0, "0s" }, { "0ms", 0, "0s" }, { "1ms", 1000, "1ms" },
	{ "500ms", 500000, "500ms" }, { "1500ms", 1500000, "1500ms" },
	{ "30", 30000000, "30s" }, { "30s", 30000000, "30s" },
	{ "60s", 60000000, "1m" }, { "90s", 90000000, "90s" },
	{ "5m", 300000000, "5m" }, { "2h", UINT64_C(7200000000), "2h" },
	{ "24h", UINT64_C(86400000000), "1d" },
	{ "30d", UINT64_C(2592000000000), "30d" }, { "5M", 300000000, "5m" },
	{ "007s", 7000000, "7s" },
};

static const char *const no_durations[] = {
	"", "s", "ms", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1us", "1w",
	"1y", "1sm", "0x10", "five", "99999999999999999999", "300000000d",
};

static const struct row sizes[] = {
	{ "0", 0, "0" }, { "1", 1, "1" }, { "1023", 1023, "1023" },
	{ "1024", 1024, "1KB" }, { "1KB", 1024, "1KB" },
	{ "256KB", 262144, "256KB" }, { "1MB", 1048576, "1MB" },
	{ "10mb", 10485760, "10MB" }, { "1GB", 1073741824, "1GB" },
	{ "10240000", 10240000, "10000KB" },
	{ "1025", 1025, "1025" },
};

static const char *const no_sizes[] = {
	"", "KB", "1K", "1B", "1TB", "1KiB", "-1", "1.5MB", "1 MB", "ten",
	"99999999999999999999GB", "18446744073709551616",
};

typedef int read_fn(struct span text, uint64_t *value_r);
typedef void write_fn(uint64_t value, struct buf *out);

static void
check(const struct row *rows, size_t n, const char *const *bad, size_t n_bad,
    read_fn *reader, write_fn *writer)
{
	struct buf text;
	uint64_t value;
	size_t i;

	buf_init(&text, 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(reader(span_str(rows[i].text), &value), 0);
		assert_int_equal(value, rows[i].value);
		buf_clear(&text);
		writer(value, &text);
		buf_append_byte(&text, '\0');
		assert_string_equal(buf_span(&text).data, rows[i].shortest);
	}
	for (i = 0; i < n_bad; i++) {
		value = 42;
		if (reader(span_str(bad[i]), &value) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(value, 42);
	}
	buf_release(&text);
}

static void
test_duration(void **state)
{
	(void)state;
	check(durations, ARRAY_LEN(durations), no_durations,
	    ARRAY_LEN(no_durations), config_value_duration,
	    config_value_duration_text);
}

static void
test_size(void **state)
{
	(void)state;
	check(sizes, ARRAY_LEN(sizes), no_sizes, ARRAY_LEN(no_sizes),
	    config_value_size, config_value_size_text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests_name("config_value", tests, NULL, NULL);
}
