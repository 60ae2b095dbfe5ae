/*
 * The configuration in force as a list of keys, for people who ask where a
 * value comes from: each with its default and the line of the file that set
 * it. The parsed sections live as long as the snapshot, so nothing has to be
 * kept for it.
 */
#include "base/escape.h"
#include "config/build.h"
#include "config/json.h"

/* What stands in the file for that section; NULL: nothing. */
static const struct config_part *
part_of(const struct config *c, enum config_section section, const char *title)
{
	const struct config_part *part = NULL;

	while ((part = config_next_part(c->parts, part, section)) != NULL)
		if (strcmp(part->title, title) == 0)
			return part;
	return NULL;
}

/* Did somebody write the default down? */
static bool
says_default(const struct config_key *key, const struct config_given *given)
{
	struct span rest = span_str(key->fallback);
	size_t i;

	for (i = 0; i < given->n; i++) {
		size_t len = config_schema_is_list(key) ?
		    span_find(rest, ' ') : rest.len;

		if (!span_eq(span_take(rest, len), span_str(given->texts[i])))
			return false;
		rest = span_skip(rest, len + 1);
	}
	return rest.len == 0;
}

static void
key_json(const struct config *c, const struct config_key *key, size_t i,
    const char *title, struct buf *out)
{
	const struct config_part *part = part_of(c, key->section, title);
	const struct config_given *given = part == NULL ? NULL :
	    &part->given[key - config_schema];
	bool is_given = given != NULL && given->given;
	struct buf text;

	buf_init(&text, 0);
	buf_append_str(&text, config_schema_section_name(key->section));
	if (title[0] != '\0')
		buf_printf(&text, " \"%s\"", title);
	buf_printf(&text, "%s%s", key->section == CONFIG_TOP ? "" : ".",
	    key->name);
	buf_append_str(out, "{\"key\":");
	escape_json(out, buf_span(&text));
	buf_append_str(out, ",\"value\":");
	config_json_value(key, config_section_base(c, key->section, i), out);
	buf_clear(&text);
	config_schema_fallback(key, &text);
	buf_append_str(out, ",\"default\":");
	escape_json(out, buf_span(&text));
	buf_release(&text);
	buf_printf(out, ",\"is_default\":%s,\"line\":", !is_given ||
	    says_default(key, given) ? "true" : "false");
	if (is_given && given->line > 0)
		buf_printf(out, "%u}", given->line);
	else
		buf_append_str(out, "null}");
}

void
config_keys_json(const struct config *c, struct buf *out)
{
	const char *comma = "", *title;
	size_t i, k;
	int s;

	buf_append_byte(out, '[');
	for (s = 0; s < CONFIG_SECTION_COUNT; s++) {
		enum config_section section = (enum config_section)s;

		for (i = 0; config_json_section(c, section, i, &title); i++)
			for (k = 0; k < config_schema_count; k++) {
				if (config_schema[k].section != section)
					continue;
				buf_append_str(out, comma);
				key_json(c, &config_schema[k], i, title, out);
				comma = ",";
			}
	}
	buf_append_byte(out, ']');
}
