/*
 * The content of a held message, in the two places where it may lie:
 *
 *	0 ........ memory_max ............................ size
 *	|  memory  |  the file, from its own offset 0 on  |
 *
 * The file has no name, so that nothing is left behind however weir ends. It
 * is read into the same window buffer again and again, and mail goes to disk
 * only when it is large or many are held at once.
 */
#include "service/spool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW (64 * 1024)

struct spool {
	struct buf memory;
	size_t memory_max;
	char *directory;
	uint8_t *window;	/* what was read of the file last */
	uint64_t file_size;
	int fd;			/* -1: no file yet */
};

struct spool *
spool_new(size_t memory_max, const char *directory)
{
	struct spool *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	buf_init(&s->memory, memory_max);
	s->memory_max = memory_max;
	s->fd = -1;
	s->directory = strdup(directory);
	if (s->directory == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

void
spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	spool_clear(s);
	free(s->directory);
	free(s);
}

void
spool_clear(struct spool *s)
{
	buf_release(&s->memory);
	free(s->window);
	s->window = NULL;
	if (s->fd != -1)
		close(s->fd);
	s->fd = -1;
	s->file_size = 0;
}

/* O_TMPFILE is not known to every file system. */
static int
open_unlinked(const char *directory)
{
	char *path;
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	if (asprintf(&path, "%s/weir-spool-XXXXXX", directory) < 0) {
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd != -1)
		unlink(path);
	free(path);
	return fd;
}

static const char *
words(int error)
{
	const char *text = strerrordesc_np(error);

	return text == NULL ? "unknown error" : text;
}

static int
write_file(struct spool *s, struct span bytes, const char **why_r)
{
	uint64_t at = s->file_size;
	ssize_t n;

	if (s->fd == -1)
		s->fd = open_unlinked(s->directory);
	if (s->fd == -1) {
		*why_r = words(errno);
		return -1;
	}
	while (bytes.len > 0) {
		n = pwrite(s->fd, bytes.data, bytes.len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			/* What got there is not counted, so not there. */
			*why_r = words(n < 0 ? errno : ENOSPC);
			return -1;
		}
		bytes = span_skip(bytes, (size_t)n);
		at += (uint64_t)n;
	}
	s->file_size = at;
	return 0;
}

int
spool_append(struct spool *s, struct span bytes, const char **why_r)
{
	struct span now = { bytes.data, 0 };

	if (s->memory_max > buf_len(&s->memory))
		now = span_take(bytes, s->memory_max - buf_len(&s->memory));
	bytes = span_skip(bytes, now.len);
	/* The file first: if it fails, nothing was appended. */
	if (bytes.len > 0 && write_file(s, bytes, why_r) != 0)
		return -1;
	if (now.len == 0)
		return 0;
	if (buf_append(&s->memory, now) == 0)
		return 0;
	s->file_size -= bytes.len;
	*why_r = words(ENOMEM);
	return -1;
}

int
spool_read(struct spool *s, uint64_t offset, size_t length,
	struct span *bytes_r, const char **why_r)
{
	size_t in_memory = buf_len(&s->memory);
	ssize_t n;

	if (offset >= spool_size(s) || length == 0) {
		*why_r = "beyond the end of the spool";
		return -1;
	}
	if (offset < in_memory) {
		*bytes_r = span_take(span_skip(buf_span(&s->memory),
		    (size_t)offset), length);
		return 0;
	}
	if (s->window == NULL)
		s->window = malloc(WINDOW);
	if (s->window == NULL) {
		*why_r = words(ENOMEM);
		return -1;
	}
	offset -= in_memory;
	if (length > s->file_size - offset)
		length = (size_t)(s->file_size - offset);
	do {
		n = pread(s->fd, s->window, length < WINDOW ? length : WINDOW,
		    (off_t)offset);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		*why_r = n < 0 ? words(errno) : "the spool file was cut";
		return -1;
	}
	*bytes_r = span_of(s->window, (size_t)n);
	return 0;
}

uint64_t
spool_size(const struct spool *s)
{
	return buf_len(&s->memory) + s->file_size;
}
