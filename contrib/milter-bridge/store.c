/*
 * A body is kept for the filters behind the one that reads it as it comes;
 * with one filter it is forgotten as it is read, and never gets to the disk.
 */
#include "milter-bridge/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void
milter_store_init(struct milter_store *s)
{
	*s = (struct milter_store){ .fd = -1 };
	buf_init(&s->memory, 0);
}

void
milter_store_release(struct milter_store *s)
{
	buf_release(&s->memory);
	if (s->fd >= 0)
		close(s->fd);
	milter_store_init(s);
}

static int
open_file(void)
{
	const char *folder = getenv("TMPDIR");

	return open(folder == NULL || folder[0] == '\0' ? "/tmp" : folder,
	    O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
}

static int
write_all(int fd, struct span data, uint64_t offset)
{
	while (data.len > 0) {
		ssize_t n = pwrite(fd, data.data, data.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data = span_skip(data, (size_t)n);
		offset += (size_t)n;
	}
	return 0;
}

static void
move_to_file(struct milter_store *s)
{
	s->fd = open_file();
	if (s->fd < 0 ||
	    write_all(s->fd, buf_span(&s->memory), s->forgotten) != 0)
		s->failed = true;
	buf_release(&s->memory);
}

void
milter_store_append(struct milter_store *s, struct span data)
{
	if (s->fd < 0 && !s->failed &&
	    buf_len(&s->memory) + data.len > MILTER_STORE_MEMORY)
		move_to_file(s);
	if (s->failed)
		return;
	if (s->fd < 0 ? buf_append(&s->memory, data) != 0 :
	    write_all(s->fd, data, s->size) != 0)
		s->failed = true;
	else
		s->size += data.len;
}

size_t
milter_store_read(struct milter_store *s, uint64_t offset, size_t most,
    struct buf *out)
{
	uint8_t *room;
	ssize_t n;

	if (s->failed || offset < s->forgotten || offset >= s->size)
		return 0;
	if (most > s->size - offset)
		most = (size_t)(s->size - offset);
	room = buf_reserve(out, most);
	if (room == NULL) {
		s->failed = true;
		return 0;
	}
	if (s->fd < 0) {
		memcpy(room, buf_span(&s->memory).data +
		    (size_t)(offset - s->forgotten), most);
		buf_commit(out, most);
		return most;
	}
	do
		n = pread(s->fd, room, most, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		s->failed = true;
		return 0;
	}
	buf_commit(out, (size_t)n);
	return (size_t)n;
}

void
milter_store_forget(struct milter_store *s, uint64_t offset)
{
	if (s->fd >= 0 || s->failed || offset <= s->forgotten ||
	    offset > s->size)
		return;
	buf_consume(&s->memory, (size_t)(offset - s->forgotten));
	buf_release_if_empty(&s->memory);
	s->forgotten = offset;
}
