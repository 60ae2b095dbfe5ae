/* Source addresses that go and come back, by the word of a script; and what
 * the kernel says of this machine's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "service/source_health.h"
#include "service/source_report.h"

static const char conf[] = "listener \"l\" { }\n"
    "upstream { source = {\"192.0.2.9\"} }\n"
    "pool \"clean\" { addresses = {\"192.0.2.1\", \"192.0.2.2\"}\n"
    "  weights = {1, 2} }\n"
    "pool \"bulk\" { addresses = {\"192.0.2.2\", \"2001:db8::1\"} }\n";

struct script {
	struct source_health *health;
	struct config *config;
	char out[ADDR_TEXT_MAX];	/* the address that is out */
	enum source_probe_result result;
	bool blind;			/* a round cannot begin */
	unsigned wakes;
	char log[2048];
};

static void *
begin(void *ctx)
{
	struct script *s = ctx;

	return s->blind ? NULL : s;
}

static enum source_probe_result
look(void *round, const struct addr *a, char why_r[SOURCE_PROBE_WHY_MAX])
{
	struct script *s = round;
	char text[ADDR_TEXT_MAX];

	if (strcmp(addr_format(a, text), s->out) != 0)
		return SOURCE_PROBE_UP;
	snprintf(why_r, SOURCE_PROBE_WHY_MAX, "interface eth0 is down");
	return s->result;
}

static void
end(void *round)
{
	(void)round;
}

static void
wake(void *ctx)
{
	struct script *s = ctx;

	s->wakes++;
}

static void
sink(void *ctx, const char *line, size_t len)
{
	struct script *s = ctx;
	size_t have = strlen(s->log);

	snprintf(s->log + have, sizeof(s->log) - have, "%.*s", (int)len, line);
}

static struct config *
load(const char *text)
{
	struct buf errors;
	struct config *c;

	buf_init(&errors, 0);
	c = config_load_text("test.conf", span_str(text), &errors);
	assert_non_null(c);
	buf_release(&errors);
	return c;
}

static int
setup(void **state)
{
	struct script *s = calloc(1, sizeof(*s));
	struct source_health_prober prober = { begin, look, end, wake, s };

	s->result = SOURCE_PROBE_OUT;
	log_set_sink(sink, s);
	s->config = load(conf);
	s->health = source_health_new(&prober);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct script *s = *state;

	source_health_free(s->health);
	config_unref(s->config);
	log_set_sink(NULL, NULL);
	free(s);
	return 0;
}

static bool
usable(struct script *s, const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(span_str(text), &a), 0);
	return source_health_is_usable(s->health, &a);
}

static struct source_state
state_of(struct script *s, const char *text)
{
	struct source_state state;
	struct addr a;

	assert_int_equal(addr_parse(span_str(text), &a), 0);
	source_health_state(s->health, &a, &state);
	return state;
}

static void
goes_and_comes_back(void **state)
{
	struct script *s = *state;

	source_health_configure(s->health, s->config);
	assert_string_equal(s->log, "");
	assert_true(usable(s, "192.0.2.2"));
	assert_true(state_of(s, "192.0.2.2").since_wall_us > 0);

	strcpy(s->out, "192.0.2.2");
	source_health_probe(s->health);
	assert_false(usable(s, "192.0.2.2"));
	assert_true(usable(s, "192.0.2.1"));
	assert_string_equal(state_of(s, "192.0.2.2").why,
	    "interface eth0 is down");
	assert_non_null(strstr(s->log, "event=source.down address=192.0.2.2 "
	    "pools=\"clean,bulk\" reason=\"interface eth0 is down\""));

	s->log[0] = '\0';
	source_health_probe(s->health);
	assert_string_equal(s->log, "");	/* said once */

	s->out[0] = '\0';
	source_health_probe(s->health);
	assert_true(usable(s, "192.0.2.2"));
	assert_string_equal(state_of(s, "192.0.2.2").why, "");
	assert_non_null(strstr(s->log, "event=source.up address=192.0.2.2"));
}

/* At the start nobody waits for the first round. */
static void
is_known_at_once(void **state)
{
	struct script *s = *state;

	strcpy(s->out, "2001:db8::1");
	source_health_configure(s->health, s->config);
	assert_false(usable(s, "2001:db8::1"));
	assert_non_null(strstr(s->log, "event=source.down "
	    "address=2001:db8::1 pools=\"bulk\""));
}

/* A connection that could not be bound takes the address out before the main
 * thread has looked; what that finds counts. */
static void
failed_bind_counts_at_once(void **state)
{
	struct script *s = *state;
	struct addr a;

	assert_int_equal(addr_parse(SPAN("192.0.2.1"), &a), 0);
	source_health_configure(s->health, s->config);
	source_health_failed(s->health, &a);
	source_health_failed(s->health, &a);
	assert_false(usable(s, "192.0.2.1"));
	assert_int_equal(s->wakes, 1);
	source_health_probe(s->health);
	assert_true(usable(s, "192.0.2.1"));
	assert_string_equal(s->log, "");
}

/* No descriptors for a look say nothing about an address. */
static void
what_is_not_known_changes_nothing(void **state)
{
	struct script *s = *state;

	strcpy(s->out, "192.0.2.1");
	source_health_configure(s->health, s->config);
	s->blind = true;
	s->out[0] = '\0';
	source_health_probe(s->health);
	assert_false(usable(s, "192.0.2.1"));
	s->blind = false;
	strcpy(s->out, "192.0.2.1");
	s->result = SOURCE_PROBE_UNKNOWN;
	source_health_probe(s->health);
	assert_false(usable(s, "192.0.2.1"));
}

static void
reload_changes_what_is_watched(void **state)
{
	struct script *s = *state;
	struct config *other = load("listener \"l\" { }\n"
	    "pool \"new\" { addresses = {\"192.0.2.7\"} }\n");

	source_health_configure(s->health, s->config);
	strcpy(s->out, "192.0.2.7");
	source_health_probe(s->health);
	assert_true(usable(s, "192.0.2.7"));	/* nobody looks after it */
	source_health_configure(s->health, other);
	assert_false(usable(s, "192.0.2.7"));
	strcpy(s->out, "192.0.2.1");
	source_health_probe(s->health);
	assert_true(usable(s, "192.0.2.1"));	/* nor after this one now */
	config_unref(other);
}

static void
connections_are_counted(void **state)
{
	struct script *s = *state;
	struct addr a;

	source_health_configure(s->health, s->config);
	assert_int_equal(addr_parse_port(SPAN("192.0.2.2:40000"), &a), 0);
	source_health_opened(s->health, &a);
	source_health_opened(s->health, &a);
	source_health_closed(s->health, &a);
	assert_int_equal(state_of(s, "192.0.2.2").open, 1);
	assert_int_equal(state_of(s, "192.0.2.2").connections, 2);
	/* what is not looked after is counted nowhere */
	assert_int_equal(addr_parse(SPAN("198.51.100.1"), &a), 0);
	source_health_opened(s->health, &a);
	source_health_closed(s->health, &a);
	assert_int_equal(state_of(s, "198.51.100.1").connections, 0);
}

/* More addresses than the table holds: the rest is usable, and that is said. */
static void
a_full_table_says_so(void **state)
{
	struct script *s = *state;
	struct config *large;
	struct buf text;

	buf_init(&text, 0);
	buf_append_str(&text, "listener \"l\" { }\npool \"p\" { addresses = {");
	for (unsigned i = 0; i < SOURCE_HEALTH_MAX + 2; i++)
		buf_printf(&text, "%s\"10.0.%u.%u\"", i == 0 ? "" : ",\n",
		    i / 256, i % 256);
	buf_append(&text, SPAN("} }\n\0"));
	large = load((const char *)buf_span(&text).data);
	source_health_configure(s->health, large);
	assert_non_null(strstr(s->log, "event=source.unwatched"));
	strcpy(s->out, "10.0.4.1");
	source_health_probe(s->health);
	assert_true(usable(s, "10.0.4.1"));
	strcpy(s->out, "10.0.3.255");
	source_health_probe(s->health);
	assert_false(usable(s, "10.0.3.255"));
	config_unref(large);
	buf_release(&text);
}

static void
reports(void **state)
{
	struct script *s = *state;
	struct buf out;
	const char *text;

	strcpy(s->out, "192.0.2.2");
	source_health_configure(s->health, s->config);
	buf_init(&out, 0);
	source_report_json(&out, s->health, s->config);
	buf_append_byte(&out, '\0');
	text = (const char *)buf_span(&out).data;
	assert_non_null(strstr(text, "{\"pools\":[{\"name\":\"clean\","
	    "\"ehlo_name\":\"\",\"addresses\":[{\"address\":\"192.0.2.1\","
	    "\"watched\":true,\"up\":true,\"why\":\"\",\"since\":\"20"));
	assert_non_null(strstr(text, "\"192.0.2.2\",\"watched\":true,"
	    "\"up\":false,\"why\":\"interface eth0 is down\",\"since\":\"20"));
	assert_non_null(strstr(text, "\"weight\":2}"));
	assert_non_null(strstr(text, "\"default\":[{\"address\":"
	    "\"192.0.2.9\""));
	buf_clear(&out);
	source_report_prometheus(&out, s->health, s->config);
	buf_append_byte(&out, '\0');
	text = (const char *)buf_span(&out).data;
	assert_non_null(strstr(text, "weir_source_up{address=\"192.0.2.2\","
	    "pool=\"bulk\"} 0\n"));
	assert_non_null(strstr(text, "weir_source_up{address=\"192.0.2.9\","
	    "pool=\"\"} 1\n"));
	buf_release(&out);
}

static void
without_a_table_all_are_usable(void **state)
{
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse(SPAN("192.0.2.1"), &a), 0);
	assert_true(source_health_is_usable(NULL, &a));
	source_health_failed(NULL, &a);
	source_health_opened(NULL, &a);
	source_health_closed(NULL, &a);
}

/* The kernel's word: the loopback's address is up, one of nobody is not. */
static void
the_kernel_is_asked(void **state)
{
	struct source_probe *p = source_probe_new();
	char why[SOURCE_PROBE_WHY_MAX];
	struct addr a;

	(void)state;
	assert_non_null(p);
	assert_int_equal(addr_parse(SPAN("127.0.0.1"), &a), 0);
	assert_int_equal(source_probe_look(p, &a, why), SOURCE_PROBE_UP);
	assert_int_equal(addr_parse(SPAN("203.0.113.77"), &a), 0);
	assert_int_equal(source_probe_look(p, &a, why), SOURCE_PROBE_OUT);
	assert_string_equal(why, "cannot be bound: address is not available");
	source_probe_free(p);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* By hand: whatever the interface says, over a reload, until it is time. */
static void
by_hand_whatever_the_interface_says(void **state)
{
	struct script *s = *state;
	struct source_state st;
	struct addr a;
	struct buf out;

	source_health_configure(s->health, s->config);
	assert_int_equal(addr_parse(SPAN("192.0.2.7"), &a), 0);
	assert_int_equal(source_health_suspend(s->health, &a, 0), -1);
	assert_int_equal(source_health_resume(s->health, &a), -1);
	assert_int_equal(source_health_suspend(NULL, &a, 0), -1);
	assert_int_equal(addr_parse(SPAN("192.0.2.2"), &a), 0);
	assert_int_equal(source_health_resume(s->health, &a), 1);
	assert_int_equal(source_health_suspend(s->health, &a, 0), 0);
	assert_non_null(strstr(s->log, "event=source.suspended "
	    "address=192.0.2.2 until=resumed"));
	assert_false(usable(s, "192.0.2.2"));
	assert_true(usable(s, "192.0.2.1"));
	source_health_probe(s->health);
	source_health_configure(s->health, s->config);
	assert_false(usable(s, "192.0.2.2"));
	assert_true(source_health_state(s->health, &a, &st));
	assert_true(st.is_up);
	assert_true(st.is_suspended);
	assert_int_equal(st.suspended_until_wall_us, 0);
	buf_init(&out, 0);
	source_report_json(&out, s->health, s->config);
	source_report_prometheus(&out, s->health, s->config);
	buf_append_byte(&out, '\0');
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\"suspended\":true,\"suspended_until\":null,\"weight\":2}"));
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\nweir_source_suspended{address=\"192.0.2.2\",pool=\"bulk\"} 1"));
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\nweir_source_up{address=\"192.0.2.2\",pool=\"bulk\"} 1"));
	buf_release(&out);
	assert_int_equal(source_health_resume(s->health, &a), 0);
	assert_true(usable(s, "192.0.2.2"));

	assert_int_equal(source_health_suspend(s->health, &a,
	    clock_wall_us() + 3600 * (uint64_t)CLOCK_US_PER_S), 0);
	source_health_probe(s->health);
	assert_false(usable(s, "192.0.2.2"));
	assert_int_equal(source_health_suspend(s->health, &a,
	    clock_wall_us() - 1), 0);
	assert_false(usable(s, "192.0.2.2"));
	source_health_probe(s->health);
	assert_true(usable(s, "192.0.2.2"));
	assert_non_null(strstr(s->log, "event=source.resumed "
	    "address=192.0.2.2 reason=time"));
	/* it does not make an address usable that is out */
	assert_int_equal(source_health_suspend(s->health, &a, 0), 0);
	strcpy(s->out, "192.0.2.2");
	source_health_probe(s->health);
	assert_int_equal(source_health_resume(s->health, &a), 0);
	assert_false(usable(s, "192.0.2.2"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(goes_and_comes_back),
		WITH(is_known_at_once),
		WITH(failed_bind_counts_at_once),
		WITH(what_is_not_known_changes_nothing),
		WITH(reload_changes_what_is_watched),
		WITH(connections_are_counted),
		WITH(a_full_table_says_so),
		WITH(reports),
		WITH(by_hand_whatever_the_interface_says),
		cmocka_unit_test(without_a_table_all_are_usable),
		cmocka_unit_test(the_kernel_is_asked),
	};

	return cmocka_run_group_tests_name("service/source_health", tests,
	    NULL, NULL);
}
