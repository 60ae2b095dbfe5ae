/*
 * base/escape.c makes controls visible; a terminal can be fooled by more: by
 * what takes no column, and by UTF-8 on a terminal that reads another character
 * set, where the byte 0x9b begins an escape sequence. wcwidth() knows
 * what takes how many columns.
 */
#include "weirctl/text.h"

#include <math.h>
#include <stdio.h>
#include <wchar.h>

#include "base/escape.h"

#define ELLIPSIS_LEAST 6	/* columns: below this "..." says nothing */

static bool
is_invisible(wchar_t c)
{
	static const struct {
		wchar_t first, last;
	} ranges[] = {
		{ 0xad, 0xad }, { 0x34f, 0x34f }, { 0x115f, 0x1160 },
		{ 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f },
		{ 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3164, 0x3164 },
		{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
		{ 0xfff0, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

/* The first character of s, not empty, and its bytes; at least one. */
static struct span
character(struct span s, wchar_t *c_r)
{
	mbstate_t state = { 0 };
	size_t n;

	if (s.data[0] < 0x80) {
		*c_r = s.data[0];
		return span_take(s, 1);
	}
	n = mbrtowc(c_r, (const char *)s.data, s.len, &state);
	if (n == 0 || n > s.len) {	/* (size_t)-1, (size_t)-2: no character */
		*c_r = 0;
		n = 1;
	}
	return span_take(s, n);
}

void
text_show(struct buf *out, struct span s, bool utf8)
{
	struct buf safe;
	wchar_t c;

	buf_init(&safe, 0);
	escape_record(&safe, s);
	out->failed |= buf_failed(&safe);
	for (s = buf_span(&safe); s.len > 0;) {
		struct span bytes = character(s, &c);
		bool fine = bytes.data[0] < 0x80 ||
		    (utf8 && wcwidth(c) >= 0 && !is_invisible(c) && c != 0);

		if (fine)
			buf_append(out, bytes);
		for (size_t i = 0; !fine && i < bytes.len; i++)
			buf_printf(out, "\\x%02x", bytes.data[i]);
		s = span_skip(s, bytes.len);
	}
	buf_release(&safe);
}

static size_t
width_of(wchar_t c)
{
	int width = wcwidth(c);

	return width < 0 ? 1 : (size_t)width;
}

size_t
text_width(struct span s)
{
	size_t width = 0;
	wchar_t c;

	while (s.len > 0) {
		s = span_skip(s, character(s, &c).len);
		width += width_of(c);
	}
	return width;
}

size_t
text_cut(struct buf *out, struct span s, size_t columns)
{
	bool cut = text_width(s) > columns;
	bool dots = cut && columns >= ELLIPSIS_LEAST;
	size_t room = dots ? columns - 3 : columns, used = 0;
	wchar_t c;

	while (s.len > 0) {
		struct span bytes = character(s, &c);

		if (used + width_of(c) > room)
			break;
		used += width_of(c);
		buf_append(out, bytes);
		s = span_skip(s, bytes.len);
	}
	if (!dots)
		return used;
	buf_append_str(out, "...");
	return used + 3;
}

/* Three digits that count: 1.24, 12.4, 124. */
static void
figure(struct buf *out, double value, const char *unit)
{
	buf_printf(out, "%.*f %s", value < 9.95 ? 1 : 0, value, unit);
}

void
text_us(struct buf *out, double us)
{
	double s = us / 1e6;

	if (us < 999.5)
		buf_printf(out, "%.0f us", us);
	else if (us < 999.5e3)
		figure(out, us / 1e3, "ms");
	else if (s < 120)
		figure(out, s, "s");
	else if (s < 7200)
		buf_printf(out, "%.0f min", floor(s / 60));
	else if (s < 172800)
		buf_printf(out, "%.0f h %.0f min", floor(s / 3600),
		    floor(fmod(s, 3600) / 60));
	else
		buf_printf(out, "%.0f d %.0f h", floor(s / 86400),
		    floor(fmod(s, 86400) / 3600));
}

void
text_bytes(struct buf *out, double bytes)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB" };
	size_t i = 0;

	if (bytes < 1000) {
		buf_printf(out, "%.0f B", bytes);
		return;
	}
	for (bytes /= 1000; bytes >= 999.5 && i + 1 < ARRAY_LEN(units); i++)
		bytes /= 1000;
	figure(out, bytes, units[i]);
}

void
text_count(struct buf *out, double count)
{
	char digits[64];
	int i, n;

	n = snprintf(digits, sizeof digits, "%.0f", fabs(count));
	if (count < 0)
		buf_append_byte(out, '-');
	for (i = 0; i < n && i < (int)sizeof digits - 1; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			buf_append_byte(out, ',');
		buf_append_byte(out, (uint8_t)digits[i]);
	}
}

void
text_share(struct buf *out, double of_one)
{
	double percent = of_one * 100;

	buf_printf(out, "%.*f %%", percent > 0 && percent < 9.95 ? 1 : 0,
	    percent);
}
