/*
 * setuid(2) with one capability kept: permitted survives through
 * PR_SET_KEEPCAPS, everything but CAP_NET_ADMIN is then cut off it.
 */
#include "daemon/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

unsigned long
privileges_descriptors(unsigned long wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = wanted < limit.rlim_max ? wanted :
		    limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur;
}

static int
keep_only_net_admin(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	data[0].effective = data[0].permitted = 1u << CAP_NET_ADMIN;
	return (int)syscall(SYS_capset, &header, data);
}

static int
become(const struct passwd *pw, bool keep_net_admin, struct buf *error)
{
	if (keep_net_admin)
		prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
	    setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0) {
		buf_printf(error, "cannot become user \"%s\": %s", pw->pw_name,
		    strerror(errno));
		return -1;
	}
	if (keep_net_admin && keep_only_net_admin() != 0) {
		buf_printf(error, "cannot keep CAP_NET_ADMIN, for upstream.mark "
		    "and mode = tproxy: %s", strerror(errno));
		return -1;
	}
	return 0;
}

int
privileges_drop(const char *user, bool keep_net_admin, struct buf *error)
{
	const struct passwd *pw;

	if (geteuid() == 0 && user[0] != '\0') {
		errno = 0;
		pw = getpwnam(user);
		if (pw == NULL) {
			buf_printf(error, "user \"%s\" does not exist: make "
			    "it, or set another `user` (\"\" stays who weir "
			    "was started as)", user);
			return -1;
		}
		if (become(pw, keep_net_admin, error) != 0)
			return -1;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}
