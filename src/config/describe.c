/*
 * What can be asked of the table of keys: finding a key, helping with a word
 * that is none, and describing them all for -T.
 */
#include "config/schema.h"

#include "config/config.h"
#include "config/value.h"

static const char *const section_names[] = {
	[CONFIG_TOP] = "", [CONFIG_LISTENER] = "listener",
	[CONFIG_UPSTREAM] = "upstream", [CONFIG_TLS] = "tls",
	[CONFIG_POOL] = "pool",
	[CONFIG_POLICY] = "policy", [CONFIG_RECORD] = "record",
	[CONFIG_STATUS] = "status", [CONFIG_LIMITS] = "limits",
	[CONFIG_DNS] = "dns", [CONFIG_DELIVERABILITY] = "deliverability",
};
_Static_assert(ARRAY_LEN(section_names) == CONFIG_SECTION_COUNT,
    "name every section");

static const char *const type_names[] = {
	[CONFIG_STRING] = "string", [CONFIG_WORD] = "word",
	[CONFIG_WORDS] = "list of words", [CONFIG_BOOL] = "boolean",
	[CONFIG_NUMBER] = "number", [CONFIG_NUMBERS] = "list of numbers",
	[CONFIG_SIZE] = "size",
	[CONFIG_DURATION] = "duration", [CONFIG_DURATION_MS] = "duration",
	[CONFIG_ADDRESS] = "address:port",
	[CONFIG_DESTINATION] = "host:port",
	[CONFIG_ADDRESSES] = "list of addresses",
	[CONFIG_RESOLVERS] = "list of addresses",
	[CONFIG_SOURCES] = "list of addresses",
	[CONFIG_STRINGS] = "list of strings",
	[CONFIG_PREFIXES] = "list of networks", [CONFIG_ENDPOINT] = "endpoint",
};
_Static_assert(ARRAY_LEN(type_names) == CONFIG_TYPE_COUNT,
    "name every type");

const char *
config_schema_section_name(enum config_section section)
{
	return section_names[section];
}

bool
config_schema_is_titled(enum config_section section)
{
	return section == CONFIG_LISTENER || section == CONFIG_TLS ||
	    section == CONFIG_POOL || section == CONFIG_POLICY;
}

bool
config_schema_is_list(const struct config_key *key)
{
	return key->type == CONFIG_STRINGS || key->type == CONFIG_WORDS ||
	    key->type == CONFIG_ADDRESSES || key->type == CONFIG_SOURCES ||
	    key->type == CONFIG_PREFIXES || key->type == CONFIG_NUMBERS ||
	    key->type == CONFIG_RESOLVERS;
}

const struct config_key *
config_schema_find(enum config_section section, const char *name)
{
	size_t i;

	for (i = 0; i < config_schema_count; i++)
		if (config_schema[i].section == section &&
		    strcmp(config_schema[i].name, name) == 0)
			return &config_schema[i];
	return NULL;
}

#define WORD_MAX 40		/* longer words resemble no key */

/* Levenshtein's distance of two words of at most WORD_MAX bytes. */
static size_t
distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), row[WORD_MAX + 1], i, j;

	if (la > WORD_MAX || lb > WORD_MAX)
		return SIZE_MAX;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= lb; j++) {
			size_t cost = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < cost)
				cost = row[j] + 1;
			if (row[j - 1] + 1 < cost)
				cost = row[j - 1] + 1;
			row[j] = cost;
		}
	}
	return row[lb];
}

static void
nearer(const char *name, const char *candidate, const char **best_r,
    size_t *distance_r)
{
	size_t d = distance(name, candidate);

	if (d < *distance_r) {
		*distance_r = d;
		*best_r = candidate;
	}
}

/* The word is a key, but of another section. */
static void
misplaced(const struct config_key *key, struct buf *out)
{
	if (key->section == CONFIG_TOP)
		buf_printf(out, "; it stands outside of every section");
	else
		buf_printf(out, "; it belongs into %s%s { }",
		    section_names[key->section],
		    config_schema_is_titled(key->section) ? " \"name\"" : "");
}

void
config_schema_hint(enum config_section section, const char *name,
    struct buf *out)
{
	const char *best = NULL;
	size_t far = strlen(name) / 3 + 2, i;

	for (i = 0; i < config_schema_count; i++) {
		const struct config_key *key = &config_schema[i];

		if (strcmp(key->name, name) == 0) {
			misplaced(key, out);
			return;
		}
		if (key->section == section)
			nearer(name, key->name, &best, &far);
	}
	for (i = 1; section == CONFIG_TOP && i < CONFIG_SECTION_COUNT; i++)
		nearer(name, section_names[i], &best, &far);
	if (best != NULL)
		buf_printf(out, "; did you mean %s?", best);
	else
		buf_printf(out, "; weir -T lists all keys");
}

void
config_schema_fallback(const struct config_key *key, struct buf *out)
{
	struct span rest = span_str(key->fallback);
	bool first = true;

	if (key->type == CONFIG_BOOL || key->type == CONFIG_NUMBER ||
	    key->type == CONFIG_SIZE || key->type == CONFIG_DURATION ||
	    key->type == CONFIG_DURATION_MS) {
		buf_printf(out, "%s", key->fallback);
		return;
	}
	if (!config_schema_is_list(key)) {
		buf_printf(out, "\"%s\"", key->fallback);
		return;
	}
	buf_append_byte(out, '{');
	while (rest.len > 0) {
		struct span item = span_take(rest, span_find(rest, ' '));

		buf_printf(out, "%s\"%.*s\"", first ? "" : ", ",
		    (int)item.len, (const char *)item.data);
		first = false;
		rest = span_skip(rest, item.len + 1);
	}
	buf_append_byte(out, '}');
}

void
config_describe(struct buf *out)
{
	size_t i;

	for (i = 0; i < config_schema_count; i++) {
		const struct config_key *key = &config_schema[i];

		buf_printf(out, "%s%s%s\t%s\t%s\t",
		    section_names[key->section],
		    key->section == CONFIG_TOP ? "" : ".", key->name,
		    type_names[key->type],
		    key->unit == NULL ? "-" : key->unit);
		config_value_range(key, out);
		buf_append_byte(out, '\t');
		config_schema_fallback(key, out);
		buf_printf(out, "\t%s\n", key->text);
	}
}
