/*
 * The errors that a mail operator meets every day, worded as in a log line:
 * lower case, no jargon. They end up in greetings ("421 4.4.1 ...: connection
 * refused") and in the record, so they must not depend on the locale; all
 * others are glibc's untranslated text.
 */
#include "net/reason.h"
#include "base/compiler.h"
#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
	int error;
	const char *words;
} table[] = {
	{ ECONNREFUSED, "connection refused" },
	{ ECONNRESET, "connection reset by peer" },
	{ EPIPE, "connection closed by peer" },
	{ ETIMEDOUT, "connection timed out" },
	{ EHOSTUNREACH, "no route to host" },
	{ ENETUNREACH, "network is unreachable" },
	{ EADDRNOTAVAIL, "address is not available" },
	{ EADDRINUSE, "address is in use" },
	{ EACCES, "permission denied" },
	{ EPERM, "operation not permitted" },
	{ EMFILE, "too many open files" },
	{ ENFILE, "too many open files in the system" },
	{ ENOMEM, "out of memory" },
	{ ENOBUFS, "out of memory" },
	{ ENOENT, "no such file" },
	{ EAGAIN, "backlog is full" },	/* unix sockets' connect only */
	{ EAFNOSUPPORT, "address family is not supported" },
};

const char *
reason_errno(int error)
{
	const char *words;
	size_t i;

	for (i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].error == error)
			return table[i].words;
	}
	words = strerrordesc_np(error);
	return words == NULL ? "unknown error" : words;
}
