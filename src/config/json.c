/*
 * The configuration in force as JSON, for the status page: the schema's rows
 * once more, read instead of written. Durations and addresses are strings as
 * weir.conf writes them; numbers and sizes (in bytes) are numbers.
 */
#include "base/escape.h"
#include "config/build.h"
#include "config/json.h"
#include "config/value.h"

static void
string(struct buf *out, const char *s)
{
	escape_json(out, span_str(s));
}

static uint64_t
get(const struct config_key *key, const void *field)
{
	uint32_t narrow;
	uint64_t wide;

	if (key->size == sizeof(wide)) {
		memcpy(&wide, field, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, field, sizeof(narrow));
	return narrow;
}

static void
word_json(const struct config_key *key, uint64_t value, struct buf *out)
{
	const struct config_word *w = key->words;

	while (w->name != NULL && w->value != value)
		w++;
	string(out, w->name == NULL ? "" : w->name);
}

static void
words_json(const struct config_key *key, uint64_t set, struct buf *out)
{
	const struct config_word *w;
	const char *comma = "";

	buf_append_byte(out, '[');
	for (w = key->words; w->name != NULL; w++)
		if ((set >> w->value & 1) != 0) {
			buf_append_str(out, comma);
			string(out, w->name);
			comma = ",";
		}
	buf_append_byte(out, ']');
}

static void
duration_json(uint64_t us, struct buf *out)
{
	buf_append_byte(out, '"');
	config_value_duration_text(us, out);
	buf_append_byte(out, '"');
}

static void
addresses_json(const struct addr *list, size_t n, bool ports, struct buf *out)
{
	char text[ADDR_TEXT_MAX];
	const char *comma = "";
	size_t i;

	buf_append_byte(out, '[');
	for (i = 0; i < n; i++) {
		if (list[i].family == ADDR_NONE)
			continue;
		buf_printf(out, "%s\"%s\"", comma, ports ?
		    addr_format_port(&list[i], text) :
		    addr_format(&list[i], text));
		comma = ",";
	}
	buf_append_byte(out, ']');
}

static void
sources_json(const struct config_upstream *u, struct buf *out)
{
	struct buf addresses;

	buf_init(&addresses, 0);
	addresses_json(u->source, ARRAY_LEN(u->source), false,
	    &addresses);
	if (u->source_client) {
		buf_append_str(out, buf_len(&addresses) > 2 ? "[\"client\"," :
		    "[\"client\"");
		buf_consume(&addresses, 1);
	}
	buf_append(out, buf_span(&addresses));
	buf_release(&addresses);
}

static void
numbers_json(const unsigned *list, size_t n, struct buf *out)
{
	size_t i;

	buf_append_byte(out, '[');
	for (i = 0; i < n; i++)
		buf_printf(out, "%s%u", i == 0 ? "" : ",", list[i]);
	buf_append_byte(out, ']');
}

static void
strings_json(const char *const *list, size_t n, struct buf *out)
{
	size_t i;

	buf_append_byte(out, '[');
	for (i = 0; i < n; i++) {
		buf_append_str(out, i == 0 ? "" : ",");
		string(out, list[i]);
	}
	buf_append_byte(out, ']');
}

static void
prefixes_json(const struct addr_prefix *list, size_t n, struct buf *out)
{
	char text[ADDR_TEXT_MAX];
	size_t i;

	buf_append_byte(out, '[');
	for (i = 0; i < n; i++)
		buf_printf(out, "%s\"%s/%u\"", i == 0 ? "" : ",",
		    addr_format(&list[i].addr, text), list[i].bits);
	buf_append_byte(out, ']');
}

static void
endpoint_json(const struct config_policy *p, struct buf *out)
{
	bool colons = strchr(p->host, ':') != NULL;
	struct buf text;

	buf_init(&text, 0);
	if (p->transport == CONFIG_ENDPOINT_UNIX)
		buf_printf(&text, "unix:%s", p->path);
	else
		buf_printf(&text, "%s:%s%s%s:%u",
		    p->transport == CONFIG_ENDPOINT_TLS ? "tls" : "tcp",
		    colons ? "[" : "", p->host, colons ? "]" : "",
		    (unsigned)p->port);
	escape_json(out, buf_span(&text));
	buf_release(&text);
}

static void
destination_json(const struct config_listener *l, struct buf *out)
{
	char text[ADDR_TEXT_MAX];
	struct buf name;

	if (l->destination_host[0] == '\0') {
		string(out, l->destination.family == ADDR_NONE ? "" :
		    addr_format_port(&l->destination, text));
		return;
	}
	buf_init(&name, 0);
	buf_printf(&name, "%s:%u", l->destination_host,
	    (unsigned)l->destination.port);
	escape_json(out, buf_span(&name));
	buf_release(&name);
}

void
config_json_value(const struct config_key *key, const void *base,
    struct buf *out)
{
	const char *field = (const char *)base + key->offset;
	const void *at = field;
	char text[ADDR_TEXT_MAX];
	const void *pointer;
	size_t n;

	switch (key->type) {
	case CONFIG_STRING:
		memcpy(&pointer, field, sizeof(pointer));
		string(out, pointer);
		break;
	case CONFIG_WORD:
		word_json(key, get(key, field), out);
		break;
	case CONFIG_WORDS:
		words_json(key, get(key, field), out);
		break;
	case CONFIG_BOOL:
		buf_append_str(out, *(const bool *)at ? "true" : "false");
		break;
	case CONFIG_DURATION:
		duration_json(get(key, field), out);
		break;
	case CONFIG_DURATION_MS:
		duration_json(get(key, field) * 1000, out);
		break;
	case CONFIG_ADDRESS:
		string(out, ((const struct addr *)at)->family == ADDR_NONE ?
		    "" : addr_format_port(at, text));
		break;
	case CONFIG_DESTINATION:
		destination_json(base, out);
		break;
	case CONFIG_STRINGS:
	case CONFIG_NUMBERS:
	case CONFIG_ADDRESSES:
	case CONFIG_RESOLVERS:
	case CONFIG_PREFIXES:
		memcpy(&pointer, field, sizeof(pointer));
		memcpy(&n, (const char *)base + key->count_offset, sizeof(n));
		if (key->type == CONFIG_STRINGS)
			strings_json(pointer, n, out);
		else if (key->type == CONFIG_NUMBERS)
			numbers_json(pointer, n, out);
		else if (key->type == CONFIG_PREFIXES)
			prefixes_json(pointer, n, out);
		else
			addresses_json(pointer, n,
			    key->type == CONFIG_RESOLVERS, out);
		break;
	case CONFIG_SOURCES:
		sources_json(base, out);
		break;
	case CONFIG_ENDPOINT:
		endpoint_json(base, out);
		break;
	default:
		buf_printf(out, "%ju", (uintmax_t)get(key, field));
	}
}

static void
members_json(enum config_section section, const void *base,
    const char *comma, struct buf *out)
{
	size_t i;

	for (i = 0; i < config_schema_count; i++) {
		if (config_schema[i].section != section)
			continue;
		buf_printf(out, "%s\"%s\":", comma, config_schema[i].name);
		config_json_value(&config_schema[i], base, out);
		comma = ",";
	}
}

bool
config_json_section(const struct config *c, enum config_section section,
    size_t i, const char **title_r)
{
	size_t n = 1;

	*title_r = "";
	if (section == CONFIG_LISTENER)
		n = c->n_listeners;
	else if (section == CONFIG_TLS)
		n = c->n_tls_blocks;
	else if (section == CONFIG_POOL)
		n = c->n_pools;
	else if (section == CONFIG_POLICY)
		n = c->n_policies;
	if (i < n && config_schema_is_titled(section))
		*title_r = section == CONFIG_LISTENER ? c->listeners[i].name :
		    section == CONFIG_TLS ? c->tls_blocks[i].name :
		    section == CONFIG_POOL ? c->pools[i].name :
		    c->policies[i].name;
	return i < n;
}

static void
sections_json(const struct config *c, enum config_section section,
    struct buf *out)
{
	const char *name;
	size_t i;

	buf_printf(out, ",\"%s\":[", config_schema_section_name(section));
	for (i = 0; config_json_section(c, section, i, &name); i++) {
		buf_printf(out, "%s{\"name\":", i == 0 ? "" : ",");
		string(out, name);
		members_json(section, config_section_base(c, section, i), ",",
		    out);
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, ']');
}

void
config_json(const struct config *c, struct buf *out)
{
	int s;

	buf_append_str(out, "{\"file\":");
	string(out, c->file);
	members_json(CONFIG_TOP, c, ",", out);
	sections_json(c, CONFIG_LISTENER, out);
	sections_json(c, CONFIG_TLS, out);
	sections_json(c, CONFIG_POOL, out);
	sections_json(c, CONFIG_POLICY, out);
	for (s = 1; s < CONFIG_SECTION_COUNT; s++) {
		enum config_section section = (enum config_section)s;

		if (config_schema_is_titled(section))
			continue;
		buf_printf(out, ",\"%s\":{",
		    config_schema_section_name(section));
		members_json(section, config_section_base(c, section, 0), "",
		    out);
		buf_append_byte(out, '}');
	}
	buf_append_byte(out, '}');
}
