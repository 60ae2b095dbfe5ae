/*
 * The sockets are made here and not by libmicrohttpd: it could neither say why
 * an address cannot be had, nor give a unix socket its mode before anybody can
 * connect to it.
 */
#include "service/status_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"

#define STATUS_SOCKET_BACKLOG 64

int
status_socket_tcp(const struct addr *address, struct addr *bound_r,
    struct buf *error)
{
	struct sockaddr_storage ss;
	socklen_t len = (socklen_t)addr_to_sockaddr(address, &ss);
	char text[ADDR_TEXT_MAX];
	const char *what = "socket";
	int fd, on = 1;

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd < 0)
		goto fail;
	what = "set up";
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
		goto fail;
	if (ss.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &on, sizeof on) != 0)
		goto fail;
	what = "listen on";
	if (bind(fd, (struct sockaddr *)&ss, len) != 0 ||
	    listen(fd, STATUS_SOCKET_BACKLOG) != 0)
		goto fail;
	len = sizeof ss;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		goto fail;
	*bound_r = addr_from_sockaddr((struct sockaddr *)&ss);
	return fd;
fail:
	buf_printf(error, "status.address %s: cannot %s it: %s",
	    addr_format_port(address, text), what, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Makes way for bind. Returns 0, or -1 with error in words. */
static int
remove_stale(const char *path, const struct sockaddr_un *sun,
    struct buf *error)
{
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) != 0)
		return 0;	/* bind says what else is wrong */
	if (!S_ISSOCK(st.st_mode)) {
		buf_printf(error, "%s is there and is no socket", path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		buf_printf(error, "%s: %s", path, strerror(errno));
		return -1;
	}
	rc = connect(fd, (const struct sockaddr *)sun, sizeof *sun);
	if (rc != 0 && errno == ECONNREFUSED)
		rc = unlink(path);
	else
		rc = -1;
	close(fd);
	if (rc != 0)
		buf_printf(error, "%s is in use by another process", path);
	return rc;
}

int
status_socket_unix(const char *path, struct status_socket_unix *mine_r,
    struct buf *error)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof sun.sun_path) {
		buf_printf(error, "%s is longer than %zu bytes", path,
		    sizeof sun.sun_path - 1);
		return -1;
	}
	strcpy(sun.sun_path, path);
	if (remove_stale(path, &sun, error) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Linux gives the file the mode of the socket, so there is no moment
	 * in which others could connect. */
	if (fd < 0 || fchmod(fd, 0600) != 0 ||
	    bind(fd, (struct sockaddr *)&sun, sizeof sun) != 0 ||
	    lstat(path, &st) != 0 || listen(fd, STATUS_SOCKET_BACKLOG) != 0) {
		buf_printf(error, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*mine_r = (struct status_socket_unix){ path, st.st_dev, st.st_ino };
	return fd;
}

void
status_socket_unlink(const struct status_socket_unix *mine)
{
	struct stat st;

	if (lstat(mine->path, &st) == 0 && st.st_dev == mine->dev &&
	    st.st_ino == mine->ino)
		(void)unlink(mine->path);
}
