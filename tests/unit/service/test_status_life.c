/*
 * The sockets of the status server: how they are made and left, and by whom
 * else they are used.
 */
#include "status_setup.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"

static void
test_ipv6(void **state)
{
	struct status_setup s;

	(void)state;
	setup_begin(&s, "[::1]:0", NULL);
	assert_int_equal(status_address(s.status).family, ADDR_IPV6);
	assert_int_not_equal(status_address(s.status).port, 0);
	setup_expect(&s, false, "GET", "/healthz", "", 200, "true");
	setup_end(&s);
}

static void
test_control_socket(void **state)
{
	struct status_setup s;
	struct stat st;

	(void)state;
	setup_begin(&s, "", NULL);
	assert_int_equal(status_address(s.status).family, ADDR_NONE);
	assert_int_equal(stat(s.control, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	setup_expect(&s, true, "GET", "/api/v1/status", "", 200,
	    "\"counters\"");
	setup_expect(&s, true, "POST", "/api/v1/reload", "", 200, "true");
	s.fake.reload_error = "weir.conf:3: no such key \"<b>\"\n";
	setup_expect(&s, true, "POST", "/api/v1/reload", "", 422,
	    "{\"error\":\"weir.conf:3: no such key \\\"<b>\\\"\\u000a\"}");
	setup_end(&s);
}

/* A socket that a dead process left is no hindrance; a live one stays. */
static void
test_control_socket_taken(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct status_setup s;
	struct status *second;
	struct buf error;
	int fd;

	(void)state;
	setup_begin(&s, "", NULL);
	buf_init(&error, 0);
	second = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(second);
	status_stop(second);
	setup_expect(&s, true, "GET", "/healthz", "", 200, "true");
	status_stop(s.status);

	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", s.control);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	close(fd);
	s.status = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(s.status);
	setup_expect(&s, true, "GET", "/healthz", "", 200, "true");
	buf_release(&error);
	setup_end(&s);
}

/* What is in the way and no socket stays, and weir starts without. */
static void
test_control_socket_hindered(void **state)
{
	struct status_setup s;
	struct buf error;
	FILE *file;

	(void)state;
	setup_begin(&s, "", NULL);
	status_stop(s.status);
	file = fopen(s.control, "w");
	assert_non_null(file);
	fclose(file);
	buf_init(&error, 0);
	s.status = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(s.status);
	status_stop(s.status);
	assert_int_equal(unlink(s.control), 0);
	assert_int_equal(rmdir(s.dir), 0);	/* no such directory */
	s.status = status_start(&s.fake.source, s.fake.config, &error);
	assert_non_null(s.status);
	assert_int_equal(mkdir(s.dir, 0700), 0);
	buf_release(&error);
	setup_end(&s);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *address, *part;
	} rows[] = {
		{ "*:0", "token_file" }, { "[::]:0", "token_file" },
		{ "192.0.2.1:0", "token_file" },
		{ NULL, "Address already in use" },
	};
	struct status_setup s;
	char conf[1024], text[ADDR_TEXT_MAX];
	struct addr bound;
	size_t i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	bound = status_address(s.status);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct status_fake other;
		struct buf error;

		snprintf(conf, sizeof conf, setup_conf,
		    addr_format_port(&bound, text), "", "");
		status_fake_init(&other, conf, &s.record);
		/* config/ refuses the same, but this is no place to trust. */
		if (rows[i].address != NULL)
			assert_int_equal(addr_parse_port(
			    span_str(rows[i].address),
			    &other.config->status.address), 0);
		buf_init(&error, 0);
		assert_null(status_start(&other.source, other.config,
		    &error));
		buf_append_byte(&error, '\0');
		assert_non_null(strstr((const char *)buf_span(&error).data,
		    rows[i].part));
		buf_release(&error);
		status_fake_release(&other);
	}
	setup_end(&s);
}

/* Workers count while others look. */
static void *
worker(void *ctx)
{
	struct metrics *m = ctx;
	unsigned i;

	for (i = 0; i < 20000; i++) {
		metrics_add(&m->session[SESSION_COUNTER_DELIVERED], 1);
		histogram_add(&m->connect_us, i);
		if (i % 100 == 0)
			metrics_set_text(m->policies[0].software,
			    i % 200 == 0 ? "even" : "odder");
	}
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[STATUS_FAKE_WORKERS];
	struct status_setup s;
	size_t i;

	(void)state;
	setup_begin(&s, "127.0.0.1:0", NULL);
	for (i = 0; i < STATUS_FAKE_WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, worker,
		    s.fake.workers[i]), 0);
	for (i = 0; i < 20; i++) {
		setup_expect(&s, i % 2 == 0, "GET", "/api/v1/status", "", 200,
		    "\"counters\"");
		setup_expect(&s, i % 2 == 0, "GET", "/metrics", "", 200, "");
	}
	for (i = 0; i < STATUS_FAKE_WORKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	setup_expect(&s, false, "GET", "/api/v1/status", "", 200,
	    "\"delivered\":40000");
	setup_end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_control_socket),
		cmocka_unit_test(test_control_socket_taken),
		cmocka_unit_test(test_control_socket_hindered),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_threads),
	};

	return setup_run("test_status_life", tests, ARRAY_LEN(tests));
}
