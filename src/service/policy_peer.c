/*
 * The user behind a unix socket, by SO_PEERCRED.
 *
 * Without `peer_uid`, three are expected: root and weir's own user, who can do
 * anything to weir anyway, and the owner of the socket's directory, who can
 * replace the socket at will. So a server that runs as its own user, with a
 * directory of its own (systemd's RuntimeDirectory), needs no configuration,
 * and a socket that somebody put into a directory open to all is not used.
 */
#include "service/policy_peer.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/connect.h"

/* The directory of an absolute path: up to its last slash. */
static bool
directory_owner(const char *path, uid_t *uid_r)
{
	char directory[256];
	struct stat st;

	if (snprintf(directory, sizeof(directory), "%.*s",
	    (int)(strrchr(path, '/') - path) + 1, path) >=
	    (int)sizeof(directory) || stat(directory, &st) != 0)
		return false;
	*uid_r = st.st_uid;
	return true;
}

bool
policy_peer_is_expected(const struct config_policy *block, int fd, char *why,
    size_t size)
{
	uint32_t uid;
	uid_t owner;

	if (block->transport != CONFIG_ENDPOINT_UNIX ||
	    block->peer == CONFIG_PEER_ANY)
		return true;
	if (connect_peer_uid(fd, &uid) != 0) {
		snprintf(why, size, "the kernel does not say who listens at "
		    "the socket; peer_uid = \"any\" does without");
		return false;
	}
	if (block->peer != CONFIG_PEER_USUAL) {
		if (uid == block->peer)
			return true;
		snprintf(why, size, "user %u listens at the socket, and not "
		    "%s, as peer_uid says", uid, block->peer_uid);
		return false;
	}
	if (uid == 0 || uid == geteuid() ||
	    (directory_owner(block->path, &owner) && uid == owner))
		return true;
	snprintf(why, size, "user %u listens at the socket: not root, not "
	    "weir's user, not the owner of its directory; if that is right, "
	    "write peer_uid = \"%u\"", uid, uid);
	return false;
}
