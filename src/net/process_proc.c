/*
 * A cgroup's id is the inode of its directory, and anybody may read the tree:
 * it is walked until the id is found, and what was seen on the way is kept. An
 * id is never used again, so what was kept stays true.
 *
 * Which process holds a socket only its own user may see, and who has
 * CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. The cgroup's processes are looked at
 * first; all of /proc only where there is no cgroup.
 */
#include "net/process_proc.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WALK_US (250 * CLOCK_US_PER_MS)		/* one that found no cgroup */
#define SEARCH_US (50 * CLOCK_US_PER_MS)	/* for the process */
#define DEPTH_MAX 32
#define SLOTS 4096

struct process_cgroups {
	int root;		/* cgroup2's; -1: there is none */
	struct {
		uint64_t id;
		char *path;	/* "": not to be found */
	} slots[SLOTS];
	uint32_t last_pid;	/* found; often the next one's, too */
};

/* ---------------------------------------------------------------- cgroups */

static int
open_root(void)
{
	static const char *const places[] = { "/sys/fs/cgroup",
		"/sys/fs/cgroup/unified" };
	struct statfs fs;
	size_t i;

	for (i = 0; i < ARRAY_LEN(places); i++)
		if (statfs(places[i], &fs) == 0 &&
		    fs.f_type == CGROUP2_SUPER_MAGIC)
			return open(places[i], O_RDONLY | O_DIRECTORY |
			    O_CLOEXEC);
	return -1;
}

static void
keep(struct process_cgroups *c, uint64_t id, const char *path)
{
	char *copy = strdup(path);

	if (copy == NULL)
		return;
	free(c->slots[id % SLOTS].path);
	c->slots[id % SLOTS].path = copy;
	c->slots[id % SLOTS].id = id;
}

struct process_cgroups *
process_cgroups_new(void)
{
	struct process_cgroups *c = calloc(1, sizeof(*c));
	struct stat st;

	if (c == NULL)
		return NULL;
	c->root = open_root();
	if (c->root >= 0 && fstat(c->root, &st) == 0)
		keep(c, st.st_ino, "/");
	return c;
}

void
process_cgroups_free(struct process_cgroups *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		free(c->slots[i].path);
	if (c->root >= 0)
		close(c->root);
	free(c);
}

struct walk {
	struct process_cgroups *cgroups;
	uint64_t id;
	uint64_t until_us;
	char path[PROCESS_CGROUP_MAX];
};

/* Opens a directory below another one; NULL when there is none. */
static DIR *
open_below(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

/* Keeps what lies in the directory, which is at w->path; true: the id was
 * among it, or there is no time to look any further. */
static bool
walk(struct walk *w, int at, const char *name, unsigned depth)
{
	DIR *dir = depth > DEPTH_MAX ? NULL : open_below(at, name);
	size_t len = strlen(w->path);
	struct dirent *e;
	bool done = false;
	int n;

	if (dir == NULL)
		return false;
	while (!done && (e = readdir(dir)) != NULL) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		n = snprintf(w->path + len, sizeof(w->path) - len, "/%s",
		    e->d_name);
		if (n < (int)(sizeof(w->path) - len)) {
			keep(w->cgroups, e->d_ino, w->path);
			done = e->d_ino == w->id ||
			    clock_mono_us() > w->until_us ||
			    walk(w, dirfd(dir), e->d_name, depth + 1);
		}
		w->path[len] = '\0';
	}
	closedir(dir);
	return done;
}

static const char *
path_of(struct process_cgroups *c, uint64_t id)
{
	struct walk w = { .cgroups = c, .id = id };

	if (id == 0 || c->root < 0)
		return "";
	if (c->slots[id % SLOTS].id != id) {
		w.until_us = clock_mono_us() + WALK_US;
		walk(&w, c->root, ".", 0);
	}
	if (c->slots[id % SLOTS].id != id)
		keep(c, id, "");
	return c->slots[id % SLOTS].id == id ? c->slots[id % SLOTS].path : "";
}

/* -------------------------------------------------------------- processes */

struct search {
	struct process_owner *owner;
	char link[32];		/* "socket:[123]" */
	uint64_t until_us;
};

static bool
is_over(const struct search *s)
{
	return s->owner->pid != 0 || clock_mono_us() > s->until_us;
}

static bool
holds(const struct search *s, long pid)
{
	char name[64], target[sizeof(s->link)];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *dir;

	snprintf(name, sizeof(name), "/proc/%ld/fd", pid);
	dir = open_below(AT_FDCWD, name);
	if (dir == NULL)
		return false;
	while (!found && !is_over(s) && (e = readdir(dir)) != NULL) {
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target));
		found = n == (ssize_t)strlen(s->link) &&
		    memcmp(target, s->link, (size_t)n) == 0;
	}
	closedir(dir);
	return found;
}

/* Reads the text of a file up to its first NUL or line end. */
static void
read_word(long pid, const char *file, char word[PROCESS_COMMAND_MAX])
{
	char name[64];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%ld/%s", pid, file);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, word, PROCESS_COMMAND_MAX - 1);
	if (fd >= 0)
		close(fd);
	word[n > 0 ? n : 0] = '\0';
	word[strcspn(word, "\n")] = '\0';
}

static void
try_pid(struct search *s, long pid)
{
	if (pid <= 0 || !holds(s, pid))
		return;
	s->owner->pid = (uint32_t)pid;
	/* Its arguments may hold a secret; what a program calls itself is in
	 * the first one, too. */
	read_word(pid, "cmdline", s->owner->command);
	if (s->owner->command[0] == '\0')
		read_word(pid, "comm", s->owner->command);
}

static void
try(struct search *s, const char *text)
{
	try_pid(s, strtol(text, NULL, 10));	/* 0: no number */
}

static void
search_cgroup(struct process_cgroups *c, struct search *s)
{
	char name[PROCESS_CGROUP_MAX + 16], line[32];
	FILE *list;
	int fd;

	snprintf(name, sizeof(name), ".%s/cgroup.procs", s->owner->cgroup);
	fd = openat(c->root, name, O_RDONLY | O_CLOEXEC);
	list = fd < 0 ? NULL : fdopen(fd, "re");
	if (list == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (!is_over(s) && fgets(line, sizeof(line), list) != NULL)
		try(s, line);
	fclose(list);
}

static void
search_all(struct search *s)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;

	if (proc == NULL)
		return;
	while (!is_over(s) && (e = readdir(proc)) != NULL)
		try(s, e->d_name);
	closedir(proc);
}

/* Else every process would be tried, and none opened. */
static bool
may_look(uint32_t uid)
{
	return uid == geteuid() || access("/proc/1/fd", R_OK | X_OK) == 0;
}

void
process_proc_owner(struct process_cgroups *c, const struct process_socket *s,
    struct process_owner *owner_r)
{
	struct search search = { .owner = owner_r };

	owner_r->pid = 0;
	owner_r->command[0] = '\0';
	snprintf(owner_r->cgroup, sizeof(owner_r->cgroup), "%s",
	    path_of(c, s->cgroup));
	if (!may_look(s->uid))
		return;
	snprintf(search.link, sizeof(search.link), "socket:[%u]", s->inode);
	search.until_us = clock_mono_us() + SEARCH_US;
	try_pid(&search, c->last_pid);
	if (owner_r->cgroup[0] != '\0')
		search_cgroup(c, &search);
	else
		search_all(&search);
	c->last_pid = owner_r->pid;
}
