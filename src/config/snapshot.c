/*
 * The life of a snapshot: loaded whole or not at all, shared by reference,
 * freed in one piece. The struct itself lives in its own memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "config/build.h"
#include "mx/rules.h"

#define FILE_MAX (1024 * 1024)	/* bytes; a real one has a few thousand */

static int read_file(const char *file, struct buf *text);

/* NULL: it cannot be read, or not all of it is understood. */
static struct mx_rules *
read_rules(const char *file, struct buf *errors)
{
	struct mx_rules *rules = NULL;
	struct buf text;

	buf_init(&text, FILE_MAX);
	if (file[0] != '\0' && read_file(file, &text) != 0)
		buf_printf(errors, "%s: cannot read it: %s; "
		    "deliverability.rules names it\n", file, strerror(errno));
	else
		rules = mx_rules_new(file, buf_span(&text), errors);
	buf_release(&text);
	return rules;
}

static struct config *
load(const char *name, struct span text, struct buf *errors)
{
	struct config_memory *memory = config_memory_new();
	struct config_report report = { .memory = memory };
	struct config *c = config_memory_alloc(memory, sizeof(*c));
	struct config_part *parts;
	bool whole = config_parse(text, &report, &parts);

	if (parts != NULL)
		config_build(parts, &report, c);
	if (whole)	/* else what is missing may stand in the rest */
		config_check(c, parts, &report);
	config_report_write(&report, name, errors);
	if (whole)
		c->rules = read_rules(c->deliverability.rules, errors);
	if (report.first != NULL || c->rules == NULL) {
		mx_rules_free(c->rules);
		config_memory_free(memory);
		return NULL;
	}
	config_settle(c, memory);
	c->file = config_memory_string(memory, span_str(name));
	c->text = config_memory_string(memory, text);
	c->parts = parts;
	c->memory = memory;
	atomic_init(&c->references, 1);
	return c;
}

struct config *
config_load_text(const char *name, struct span text, struct buf *errors)
{
	return load(name, text, errors);
}

static int
read_file(const char *file, struct buf *text)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint8_t *room;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	do {
		room = buf_reserve(text, 4096);
		if (room == NULL) {
			errno = EFBIG;
			n = -1;
			break;
		}
		n = read(fd, room, 4096);
		if (n > 0)
			buf_commit(text, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		int why = errno;

		close(fd);
		errno = why;
		return -1;
	}
	close(fd);
	return 0;
}

struct config *
config_load(const char *file, struct buf *errors)
{
	struct config *c = NULL;
	struct buf text;

	buf_init(&text, FILE_MAX);
	if (read_file(file, &text) != 0)
		buf_printf(errors, "%s: cannot read it: %s; name a readable "
		    "file with -c\n", file, strerror(errno));
	else
		c = load(file, buf_span(&text), errors);
	buf_release(&text);
	return c;
}

struct config *
config_ref(struct config *c)
{
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
	return c;
}

void
config_unref(struct config *c)
{
	if (c != NULL && atomic_fetch_sub_explicit(&c->references, 1,
	    memory_order_acq_rel) == 1) {
		mx_rules_free(c->rules);
		config_memory_free(c->memory);
	}
}
