/*
 * Which sockets are opened, kept and closed; on loopback, at ports of the
 * kernel's choice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/sockets.h"

#define WORKERS 2
#define FIRST_FD 3	/* sd_listen_fds(3) */

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

static unsigned
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
must_open(const struct config *c, const struct sockets *before,
    const struct config *before_config, struct sockets *sockets_r)
{
	struct buf error;

	buf_init(&error, 0);
	if (sockets_open(c, WORKERS, before, before_config, sockets_r,
	    &error) != 0)
		fail_msg("%.*s", (int)buf_len(&error),
		    (const char *)buf_span(&error).data);
	assert_int_equal(buf_len(&error), 0);
}

static bool
is_listening(int fd, const struct addr *at)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), size = sizeof(int);
	struct addr bound;
	int listening = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return false;
	bound = addr_from_sockaddr((struct sockaddr *)&ss);
	return listening && addr_eq(&bound, at);
}

/* One socket for each worker, all at the port that the first one got. */
static void
test_open(void **state)
{
	struct config *c = must_load("listener \"a\" { address = "
	    "\"127.0.0.1:0\" }\nlistener \"b\" { address = \"[::1]:0\" }\n");
	unsigned before = count_descriptors();
	struct sockets s;
	size_t i, k;

	(void)state;
	must_open(c, NULL, NULL, &s);
	assert_int_equal(s.n_workers, WORKERS);
	assert_int_equal(s.n_bound, 2);
	assert_int_equal(count_descriptors(), before + 2 * WORKERS);
	for (i = 0; i < WORKERS; i++) {
		assert_int_equal(s.workers[i].n, 2);
		for (k = 0; k < 2; k++) {
			const struct worker_socket *w = &s.workers[i].list[k];

			assert_string_equal(w->name, k == 0 ? "a" : "b");
			assert_false(w->shared);
			assert_true(s.bound[k].port != 0);
			assert_true(addr_eq(&w->bound, &s.bound[k]));
			assert_true(is_listening(w->fd, &s.bound[k]));
		}
	}
	sockets_release(&s, true);
	assert_int_equal(count_descriptors(), before);
	config_unref(c);
}

/* What cannot be had closes what was had before it, and is named. */
static void
test_all_or_nothing(void **state)
{
	struct config *c = must_load("listener \"a\" { address = "
	    "\"127.0.0.1:0\" }\nlistener \"far\" { address = "
	    "\"192.0.2.77:10025\" }\n");
	unsigned before = count_descriptors();
	struct sockets s;
	struct buf error;
	char text[512];

	(void)state;
	buf_init(&error, 0);
	assert_int_equal(sockets_open(c, WORKERS, NULL, NULL, &s, &error), -1);
	assert_int_equal(count_descriptors(), before);
	assert_null(s.workers);
	snprintf(text, sizeof(text), "%.*s", (int)buf_len(&error),
	    (const char *)buf_span(&error).data);
	assert_non_null(strstr(text, "listener \"far\": cannot listen on "
	    "192.0.2.77:10025"));
	buf_release(&error);
	config_unref(c);
}

/* The lists without the descriptors, as the workers leave them. */
static void
hand_over(struct sockets *s, int fds[WORKERS])
{
	size_t i, k;

	for (i = 0; i < s->n_workers; i++) {
		fds[i] = s->workers[i].list[0].fd;
		for (k = 0; k < s->workers[i].n; k++)
			free(s->workers[i].list[k].name);
		free(s->workers[i].list);
		s->workers[i] = (struct worker_sockets){ 0 };
	}
}

struct reload_row {
	const char *text;
	bool kept;
};

/* A listener that is the same by address (and by name, where any port will do)
 * stays where it is; any other gets sockets of its own. */
static void
test_reload(void **state)
{
	static const struct reload_row rows[] = {
		{ "listener \"a\" { address = \"127.0.0.1:0\" }\n", true },
		{ "listener \"a\" { address = \"127.0.0.1:0\" mode = "
		    "\"fixed\" destination = \"192.0.2.1:25\" }\n", true },
		{ "listener \"b\" { address = \"127.0.0.1:0\" }\n", false },
		{ "listener \"a\" { address = \"127.0.0.2:0\" }\n", false },
	};
	struct config *old = must_load(rows[0].text), *new;
	struct sockets first, second;
	int fds[WORKERS];
	unsigned before;
	size_t i, k;

	(void)state;
	must_open(old, NULL, NULL, &first);
	hand_over(&first, fds);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		before = count_descriptors();
		new = must_load(rows[i].text);
		must_open(new, &first, old, &second);
		assert_int_equal(addr_eq(&second.bound[0], &first.bound[0]),
		    rows[i].kept);
		for (k = 0; k < WORKERS; k++) {
			struct worker_socket *w = &second.workers[k].list[0];

			assert_int_equal(w->fd == -1, rows[i].kept);
			assert_true(addr_eq(&w->bound, &second.bound[0]));
			assert_int_not_equal(w->bound.port, 0);
		}
		sockets_release(&second, true);
		assert_int_equal(count_descriptors(), before);
		config_unref(new);
	}
	for (k = 0; k < WORKERS; k++) {
		assert_true(is_listening(fds[k], &first.bound[0]));
		close(fds[k]);
	}
	sockets_release(&first, false);
	config_unref(old);
}

/* A new name is no reason to open a socket anew: weir may have no right to. */
static void
test_rename(void **state)
{
	static const char format[] = "listener \"%s\" { address = "
	    "\"127.0.0.1:%u\" }\n";
	struct config *any = must_load("listener \"a\" { address = "
	    "\"127.0.0.1:0\" }\n"), *old, *new;
	struct sockets probe, first, second;
	int fds[WORKERS];
	char text[128];
	size_t k;

	(void)state;
	must_open(any, NULL, NULL, &probe);
	snprintf(text, sizeof(text), format, "a", probe.bound[0].port);
	old = must_load(text);
	snprintf(text, sizeof(text), format, "b", probe.bound[0].port);
	new = must_load(text);
	sockets_release(&probe, true);
	must_open(old, NULL, NULL, &first);
	hand_over(&first, fds);
	must_open(new, &first, old, &second);
	for (k = 0; k < WORKERS; k++) {
		assert_int_equal(second.workers[k].list[0].fd, -1);
		assert_string_equal(second.workers[k].list[0].name, "b");
		assert_true(is_listening(fds[k], &second.bound[0]));
		close(fds[k]);
	}
	sockets_release(&first, false);
	sockets_release(&second, true);
	config_unref(any);
	config_unref(old);
	config_unref(new);
}

/* A reload that fails touches no socket that is kept. */
static void
test_reload_fails(void **state)
{
	struct config *old = must_load("listener \"a\" { address = "
	    "\"127.0.0.1:0\" }\n");
	struct config *new = must_load("listener \"a\" { address = "
	    "\"127.0.0.1:0\" }\nlistener \"far\" { address = "
	    "\"192.0.2.77:10025\" }\n");
	struct sockets first, second;
	struct buf error;
	size_t k;

	(void)state;
	buf_init(&error, 0);
	must_open(old, NULL, NULL, &first);
	assert_int_equal(sockets_open(new, WORKERS, &first, old, &second,
	    &error), -1);
	for (k = 0; k < WORKERS; k++)
		assert_true(is_listening(first.workers[k].list[0].fd,
		    &first.bound[0]));
	buf_release(&error);
	sockets_release(&first, true);
	config_unref(old);
	config_unref(new);
}

/* ------------------------------------------------------- socket activation */

static const char activated[] = "listener \"in\" { address = "
    "\"127.0.0.1:0\" }\nlistener \"own\" { address = \"127.0.0.1:0\" }\n";

/* In a child, where descriptor 3 may be what it has to be. */
static void
be_activated(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char pid[16];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, 5), 0);
	if (fd != FIRST_FD) {
		assert_int_equal(dup2(fd, FIRST_FD), FIRST_FD);
		close(fd);
	}
	fcntl(FIRST_FD, F_SETFD, 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	setenv("LISTEN_FDNAMES", "in", 1);
}

static bool
is_passed_on(const struct sockets *s)
{
	size_t i;

	for (i = 0; i < WORKERS; i++) {
		const struct worker_socket *w = s->workers[i].list;

		if (w[0].fd != FIRST_FD || !w[0].shared || w[1].shared)
			return false;
	}
	return s->activated[0] == FIRST_FD && s->activated[1] == -1;
}

static int
run_activated(void)
{
	struct config *c;
	struct sockets first, second, third;

	be_activated();
	c = must_load(activated);
	must_open(c, NULL, NULL, &first);
	if (!is_passed_on(&first))
		return 1;
	/* Given out once: at a reload it is inherited, again and again. */
	must_open(c, &first, c, &second);
	must_open(c, &second, c, &third);
	if (!is_passed_on(&second) || !is_passed_on(&third) ||
	    third.workers[0].list[1].fd != -1)
		return 2;
	sockets_release(&third, true);
	sockets_release(&second, true);
	sockets_release(&first, true);
	config_unref(c);
	/* The service manager's is never closed. */
	return fcntl(FIRST_FD, F_GETFD) == -1 ? 3 : 0;
}

static void
test_activated(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_activated());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_reload_fails),
		cmocka_unit_test(test_activated),
	};

	return cmocka_run_group_tests_name("sockets", tests, NULL, NULL);
}
