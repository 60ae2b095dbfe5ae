/*
 * TLS with the other implementation that the world runs: `openssl s_server
 * -rev`, which answers each line reversed. Skipped where there is none.
 */
#include "fixture.h"
#include "net/stream.h"
#include "net/tls.h"
#include <signal.h>
#include <sys/wait.h>

struct test {
	struct loop *loop;
	struct tls_client *client;
	struct addr address;
	struct stream *stream;
	bool ok, resumed;
	char version[16], why[160], got[64];
	size_t length;
};

static void
on_bytes(void *ctx, struct span bytes)
{
	struct test *t = ctx;

	bytes = span_take(bytes, sizeof(t->got) - 1 - t->length);
	memcpy(t->got + t->length, bytes.data, bytes.len);
	t->length += bytes.len;
	if (span_find(bytes, '\n') < bytes.len)
		loop_stop(t->loop);
}

static void
on_eof(void *ctx, const char *error UNUSED)
{
	struct test *t = ctx;

	loop_stop(t->loop);
}

static void
on_drained(void *ctx UNUSED)
{
}

static void
on_tls(void *ctx, const struct tls_info *info, const char *error)
{
	struct test *t = ctx;

	t->ok = info != NULL;
	snprintf(t->why, sizeof(t->why), "%s", error);
	if (info != NULL) {
		t->resumed = info->resumed;
		snprintf(t->version, sizeof(t->version), "%s", info->version);
	}
	loop_stop(t->loop);
}

static const struct stream_handlers handlers = {
	on_bytes, on_eof, on_drained, on_tls,
};

/* Connects, or returns -1 while the server is not there yet. */
static int
dial(const struct test *t)
{
	struct sockaddr_storage ss;
	size_t len = addr_to_sockaddr(&t->address, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&ss, (socklen_t)len) != 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void
talk(struct test *t)
{
	struct tls_peer peer = { t->address, "" };
	int fd = -1, tries;

	for (tries = 0; tries < 200 && fd == -1; tries++) {
		fd = dial(t);
		if (fd == -1)
			usleep(20000);
	}
	assert_true(fd >= 0);
	memset(t->got, 0, sizeof(t->got));
	t->length = 0;
	t->stream = stream_new(t->loop, fd, &handlers, t);
	stream_start_tls(t->stream, t->client, &peer, 5000 * MS);
	assert_true(fixture_run(t->loop, 6000));
	assert_string_equal(t->why, "");
	assert_true(t->ok);
	stream_write(t->stream, SPAN("weir\n"));
	stream_flush(t->stream);
	assert_true(fixture_run(t->loop, 6000));
	assert_string_equal(t->got, "riew\n");
	stream_end(t->stream, STREAM_END_FLUSH);
	fixture_run(t->loop, 10);
}

static pid_t
serve(const char *directory, const char *version, struct addr *address_r)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char accept[32], cert[80], key[80];
	pid_t pid;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	*address_r = addr_from_sockaddr((struct sockaddr *)&sin);
	snprintf(accept, sizeof(accept), "127.0.0.1:%u",
	    (unsigned)address_r->port);
	snprintf(cert, sizeof(cert), "%s/cert.pem", directory);
	snprintf(key, sizeof(key), "%s/key.pem", directory);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		if (freopen("/dev/null", "r", stdin) == NULL ||
		    freopen("/dev/null", "w", stdout) == NULL ||
		    freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		execlp("openssl", "openssl", "s_server", "-accept", accept,
		    "-cert", cert, "-key", key, "-rev", "-quiet", version,
		    (char *)NULL);
		_exit(1);
	}
	assert_true(pid > 0);
	return pid;
}

static void
openssl_is_understood_and_resumed(void **state UNUSED)
{
	static const struct { const char *option, *version; } rows[] = {
		{ "-tls1_2", "TLS1.2" }, { "-tls1_3", "TLS1.3" },
	};
	char directory[] = "/tmp/weir-net-openssl-XXXXXX", command[400];
	struct tls_client_options options = { .cache_max = 4 };
	struct test t;
	char *error;
	pid_t pid;
	size_t i;
	bool made;

	assert_non_null(mkdtemp(directory));
	snprintf(command, sizeof(command), "cd %s && openssl req -x509 "
	    "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
	    "-subj /CN=mx.example -days 2 -keyout key.pem -out cert.pem "
	    ">/dev/null 2>&1", directory);
	made = system(command) == 0;
	for (i = 0; made && i < ARRAY_LEN(rows); i++) {
		memset(&t, 0, sizeof(t));
		t.loop = loop_new();
		t.client = tls_client_new(&options, &error);
		assert_non_null(t.client);
		pid = serve(directory, rows[i].option, &t.address);
		talk(&t);
		assert_string_equal(t.version, rows[i].version);
		assert_false(t.resumed);
		talk(&t);
		assert_true(t.resumed);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		tls_client_unref(t.client);
		loop_free(t.loop);
	}
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
	if (!made)
		skip();
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_is_understood_and_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
