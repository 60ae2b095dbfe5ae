/* What is measured of MXs, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/compiler.h"
#include "mx/group.h"
#include "service/mx_health.h"
#include "mx/rules.h"
#include "mx/pair.h"

#define HOUR MX_HALF_LIFE_US
#define START (1000 * HOUR)
#define WALL (500000 * HOUR)		/* since 1970, then */

static struct addr
addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(span_str(text), &a), 0);
	return a;
}

static struct policy_reply
reply(unsigned code, const char *enhanced, const char *text)
{
	return (struct policy_reply){ .code = code,
	    .enhanced = span_str(enhanced), .n_lines = 1,
	    .lines = { span_str(text) } };
}

/* A connection. */
struct visit {
	struct mx_health *health;
	struct addr source;
	struct mx_visit *visit;
};

/* One that was greeted. */
static struct visit
visit(struct mx_health *h, const char *source, const char *mx,
    const char *greeting, uint64_t now_us)
{
	struct visit v = { .health = h, .source = addr(source) };
	struct addr to = addr(mx);
	struct policy_reply r = reply(220, "", greeting);

	v.visit = mx_visit_begin(h, &v.source, &to);
	assert_non_null(v.visit);
	mx_visit_greeted(v.visit, &r, now_us);
	return v;
}

static void
leave(struct visit v)
{
	mx_visit_end(v.visit);
}

static enum mx_category
category_of(const struct policy_reply *r, bool heard)
{
	const struct mx_refusal f = { .reply = r, .phase = heard ?
	    MX_PHASE_FINAL : MX_PHASE_MAIL };
	struct buf errors;
	struct mx_rules *rules;
	enum mx_category c;

	if (r->code / 100 == 2)
		return MX_ACCEPTED;
	buf_init(&errors, 0);
	rules = mx_rules_new("", SPAN(""), &errors);
	assert_non_null(rules);
	c = mx_reply_category(rules, &f);
	mx_rules_free(rules);
	return c;
}

/* A transaction on it. */
static void
judged(struct visit v, const struct policy_reply *r, bool heard,
    uint64_t data_reply_us, uint64_t now_us)
{
	struct mx_sample m = { .now_us = now_us, .source = v.source,
	    .group = mx_visit_group(v.visit),
	    .result = r->code / 100 == 2 ? MX_RESULT_DELIVERED :
	    r->code / 100 == 5 ? MX_RESULT_REJECTED : MX_RESULT_DEFERRED,
	    .category = category_of(r, heard), .code = r->code };

	m.phase_us[MX_PHASE_DATA] = data_reply_us;
	mx_health_learn(v.health, &m);
}

/* So many with the same end. */
static void
judge(struct visit v, unsigned n, unsigned code, const char *text,
    uint64_t now_us)
{
	struct policy_reply r = reply(code, "", text);

	while (n-- > 0)
		judged(v, &r, false, 0, now_us);
}

/* A connection that came to nothing. */
static void
unreached(struct mx_health *h, enum mx_result result, uint64_t now_us)
{
	struct addr to = addr("198.51.100.1");
	char group[MX_GROUP_MAX];
	struct mx_sample m = { .now_us = now_us, .source = addr("192.0.2.1"),
	    .destination = to, .group = group, .result = result,
	    .category = MX_OTHER };

	mx_health_group(h, &to, group, now_us);
	mx_health_learn(h, &m);
}

static struct mx_view *
view(struct mx_health *h, const char *mx, uint64_t now_us)
{
	struct addr to = addr(mx);

	return mx_health_view(h, &to, now_us);
}

/* The only source's state. */
static void
expect_state(struct mx_health *h, const char *mx, uint64_t now_us,
    const char *state)
{
	struct mx_view *w = view(h, mx, now_us);

	assert_non_null(w);
	assert_int_equal(w->health.n_sources, 1);
	assert_string_equal(w->sources[0].state, state);
	free(w);
}

static int
setup(void **state)
{
	*state = mx_health_new();
	return *state == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	mx_health_free(*state);
	return 0;
}

static void
test_groups(void **state)
{
	static const struct {
		const char *greeting, *group;	/* NULL: none */
	} rows[] = {
		{ "mx1.mail.Example.COM ESMTP ready", "example.com" },
		{ "example.com", "example.com" },
		{ "a.b.example.co.uk. hello", "example.co.uk" },
		{ "mx.example", "mx.example" },
		{ "localhost ESMTP", NULL }, { "co.uk", NULL },
		{ "[192.0.2.1] hello", NULL }, { "192.0.2.1", NULL },
		{ "", NULL }, { "we are busy", NULL },
		{ "mx_1.example.com", NULL }, { ". x", NULL },
		{ "MX.XN--RZTE-1QA.example", "xn--rzte-1qa.example" },
		{ "mx.\xc3\xa4rzte.example", NULL },	/* no U-label greets */
		{ "mx.example.com\x1b[31m", NULL },
		{ "mx.example.com\t<b>", "example.com" },
		{ "mx/../example.com", NULL }, { "-.\xff", NULL },
	};
	struct mx_group_list *l = mx_group_list_new();
	char group[MX_GROUP_MAX];
	struct addr a = addr("192.0.2.77");

	(void)state;
	assert_non_null(l);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool found = mx_group_by_name(l, span_str(rows[i].greeting),
		    group);

		assert_int_equal(found, rows[i].group != NULL);
		if (found)
			assert_string_equal(group, rows[i].group);
	}
	mx_group_list_free(l);
	mx_group_by_address(&a, group);
	assert_string_equal(group, "192.0.2.0/24");
	a = addr("2001:db8:1:2:3::4");
	mx_group_by_address(&a, group);
	assert_string_equal(group, "2001:db8:1::/48");
}

static void
test_known_at_the_next_connect(void **state)
{
	struct mx_health *h = *state;
	struct visit v;
	struct mx_view *w;

	assert_null(view(h, "198.51.100.1", START));
	v = visit(h, "192.0.2.1", "198.51.100.1", "mx1.example.com ESMTP",
	    START);
	judge(v, 3, 250, "ok", START);
	judge(v, 1, 451, "later", START);

	w = view(h, "198.51.100.1", START);
	assert_non_null(w);
	assert_string_equal(w->health.group, "example.com");
	assert_int_equal(w->health.n_sources, 1);
	assert_int_equal(w->sources[0].open, 1);
	assert_true(w->sources[0].deferred == 0.25f);
	assert_true(w->sources[0].rejected == 0);
	free(w);
	leave(v);
	w = view(h, "198.51.100.1", START);
	assert_int_equal(w->sources[0].open, 0);
	free(w);
}

/* Another MX of the same organization: known as soon as it has greeted once,
 * and its figures are theirs. */
static void
test_mxs_of_one_organization_share(void **state)
{
	struct mx_health *h = *state;
	struct visit a, b, c;
	struct mx_view *w;

	a = visit(h, "192.0.2.1", "198.51.100.1", "mx1.example.com", START);
	b = visit(h, "192.0.2.2", "203.0.113.9", "mx2.example.com", START);
	c = visit(h, "192.0.2.2", "203.0.113.10", "other.example.net", START);
	judge(b, 4, 550, "listed in a blocklist", START);
	w = view(h, "198.51.100.1", START);
	assert_int_equal(w->health.n_sources, 2);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(w->sources[i].state,
		    addr_eq_ip(&w->sources[i].source,
		    &(struct addr){ ADDR_IPV4, { 192, 0, 2, 2 }, 0, 0 }) ?
		    "blocked" : "normal");
	free(w);
	expect_state(h, "203.0.113.10", START, "normal");
	leave(a);
	leave(b);
	leave(c);
}

/* How a destination greeted is remembered, and taken for what it was as long
 * as it says the same. */
static void
test_greets_differently(void **state)
{
	static const struct {
		const char *greeting, *group;
	} rows[] = {
		{ "mx1.example.com ESMTP", "example.com" },
		{ "mx1.example.com still", "example.com" },
		{ "mx1.example.co ESMTP", "example.co" },
		{ "mx1.example.com.br", "example.com.br" },
		{ "mx1.example", "mx1.example" },
		{ "busy now", "mx1.example" },	/* the last name counts */
		{ "", "mx1.example" },
		{ "MX1.example.com ESMTP", "example.com" },
	};
	struct mx_health *h = *state;
	char longest[2 * MX_GROUP_MAX];
	struct mx_view *w;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		leave(visit(h, "192.0.2.1", "198.51.100.1",
		    rows[i].greeting, START));
		w = view(h, "198.51.100.1", START);
		assert_non_null(w);
		assert_string_equal(w->health.group, rows[i].group);
		free(w);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	leave(visit(h, "192.0.2.1", "198.51.100.1", longest, START));
	expect_state(h, "198.51.100.1", START, "normal");
}

/* An MX without a name counts with its network. */
static void
test_without_a_name(void **state)
{
	struct mx_health *h = *state;
	struct visit v = visit(h, "2001:db8:9::1", "2001:db8:1:2::1",
	    "ready", START);
	struct mx_view *w = view(h, "2001:db8:1:ffff::9", START);

	assert_non_null(w);
	assert_string_equal(w->health.group, "2001:db8:1::/48");
	free(w);
	leave(v);
}

static void
test_figures_fade(void **state)
{
	struct mx_health *h = *state;
	struct visit v = visit(h, "192.0.2.1", "198.51.100.1",
	    "mx.example.com", START);
	struct mx_view *w;

	judge(v, 8, 451, "later", START);
	expect_state(h, "198.51.100.1", START, "throttled");
	judge(v, 8, 250, "ok", START + 2 * HOUR);
	w = view(h, "198.51.100.1", START + 2 * HOUR);
	/* 8 have become 2 */
	assert_true(w->sources[0].deferred > 0.199f &&
	    w->sources[0].deferred < 0.201f);
	free(w);
	leave(v);
}

/* Left alone, a blocked address is forgiven: as recovering, then as normal. */
static void
test_recovers(void **state)
{
	struct mx_health *h = *state;
	struct visit v = visit(h, "192.0.2.1", "198.51.100.1",
	    "mx.example.com", START);

	judge(v, 4, 554, "blocked using zen.spamhaus.org", START);
	expect_state(h, "198.51.100.1", START, "blocked");
	judge(v, 20, 250, "ok", START + HOUR / 2);
	expect_state(h, "198.51.100.1", START + HOUR / 2, "recovering");
	expect_state(h, "198.51.100.1", START + 3 * HOUR, "normal");
	leave(v);
}

/* What the mail itself earns is no evidence about the address. */
static void
test_content_does_not_count(void **state)
{
	struct mx_health *h = *state;
	struct visit v = visit(h, "192.0.2.1", "198.51.100.1",
	    "mx.example.com", START);
	struct policy_reply no = reply(554, "5.7.1", "rejected");
	struct buf out;

	for (int i = 0; i < 50; i++)
		judged(v, &no, true, 0, START);
	judge(v, 50, 550, "virus found", START);
	judge(v, 50, 550, "user unknown", START);
	judge(v, 50, 450, "greylisted", START);
	expect_state(h, "198.51.100.1", START, "normal");
	buf_init(&out, 0);
	mx_health_json(&out, h, START, WALL);
	buf_append_byte(&out, '\0');
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "[{\"group\":\"example.com\",\"source\":\"192.0.2.1\","
	    "\"state\":\"suspect\",\"open\":1,\"weight\":0.00,"
	    "\"deferred\":0.0000,\"rejected\":0.0000,"
	    "\"data_reply_p50_ms\":0,\"cap\":null,\"apart\":{\"greylist\":50.00,"
	    "\"content\":100.00,\"authentication\":0.00,"
	    "\"mailbox\":50.00,\"tls\":0.00},"));
	buf_release(&out);
	leave(v);
}

/* An MX that is not to be had never sees a transaction. One that was asked
 * nothing has told nothing. */
static void
test_unreached(void **state)
{
	struct mx_health *h = *state;

	unreached(h, MX_RESULT_NONE, START);
	assert_null(view(h, "198.51.100.1", START));
	unreached(h, MX_RESULT_REFUSED, START);
	unreached(h, MX_RESULT_TIMED_OUT, START);
	unreached(h, MX_RESULT_CLOSED, START);
	expect_state(h, "198.51.100.1", START, "throttled");
}

static void
test_time_to_the_354(void **state)
{
	struct mx_health *h = *state;
	struct visit v = visit(h, "192.0.2.1", "198.51.100.1",
	    "mx.example.com", START);
	struct policy_reply ok = reply(250, "2.0.0", "ok");
	struct mx_view *w;

	for (unsigned i = 0; i < 99; i++)
		judged(v, &ok, true, 40000 + i, START);
	judged(v, &ok, true, 9000000, START);
	w = view(h, "198.51.100.1", START + HOUR);
	assert_in_range(w->sources[0].data_reply_p50_ms, 40, 43);
	free(w);
	/* two hours later they are forgotten */
	w = view(h, "198.51.100.1", START + 2 * HOUR);
	assert_int_equal(w->sources[0].data_reply_p50_ms, 0);
	free(w);
	judged(v, &ok, true, 2000, START + 5 * HOUR);
	w = view(h, "198.51.100.1", START + 5 * HOUR);
	assert_int_equal(w->sources[0].data_reply_p50_ms, 2);
	free(w);
	leave(v);
}

/* Two workers' clocks differ by a turn of the loop: no evidence is lost. */
static void
test_time_may_step_back(void **state)
{
	struct mx_health *h = *state;
	struct visit v = visit(h, "192.0.2.1", "198.51.100.1",
	    "mx.example.com", START);
	struct policy_reply ok = reply(451, "", "later");

	judged(v, &ok, false, 5000, START);
	judged(v, &ok, false, 5000, START - 2000);
	judged(v, &ok, false, 5000, START - 1000);
	judged(v, &ok, false, 5000, START);
	expect_state(h, "198.51.100.1", START - 1000, "throttled");
	leave(v);
}

/* However many there are, the table holds so many, and the open ones stay. */
static void
test_bounded(void **state)
{
	struct mx_health *h = *state;
	struct visit open = visit(h, "192.0.2.1", "198.51.100.1",
	    "mx.kept.example", START);
	struct mx_view *w;
	char name[64], mx[64];
	struct buf out;
	size_t pairs = 0;
	const char *p;

	for (unsigned i = 0; i < 3 * MX_HEALTH_PAIRS; i++) {
		snprintf(name, sizeof(name), "mx.n%u.example", i);
		snprintf(mx, sizeof(mx), "10.%u.%u.1", i / 256, i % 256);
		leave(visit(h, "192.0.2.1", mx, name, START + i));
	}
	buf_init(&out, 0);
	mx_health_json(&out, h, START, WALL);
	buf_append_byte(&out, '\0');
	for (p = (const char *)buf_span(&out).data;
	    (p = strstr(p, "\"group\"")) != NULL; p++)
		pairs++;
	assert_true(pairs <= MX_HEALTH_PAIRS && pairs > MX_HEALTH_PAIRS / 2);
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\"kept.example\""));
	buf_release(&out);
	/* the destination was forgotten; greeting again it is known again */
	leave(visit(h, "192.0.2.1", "198.51.100.1", "mx.kept.example",
	    START));
	w = view(h, "198.51.100.1", START);
	assert_int_equal(w->sources[0].open, 1);
	free(w);
	leave(open);
}

/* Of many sources the last used are shown. */
static void
test_many_sources(void **state)
{
	struct mx_health *h = *state;
	struct mx_view *w;
	char source[32];

	for (unsigned i = 0; i < MX_HEALTH_SOURCES_MAX + 40; i++) {
		snprintf(source, sizeof(source), "10.0.0.%u", i);
		leave(visit(h, source, "198.51.100.1",
		    "mx.example.com", START + i));
	}
	w = view(h, "198.51.100.1", START);
	assert_int_equal(w->health.n_sources, MX_HEALTH_SOURCES_MAX);
	for (unsigned i = 0; i < MX_HEALTH_SOURCES_MAX; i++)
		assert_int_equal(w->sources[i].source.ip[3],
		    MX_HEALTH_SOURCES_MAX + 39 - i);
	free(w);
}

/* What is shown of many: the worst first, then the busiest. */
static void
test_top(void **state)
{
	struct mx_health *h = *state;
	struct visit v;
	char mx[32], name[64];
	struct buf out;
	const char *text;

	for (unsigned i = 0; i < 2 * MX_HEALTH_TOP; i++) {
		snprintf(mx, sizeof(mx), "10.0.%u.1", i);
		snprintf(name, sizeof(name), "mx.n%u.example", i);
		v = visit(h, "192.0.2.1", mx, name, START);
		judge(v, i, 250, "ok", START);
		if (i == 5)
			judge(v, 5, 550, "blocked", START);
		if (i == 6)
			judge(v, 6, 451, "later", START);
		leave(v);
	}
	buf_init(&out, 0);
	mx_health_top_json(&out, h, START, WALL);
	buf_append_byte(&out, '\0');
	text = (const char *)buf_span(&out).data;
	assert_int_equal(strncmp(text, "[{\"group\":\"n5.example\"", 22), 0);
	assert_non_null(strstr(text, "},{\"group\":\"n6.example\""));
	assert_true(strstr(text, "n6.example") < strstr(text, "n59.example"));
	assert_true(strstr(text, "n59.example") < strstr(text, "n58.example"));
	assert_null(strstr(text, "n31.example"));
	assert_non_null(strstr(text, "n32.example"));
	buf_clear(&out);
	mx_health_prometheus(&out, h, START);
	buf_append_byte(&out, '\0');
	text = (const char *)buf_span(&out).data;
	assert_non_null(strstr(text, "weir_mx_pairs{state=\"blocked\"} 1\n"));
	assert_non_null(strstr(text, "weir_mx_pairs{state=\"normal\"} 58\n"));
	buf_release(&out);
}

static void *
worker(void *ctx)
{
	struct mx_health *h = ctx;

	for (unsigned i = 0; i < 2000; i++) {
		struct visit v = visit(h, i % 2 == 0 ? "192.0.2.1" :
		    "192.0.2.2", i % 3 == 0 ? "198.51.100.1" : "198.51.100.2",
		    "mx.example.com", START);

		judge(v, 1, 250, "ok", START);
		free(view(h, "198.51.100.2", START));
		leave(v);
	}
	return NULL;
}

static void
test_workers_share(void **state)
{
	struct mx_health *h = *state;
	struct mx_view *w;
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker, h),
		    0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	w = view(h, "198.51.100.1", START);
	assert_int_equal(w->health.n_sources, 2);
	assert_int_equal(w->sources[0].open + w->sources[1].open, 0);
	free(w);
}

/* Without a table nothing is measured, and nothing breaks. */
static void
test_without_a_table(void **state)
{
	struct addr from = addr("192.0.2.1"), to = addr("198.51.100.1");
	struct policy_reply ok = reply(250, "", "ok");
	struct mx_visit *v = mx_visit_begin(NULL, &from, &to);

	(void)state;
	assert_null(v);
	mx_visit_greeted(v, &ok, START);
	assert_string_equal(mx_visit_group(v), "");
	mx_visit_end(v);
	unreached(NULL, MX_RESULT_REFUSED, START);
	assert_null(mx_health_view(NULL, &to, START));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		WITH(test_known_at_the_next_connect),
		WITH(test_mxs_of_one_organization_share),
		WITH(test_greets_differently),
		WITH(test_without_a_name),
		WITH(test_figures_fade),
		WITH(test_recovers),
		WITH(test_content_does_not_count),
		WITH(test_unreached),
		WITH(test_time_to_the_354),
		WITH(test_time_may_step_back),
		WITH(test_bounded),
		WITH(test_many_sources),
		WITH(test_top),
		WITH(test_workers_share),
		cmocka_unit_test(test_without_a_table),
	};

	return cmocka_run_group_tests_name("service/mx_health", tests, NULL,
	    NULL);
}
