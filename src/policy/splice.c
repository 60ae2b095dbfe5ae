/*
 * Body splices.
 *
 *	old body   ....... kept ........|-removed-|.... kept ....|... kept ...
 *	new body   ....... kept ........[inserted]..... kept ....[inserted]...
 *	                                ^         ^              ^         ^
 *	                                        seams
 *
 * Only at a seam can a line end break: a CR may have lost its LF, an LF its
 * CR. So that is where the two octets on either side are looked at; all else
 * is copied in runs. A body is never kept: it may be larger than memory.
 */
#include <stdlib.h>

#include "policy/splice.h"

/* ------------------------------------------------------------------- check */

static bool
has_bare_newline(struct span s)
{
	size_t lf;

	for (; s.len > 0; s = span_skip(s, lf + 1)) {
		lf = span_find(s, '\n');
		if (lf == s.len)
			return span_find(s, '\r') < s.len;
		if (lf == 0 || span_find(s, '\r') != lf - 1)
			return true;
	}
	return false;
}

const char *
policy_splices_check(const struct policy_splice *list, size_t n, uint64_t size)
{
	uint64_t end = 0;

	for (size_t i = 0; i < n; i++) {
		const struct policy_splice *s = &list[i];

		if (s->offset < end)
			return "splices overlap or descend";
		if (s->offset > size || s->remove > size - s->offset)
			return "a splice leaves the body";
		if (has_bare_newline(s->insert))
			return "a splice inserts a bare CR or LF";
		end = s->offset + s->remove;
	}
	return NULL;
}

/* ------------------------------------------------------------------- merge */

/* Appends s. Returns whether it conflicts with what is there. */
static bool
add_one(struct policy_splice *list, size_t *n, struct policy_splice s)
{
	struct policy_splice *last = *n == 0 ? NULL : &list[*n - 1];

	if (last != NULL && last->offset == s.offset && s.remove == 0) {
		s.remove = last->remove;	/* behind all insertions */
		last->remove = 0;
	}
	if (last != NULL && s.offset < last->offset + last->remove)
		return true;
	list[(*n)++] = s;
	return false;
}

const char *
policy_splices_add(struct policy_splices *all, const struct policy_splice *more,
    size_t n_more)
{
	struct policy_splice *list;
	size_t a = 0, b = 0, n = 0;

	if (n_more == 0)
		return NULL;
	list = calloc(all->n + n_more, sizeof(*list));
	if (list == NULL)
		return "no memory for splices";
	while (a < all->n || b < n_more) {
		bool old = b == n_more || (a < all->n &&
		    all->list[a].offset <= more[b].offset);

		if (!add_one(list, &n, old ? all->list[a++] : more[b++]))
			continue;
		free(list);
		return "another policy of its stage splices the same bytes";
	}
	free(all->list);
	all->list = list;
	all->n = n;
	return NULL;
}

void
policy_splices_release(struct policy_splices *all)
{
	free(all->list);
	*all = (struct policy_splices){ .list = NULL };
}

uint64_t
policy_splices_size(const struct policy_splices *all, uint64_t size)
{
	for (size_t i = 0; i < all->n; i++)
		size += all->list[i].insert.len;
	for (size_t i = 0; i < all->n; i++)
		size -= all->list[i].remove;
	return size;
}

/* ------------------------------------------------------------------ stream */

void
policy_splicer_init(struct policy_splicer *p, const struct policy_splices *all)
{
	*p = (struct policy_splicer){ .next = all->list, .empty = true,
	    .active = all->n > 0 };
	p->end = all->n == 0 ? p->next : p->next + all->n;
}

static void
put(struct policy_splicer *p, struct span piece, struct buf *out)
{
	if (piece.len == 0)
		return;
	buf_append(out, piece);
	p->before = piece.len > 1 ? piece.data[piece.len - 2] : p->last;
	p->last = piece.data[piece.len - 1];
	p->empty = false;
}

/* A piece that may stand at a seam. */
static void
join(struct policy_splicer *p, struct span piece, struct buf *out)
{
	if (piece.len == 0)
		return;
	if (p->seam && p->last == '\r' && piece.data[0] != '\n')
		put(p, SPAN("\n"), out);
	else if (p->seam && p->last != '\r' && piece.data[0] == '\n')
		put(p, SPAN("\r"), out);
	p->seam = false;
	put(p, piece, out);
}

/* The splices that begin here. */
static void
begin(struct policy_splicer *p, struct buf *out)
{
	for (; p->removing == 0 && p->next < p->end &&
	    p->next->offset == p->offset; p->next++) {
		p->seam = true;
		join(p, p->next->insert, out);
		p->seam = true;
		p->removing = p->next->remove;
	}
}

void
policy_splicer_feed(struct policy_splicer *p, struct span body,
    struct buf *out)
{
	struct span piece;
	uint64_t most;

	while (body.len > 0) {
		begin(p, out);
		most = p->removing > 0 ? p->removing :
		    p->next < p->end ? p->next->offset - p->offset : body.len;
		piece = span_take(body, most < body.len ? (size_t)most :
		    body.len);
		if (p->removing > 0)
			p->removing -= piece.len;
		else
			join(p, piece, out);
		p->offset += piece.len;
		body = span_skip(body, piece.len);
	}
}

void
policy_splicer_finish(struct policy_splicer *p, struct buf *out)
{
	begin(p, out);
	if (!p->active || p->empty || (p->before == '\r' && p->last == '\n'))
		return;
	put(p, p->last == '\r' ? SPAN("\n") : SPAN("\r\n"), out);
}
