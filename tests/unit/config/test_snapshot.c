/*
 * What a snapshot holds, how long it lives, and how it and its keys are shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "config/config.h"
#include "config/schema.h"
#include "mx/rules.h"

#define S UINT64_C(1000000)

static struct config *
must_load(const char *text)
{
	struct buf errors;
	struct config *c;

	buf_init(&errors, 0);
	c = config_load_text("test.conf", span_str(text), &errors);
	if (c == NULL)
		fail_msg("%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
	buf_release(&errors);
	return c;
}

static const char minimal[] = "listener \"outbound\" { }\n"
    "policy \"p\" { endpoint = \"unix:/run/weir/p.sock\" }\n"
    "pool \"clean\" { addresses = {\"192.0.2.1\", \"2001:db8::1\"} }\n";

static void
test_defaults(void **state)
{
	struct config *c = must_load(minimal);
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_string_equal(c->file, "test.conf");
	assert_true(c->workers >= 1);
	assert_true(c->hostname[0] != '\0');
	assert_string_equal(c->user, "weir");
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->drain_timeout_us, 60 * S);
	assert_int_equal(c->n_listeners, 1);
	assert_string_equal(c->listeners[0].name, "outbound");
	assert_string_equal(addr_format_port(&c->listeners[0].address, text),
	    "127.0.0.1:10025");
	assert_int_equal(c->listeners[0].mode, CONFIG_MODE_REDIRECT);
	assert_int_equal(c->listeners[0].destination.family, ADDR_NONE);
	assert_int_equal(c->listeners[0].n_allow, 2);
	assert_int_equal(c->listeners[0].allow[0].bits, 8);
	assert_int_equal(c->listeners[0].allow[1].bits, 128);
	assert_int_equal(c->listeners[0].client_tls, CONFIG_CLIENT_TLS_STRIP);
	assert_int_equal(c->listeners[0].n_tls_certificate, 0);
	assert_int_equal(c->listeners[0].n_tls_key, 0);
	assert_string_equal(c->listeners[0].tls_client_ca, "");
	assert_int_equal(c->upstream.source[0].family, ADDR_NONE);
	assert_int_equal(c->upstream.source[1].family, ADDR_NONE);
	assert_int_equal(c->upstream.mark, 0);
	assert_int_equal(c->upstream.tls, CONFIG_TLS_MAY);
	assert_int_equal(c->upstream.tls_failure_memory_us, 86400 * S);
	assert_int_equal(c->upstream.connect_timeout_us, 30 * S);
	assert_int_equal(c->upstream.data_done_timeout_us, 720 * S);
	assert_string_equal(c->record.sqlite, "/var/lib/weir/weir.db");
	assert_string_equal(c->record.json, "");
	assert_int_equal(c->record.retention_us, 30 * 86400 * S);
	assert_int_equal(c->record.queue, 10000);
	assert_string_equal(addr_format_port(&c->status.address, text),
	    "127.0.0.1:8025");
	assert_string_equal(c->status.token_file, "");
	assert_int_equal(c->limits.message_size, 10240000);
	assert_int_equal(c->limits.connections, 20000);
	assert_int_equal(c->limits.bare_newline, SMTP_BARE_SMUGGLING);
	assert_int_equal(c->limits.spool_memory, 262144);
	assert_int_equal(c->limits.header_size, 1048576);
	assert_string_equal(c->limits.spool_directory, "/tmp");
	assert_int_equal(c->limits.pipeline, 1000);
	assert_int_equal(c->dns.n_resolvers, 0);
	assert_string_equal(c->dns.trust_anchor, "");
	config_unref(c);
}

static void
test_policy_defaults(void **state)
{
	struct config *c = must_load(minimal);
	const struct config_policy *p = &c->policies[0];
	int phase;

	(void)state;
	assert_int_equal(c->n_policies, 1);
	assert_string_equal(p->name, "p");
	assert_int_equal(p->transport, CONFIG_ENDPOINT_UNIX);
	assert_string_equal(p->path, "/run/weir/p.sock");
	assert_string_equal(p->host, "");
	assert_int_equal(p->stage, 10);
	assert_int_equal(p->mode, POLICY_MODE_ENFORCE);
	assert_int_equal(p->grants, 0);
	for (phase = 0; phase < POLICY_PHASE_COUNT; phase++)
		assert_int_equal(p->on_error[phase], POLICY_TEMPFAIL);
	assert_int_equal(p->timeout_us, 2 * S);
	assert_int_equal(p->message_timeout_us, 15 * S);
	assert_int_equal(p->transaction_timeout_us, 30 * S);
	assert_int_equal(p->max_extension_us, 30 * S);
	assert_int_equal(p->breaker_time_us, 30 * S);
	assert_int_equal(p->breaker_failures, 5);
	assert_int_equal(p->connections, 1);
	assert_int_equal(p->max_frame, 1048576);
	assert_int_equal(p->delay_max_ms, 60000);
	assert_false(p->required);
	assert_int_equal(p->sample, 100);
	assert_int_equal(c->n_pools, 1);
	assert_int_equal(c->pools[0].n_addresses, 2);
	assert_string_equal(c->pool_infos[0].name, "clean");
	assert_ptr_equal(c->pool_infos[0].addresses, c->pools[0].addresses);
	assert_int_equal(c->pool_infos[0].n_addresses, 2);
	config_unref(c);
}

static void
test_values(void **state)
{
	struct config *c = must_load(
	    "listener a { mode = fixed destination = \"[2001:db8::1]:587\" }\n"
	    "listener b { address = \"[::1]:0\" }\n"
	    "policy late { endpoint = \"tcp:[::1]:9\" stage = 20 }\n"
	    "policy one { endpoint = \"tcp:h:9\" on_error = reject\n"
	    "  on_error_cause = {\"timeout=tempfail\"}\n"
	    "  on_error_rcpt = relay on_error_mail = \"\"\n"
	    "  grants = {headers, discard} required = true\n"
	    "  delay_max = 1500ms }\n"
	    "policy two { endpoint = \"tcp:h:9\" }\n"
	    "policy early { endpoint = \"tcp:h:9\" stage = 0 }\n"
	    "upstream { source = {\"2001:db8::25\", 192.0.2.25} mark = 7 }\n"
	    "workers = 3 hostname = mail.example.com\n");
	const struct config_policy *one = &c->policies[1];

	(void)state;
	assert_int_equal(c->workers, 3);
	assert_string_equal(c->hostname, "mail.example.com");
	assert_int_equal(c->listeners[0].destination.port, 587);
	assert_int_equal(c->listeners[1].address.family, ADDR_IPV6);
	/* in whatever order they are written: a session looks by family */
	assert_int_equal(c->upstream.source[0].family, ADDR_IPV4);
	assert_int_equal(c->upstream.source[1].family, ADDR_IPV6);
	assert_int_equal(c->upstream.mark, 7);
	assert_string_equal(c->policies[0].name, "early");
	assert_string_equal(one->name, "one");
	assert_string_equal(c->policies[2].name, "two");
	assert_string_equal(c->policies[3].name, "late");
	assert_string_equal(c->policies[3].host, "::1");
	assert_int_equal(c->policies[3].port, 9);
	assert_int_equal(one->on_error[POLICY_PHASE_RCPT], POLICY_RELAY);
	assert_int_equal(one->on_error[POLICY_PHASE_MAIL], POLICY_REJECT);
	assert_int_equal(one->on_error[POLICY_PHASE_DATA], POLICY_REJECT);
	for (int cause = 1; cause < POLICY_ERROR_COUNT; cause++) {
		assert_int_equal(one->on_failure[POLICY_PHASE_RCPT][cause],
		    POLICY_RELAY);
		assert_int_equal(one->on_failure[POLICY_PHASE_DATA][cause],
		    cause == POLICY_ERROR_TIMEOUT ? POLICY_TEMPFAIL :
		    POLICY_REJECT);
	}
	assert_int_equal(one->grants, 1u << POLICY_GRANT_HEADERS |
	    1u << POLICY_GRANT_DISCARD);
	assert_true(one->required);
	assert_int_equal(one->delay_max_ms, 1500);
	config_unref(c);
}

/* Each row's default is what an empty section gets, and each row is named
 * once: the schema does not contradict itself. */
static void
test_schema(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < config_schema_count; i++) {
		const struct config_key *key = &config_schema[i];

		assert_ptr_equal(config_schema_find(key->section, key->name),
		    key);
		assert_true(key->text[0] != '\0');
		assert_true(key->min <= key->max);
	}
	assert_null(config_schema_find(CONFIG_TOP, "address"));
}

/* A decidable phase without its on_error_PHASE would be a hole. */
static void
test_phases(void **state)
{
	static const char *const names[POLICY_PHASE_COUNT] = {
		[POLICY_PHASE_CONNECT] = "on_error_connect",
		[POLICY_PHASE_EHLO] = "on_error_ehlo",
		[POLICY_PHASE_AUTH] = "on_error_auth",
		[POLICY_PHASE_COMMAND] = "on_error_command",
		[POLICY_PHASE_MAIL] = "on_error_mail",
		[POLICY_PHASE_RCPT] = "on_error_rcpt",
		[POLICY_PHASE_DATA] = "on_error_data",
		[POLICY_PHASE_HEADERS] = "on_error_headers",
		[POLICY_PHASE_BODY] = "on_error_body",
		[POLICY_PHASE_END_OF_MESSAGE] = "on_error_end_of_message",
	};
	unsigned phase;

	(void)state;
	for (phase = 1; phase < POLICY_PHASE_COUNT; phase++) {
		const struct config_key *key;

		if ((POLICY_PHASES_DECIDABLE >> phase & 1) == 0) {
			assert_null(names[phase]);
			continue;
		}
		assert_non_null(names[phase]);
		key = config_schema_find(CONFIG_POLICY, names[phase]);
		assert_non_null(key);
		assert_int_equal(key->offset, offsetof(struct config_policy,
		    on_error) + phase * sizeof(enum policy_action));
	}
}

static void *
hold_and_let_go(void *arg)
{
	struct config *c = arg;
	int i;

	for (i = 0; i < 10000; i++)
		config_unref(config_ref(c));
	config_unref(c);
	return NULL;
}

/* Under the address sanitizer a reference too few or too many shows. */
static void
test_lifetime(void **state)
{
	struct config *c = must_load(minimal);
	pthread_t threads[4];
	size_t i;

	(void)state;
	config_unref(NULL);
	for (i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
		    hold_and_let_go, config_ref(c)), 0);
	assert_string_equal(c->listeners[0].name, "outbound");
	config_unref(c);
	for (i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}

static void
test_describe(void **state)
{
	struct buf out;
	size_t lines = 0, tabs = 0, i;

	(void)state;
	buf_init(&out, 0);
	config_describe(&out);
	for (i = 0; i < buf_len(&out); i++) {
		uint8_t c = buf_span(&out).data[i];

		tabs += c == '\t';
		if (c == '\n') {
			lines++;
			assert_int_equal(tabs, lines * 5);
		}
	}
	assert_int_equal(lines, config_schema_count);
	buf_append_byte(&out, '\0');
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\npolicy.timeout\tduration\ts\t1ms..1d\t2s\t"));
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\nlistener.allow\tlist of networks\t-\t-\t"
	    "{\"127.0.0.0/8\", \"::1/128\"}\t"));
	buf_release(&out);
}

static void
test_resolvers(void **state)
{
	struct config *c = must_load("listener \"outbound\" { }\n"
	    "dns { resolver = {\"192.0.2.53\", \"[::1]:5353\"} }\n");
	struct buf out;

	(void)state;
	assert_int_equal(c->dns.n_resolvers, 2);
	assert_int_equal(c->dns.resolvers[0].port, 53);
	assert_int_equal(c->dns.timeout_us, 10000000);
	buf_init(&out, 0);
	config_json(c, &out);
	buf_append_byte(&out, '\0');
	assert_non_null(strstr((const char *)buf_span(&out).data,
	    "\"dns\":{\"resolver\":[\"192.0.2.53:53\",\"[::1]:5353\"],"));
	buf_release(&out);
	config_unref(c);
}

static void
test_json(void **state)
{
	struct config *c = must_load(minimal);
	struct buf out;
	const char *json;

	(void)state;
	buf_init(&out, 0);
	config_json(c, &out);
	buf_append_byte(&out, '\0');
	json = (const char *)buf_span(&out).data;
	assert_non_null(strstr(json, "{\"file\":\"test.conf\",\"workers\":"));
	assert_non_null(strstr(json, "\"listener\":[{\"name\":\"outbound\","
	    "\"address\":\"127.0.0.1:10025\",\"mode\":\"redirect\","));
	assert_non_null(strstr(json, "\"allow\":[\"127.0.0.0/8\","
	    "\"::1/128\"]"));
	assert_non_null(strstr(json, "\"pool\":[{\"name\":\"clean\","
	    "\"addresses\":[\"192.0.2.1\",\"2001:db8::1\"],\"weights\":[],"
	    "\"ehlo_name\":\"\"}]"));
	assert_non_null(strstr(json, "\"endpoint\":\"unix:/run/weir/p.sock\""));
	assert_non_null(strstr(json, "\"timeout\":\"2s\""));
	assert_non_null(strstr(json, "\"message_size\":10240000,"));
	buf_release(&out);
	config_unref(c);
}

/* Where each value comes from. */
static void
test_keys(void **state)
{
	static const char *const parts[] = {
		"{\"key\":\"workers\",\"value\":3,\"default\":\"0\","
		    "\"is_default\":false,\"line\":1}",
		"{\"key\":\"user\",\"value\":\"weir\",\"default\":"
		    "\"\\\"weir\\\"\",\"is_default\":true,\"line\":null}",
		"{\"key\":\"listener \\\"a\\\".allow\",\"value\":"
		    "[\"127.0.0.0/8\",\"::1/128\"],\"default\":"
		    "\"{\\\"127.0.0.0/8\\\", \\\"::1/128\\\"}\","
		    "\"is_default\":true,\"line\":3}",
		"{\"key\":\"policy \\\"late\\\".stage\",\"value\":90,"
		    "\"default\":\"10\",\"is_default\":false,\"line\":5}",
		"{\"key\":\"policy \\\"soon\\\".stage\",\"value\":10,"
		    "\"default\":\"10\",\"is_default\":true,\"line\":null}",
		"{\"key\":\"dns.timeout\",",
	};
	struct config *c = must_load("workers = 3\nlistener \"a\" {\n"
	    "  allow = {\"127.0.0.0/8\", \"::1/128\"}\n}\n"
	    "policy \"late\" { stage = 90 endpoint = \"unix:/a\" }\n"
	    "policy \"soon\" { endpoint = \"unix:/b\" }\n");
	struct buf out;
	const char *json;

	(void)state;
	buf_init(&out, 0);
	config_keys_json(c, &out);
	buf_append_byte(&out, '\0');
	json = (const char *)buf_span(&out).data;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (strstr(json, parts[i]) == NULL)
			fail_msg("%s is not in %s", parts[i], json);
	assert_string_equal(c->policies[0].name, "soon");
	assert_memory_equal(c->text, "workers = 3\n", 12);
	buf_release(&out);
	config_unref(c);
}

/* The file of rules is read with the configuration, and whatever is wrong in
 * either is told at once. */
static void
test_rules(void **state)
{
	const struct policy_reply no = { .code = 450, .n_lines = 1,
	    .lines = { SPAN("not today") } };
	const struct mx_refusal f = { .reply = &no, .phase = MX_PHASE_MAIL };
	char file[] = "/tmp/weir-rules-XXXXXX", text[256], want[512];
	int fd = mkstemp(file);
	struct buf errors;
	struct config *c;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "throttle \"today\"\n", 17), 17);
	snprintf(text, sizeof(text), "listener a { }\ndeliverability "
	    "{ rules = \"%s\" }\n", file);
	c = must_load(text);
	assert_int_equal(mx_reply_category(c->rules, &f), MX_THROTTLE);
	config_unref(c);
	assert_int_equal(write(fd, "x\n", 2), 2);
	snprintf(text, sizeof(text), "deliverability { rules = \"%s\" }\n",
	    file);
	buf_init(&errors, 0);
	assert_null(config_load_text("t.conf", span_str(text), &errors));
	buf_append_byte(&errors, '\0');
	snprintf(want, sizeof(want), "\n%s:2: x is no category; ", file);
	assert_non_null(strstr((const char *)buf_span(&errors).data, want));
	assert_memory_equal(buf_span(&errors).data, "t.conf:1: there is no "
	    "listener", 30);
	close(fd);
	unlink(file);
	buf_clear(&errors);
	assert_null(config_load_text("t.conf", span_str(text), &errors));
	buf_append_byte(&errors, '\0');
	snprintf(want, sizeof(want), "\n%s: cannot read it: No such file or "
	    "directory; deliverability.rules names it\n", file);
	assert_non_null(strstr((const char *)buf_span(&errors).data, want));
	buf_release(&errors);
	c = must_load("listener a { }\n");
	assert_int_equal(mx_reply_category(c->rules, &f), MX_OTHER);
	config_unref(c);
}

static void
test_the_word_client_among_sources(void **state)
{
	static const struct { const char *sources, *json; } table[] = {
		{ "client", "\"source\":[\"client\"]," },
		{ "\"192.0.2.1\", client",
		  "\"source\":[\"client\",\"192.0.2.1\"]," },
	};
	struct buf text, out;
	struct config *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		buf_init(&text, 0);
		buf_init(&out, 0);
		buf_printf(&text, "listener a { mode = tproxy }\n"
		    "upstream { source = {%s} }\n%c", table[i].sources, 0);
		c = must_load((const char *)buf_span(&text).data);
		assert_true(c->upstream.source_client);
		assert_int_equal(c->upstream.source[0].family,
		    i == 0 ? ADDR_NONE : ADDR_IPV4);
		assert_int_equal(c->upstream.source[1].family, ADDR_NONE);
		config_json(c, &out);
		buf_append_byte(&out, '\0');
		assert_non_null(strstr((const char *)buf_span(&out).data,
		    table[i].json));
		buf_release(&text);
		buf_release(&out);
		config_unref(c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_policy_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_resolvers),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_the_word_client_among_sources),
	};

	return cmocka_run_group_tests_name("config_snapshot", tests, NULL,
	    NULL);
}
