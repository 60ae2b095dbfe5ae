/*
 * One small reader per type of key. Each says what it would have accepted: an
 * operator who mistyped a value is a word away from the right one.
 */
#include "config/value.h"

#include <ctype.h>
#include <sys/un.h>

#include "config/config.h"

struct unit { const char *name; uint64_t factor; };

static const struct unit durations[] = {
	{ "d", UINT64_C(86400000000) }, { "h", UINT64_C(3600000000) },
	{ "m", 60000000 }, { "s", 1000000 }, { "ms", 1000 },
};

static const struct unit sizes[] = {
	{ "GB", 1024 * 1024 * 1024 }, { "MB", 1024 * 1024 }, { "KB", 1024 },
	{ "", 1 },
};

static int
scaled(struct span text, const struct unit *units, size_t n_units,
    const char *bare, uint64_t *value_r)
{
	size_t digits = 0, i;
	struct span unit;
	uint64_t number;

	while (digits < text.len && isdigit(text.data[digits]))
		digits++;
	if (span_to_u64(span_take(text, digits), &number) != 0)
		return -1;
	unit = span_skip(text, digits);
	if (unit.len == 0)
		unit = span_str(bare);
	for (i = 0; i < n_units; i++)
		if (span_eq_nocase(unit, span_str(units[i].name)))
			return __builtin_mul_overflow(number, units[i].factor,
			    value_r) ? -1 : 0;
	return -1;
}

int
config_value_duration(struct span text, uint64_t *us_r)
{
	uint64_t us;

	if (scaled(text, durations, ARRAY_LEN(durations), "s", &us) != 0)
		return -1;
	*us_r = us;
	return 0;
}

int
config_value_size(struct span text, uint64_t *bytes_r)
{
	uint64_t bytes;

	if (scaled(text, sizes, ARRAY_LEN(sizes), "", &bytes) != 0)
		return -1;
	*bytes_r = bytes;
	return 0;
}

static void
scaled_text(uint64_t value, const struct unit *units, size_t n_units,
    struct buf *out)
{
	size_t i = 0;

	while (i + 1 < n_units &&
	    (value < units[i].factor || value % units[i].factor != 0))
		i++;
	buf_printf(out, "%ju%s", (uintmax_t)(value / units[i].factor),
	    units[i].name);
}

void
config_value_duration_text(uint64_t us, struct buf *out)
{
	if (us == 0)
		buf_printf(out, "0s");
	else
		scaled_text(us, durations, ARRAY_LEN(durations), out);
}

void
config_value_size_text(uint64_t bytes, struct buf *out)
{
	scaled_text(bytes, sizes, ARRAY_LEN(sizes), out);
}

static void
bound_text(const struct config_key *key, uint64_t bound, struct buf *out)
{
	if (key->type == CONFIG_NUMBER || key->type == CONFIG_NUMBERS)
		buf_printf(out, "%ju", (uintmax_t)bound);
	else if (key->type == CONFIG_SIZE)
		config_value_size_text(bound, out);
	else
		config_value_duration_text(bound, out);
}

void
config_value_range(const struct config_key *key, struct buf *out)
{
	const struct config_word *w;

	if (key->type == CONFIG_BOOL)
		buf_printf(out, "true|false");
	else if (key->words != NULL)
		for (w = key->words; w->name != NULL; w++)
			buf_printf(out, "%s%s", w == key->words ? "" : "|",
			    w->name);
	else if (key->max > 0) {
		bound_text(key, key->min, out);
		buf_printf(out, "..");
		bound_text(key, key->max, out);
	} else
		buf_printf(out, "-");
}

/* An unsigned field of whatever width. */
static void
put(const struct config_key *key, void *field, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;

	if (key->size == sizeof(value))
		memcpy(field, &value, sizeof(value));
	else
		memcpy(field, &narrow, sizeof(narrow));
}

static int
wrong(const struct config_key *key, const char *text, const char *what,
    struct buf *error)
{
	buf_printf(error, "%s = \"%s\" is no %s; write ", key->name, text,
	    what);
	return -1;
}

static int
store_quantity(const struct config_key *key, void *field, const char *text,
    struct buf *error)
{
	struct span s = span_str(text);
	uint64_t value;

	switch (key->type) {
	case CONFIG_NUMBER:
		if (span_to_u64(s, &value) != 0) {
			wrong(key, text, "number", error);
			config_value_range(key, error);
			return -1;
		}
		break;
	case CONFIG_SIZE:
		if (config_value_size(s, &value) != 0) {
			wrong(key, text, "size", error);
			buf_printf(error, "a number of bytes, or 256KB, 10MB "
			    "or 1GB");
			return -1;
		}
		break;
	default:
		if (config_value_duration(s, &value) != 0) {
			wrong(key, text, "duration", error);
			buf_printf(error, "500ms, 30s, 5m, 2h or 30d");
			return -1;
		}
	}
	if (value < key->min || value > key->max) {
		buf_printf(error, "%s = %s is out of range; write ", key->name,
		    text);
		config_value_range(key, error);
		return -1;
	}
	put(key, field, key->type == CONFIG_DURATION_MS ? value / 1000 : value);
	return 0;
}

static int
store_numbers(const struct config_key *key, void *field, size_t *count,
    const char *const *texts, size_t n, struct config_memory *memory,
    struct buf *error)
{
	unsigned *list = config_memory_alloc(memory, n * sizeof(*list));
	uint64_t value;
	size_t i;

	for (i = 0; i < n; i++) {
		if (span_to_u64(span_str(texts[i]), &value) != 0 ||
		    value < key->min || value > key->max) {
			wrong(key, texts[i], "such number", error);
			config_value_range(key, error);
			return -1;
		}
		list[i] = (unsigned)value;
	}
	memcpy(field, &list, sizeof(list));
	*count = n;
	return 0;
}

static int
word_value(const struct config_key *key, const char *text, unsigned *value_r,
    struct buf *error)
{
	const struct config_word *w;

	for (w = key->words; w->name != NULL; w++)
		if (strcmp(w->name, text) == 0) {
			*value_r = w->value;
			return 0;
		}
	buf_printf(error, "%s = \"%s\" is unknown; write ", key->name, text);
	config_value_range(key, error);
	return -1;
}

static int
store_words(const struct config_key *key, void *field,
    const char *const *texts, size_t n, struct buf *error)
{
	unsigned set = 0, value;
	size_t i;

	for (i = 0; i < n; i++) {
		if (word_value(key, texts[i], &value, error) != 0)
			return -1;
		set |= 1u << value;
	}
	put(key, field, set);
	return 0;
}

static int
store_bool(const struct config_key *key, bool *field, const char *text,
    struct buf *error)
{
	static const char *const words[] = { "false", "true", "no", "yes",
	    "off", "on" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*field = i % 2 == 1;
			return 0;
		}
	wrong(key, text, "boolean", error);
	buf_printf(error, "true or false");
	return -1;
}

static int
store_address(const struct config_key *key, struct addr *field,
    const char *text, struct buf *error)
{
	if (text[0] == '\0') {
		*field = (struct addr){ .family = ADDR_NONE };
		return 0;
	}
	if (addr_parse_port(span_str(text), field) == 0)
		return 0;
	wrong(key, text, "address with a port", error);
	buf_printf(error, "127.0.0.1:10025 or [::1]:10025, quoted (names are "
	    "not resolved)");
	return -1;
}

/* An address that a socket can be bound to. */
static int
source_value(const struct config_key *key, const char *text,
    struct addr *addr_r, struct buf *error)
{
	if (addr_parse(span_str(text), addr_r) == 0 && !addr_is_any(addr_r))
		return 0;
	wrong(key, text, "source address", error);
	buf_printf(error, "one of this machine's, as 192.0.2.1 or 2001:db8::1");
	return -1;
}

static int
store_addresses(const struct config_key *key, void *field, size_t *count,
    const char *const *texts, size_t n, struct config_memory *memory,
    struct buf *error)
{
	struct addr *list = config_memory_alloc(memory, n * sizeof(*list));
	size_t i, j;

	for (i = 0; i < n; i++) {
		if (source_value(key, texts[i], &list[i], error) != 0)
			return -1;
		for (j = 0; j < i; j++)
			if (addr_eq_ip(&list[i], &list[j])) {
				buf_printf(error, "%s names %s twice; write it "
				    "once", key->name, texts[i]);
				return -1;
			}
	}
	memcpy(field, &list, sizeof(list));
	*count = n;
	return 0;
}

/* With a port, or without: 53 then. */
static int
store_resolvers(const struct config_key *key, void *field, size_t *count,
    const char *const *texts, size_t n, struct config_memory *memory,
    struct buf *error)
{
	struct addr *list = config_memory_alloc(memory, n * sizeof(*list));
	size_t i;

	for (i = 0; i < n; i++) {
		if (addr_parse(span_str(texts[i]), &list[i]) == 0)
			list[i].port = 53;
		else if (addr_parse_port(span_str(texts[i]), &list[i]) != 0)
			list[i].port = 0;
		if (list[i].port == 0 || addr_is_any(&list[i])) {
			wrong(key, texts[i], "name server", error);
			buf_append_str(error, "its address, as 192.0.2.53, "
			    "2001:db8::53 or 127.0.0.1:5353");
			return -1;
		}
	}
	memcpy(field, &list, sizeof(list));
	*count = n;
	return 0;
}

static int
store_sources(const struct config_key *key, struct config_upstream *upstream,
    const char *const *texts, size_t n, struct buf *error)
{
	struct addr sources[2] = { { .family = ADDR_NONE } }, source, *place;
	bool client = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(texts[i], "client") == 0) {
			client = true;
			continue;
		}
		if (source_value(key, texts[i], &source, error) != 0)
			return -1;
		place = &sources[source.family == ADDR_IPV6];
		if (place->family != ADDR_NONE) {
			buf_printf(error, "%s has two addresses of one family; "
			    "write at most one IPv4 and one IPv6 address, and "
			    "a pool for more", key->name);
			return -1;
		}
		*place = source;
	}
	memcpy(upstream->source, sources, sizeof(sources));
	upstream->source_client = client;
	return 0;
}

static int
store_prefixes(const struct config_key *key, void *field, size_t *count,
    const char *const *texts, size_t n, struct config_memory *memory,
    struct buf *error)
{
	struct addr_prefix *list;
	size_t i;

	list = config_memory_alloc(memory, n * sizeof(*list));
	for (i = 0; i < n; i++)
		if (addr_prefix_parse(span_str(texts[i]), &list[i]) != 0) {
			wrong(key, texts[i], "network", error);
			buf_printf(error, "192.0.2.0/24, 2001:db8::/32 (host "
			    "bits zero) or one address");
			return -1;
		}
	memcpy(field, &list, sizeof(list));
	*count = n;
	return 0;
}

static bool
is_host_name(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.data[i] != '.' && s.data[i] != '-' &&
		    !isalnum(s.data[i]))
			return false;
	return s.len > 0 && s.len <= 253 && s.data[0] != '-' &&
	    s.data[0] != '.';
}

/* An address and a port; or a host's name and a port, for the daemon to look
 * up: reading a file asks no name server. */
static int
store_destination(struct config_listener *l, const char *text,
    struct config_memory *memory, struct buf *error)
{
	struct span s = span_str(text), host;
	const char *colon = strrchr(text, ':');
	uint64_t port;

	l->destination_host = "";
	if (s.len == 0 || addr_parse_port(s, &l->destination) == 0)
		return 0;
	host = span_take(s, colon == NULL ? 0 : (size_t)(colon - text));
	if (is_host_name(host) &&
	    span_to_u64(span_str(colon + 1), &port) == 0 && port >= 1 &&
	    port <= UINT16_MAX) {
		l->destination_host = config_memory_string(memory, host);
		l->destination.port = (uint16_t)port;
		return 0;
	}
	buf_printf(error, "destination = \"%s\" is no host with a port; write "
	    "\"192.0.2.1:25\", \"[2001:db8::1]:25\" or "
	    "\"smtp.example.com:587\"", text);
	return -1;
}

static int
store_endpoint(struct config_policy *policy, const char *text,
    struct config_memory *memory, struct buf *error)
{
	struct span s = span_str(text), host;
	const char *colon;
	uint64_t port;

	if (span_starts_nocase(s, SPAN("unix:"))) {
		policy->transport = CONFIG_ENDPOINT_UNIX;
		policy->path = text + 5;
		if (policy->path[0] == '/' && strlen(policy->path) <
		    sizeof(((struct sockaddr_un *)NULL)->sun_path))
			return 0;
		buf_printf(error, "endpoint = \"%s\" has no absolute path of "
		    "at most %zu bytes; write unix:/run/weir/name.sock", text,
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
		return -1;
	}
	policy->transport = span_starts_nocase(s, SPAN("tls:")) ?
	    CONFIG_ENDPOINT_TLS : CONFIG_ENDPOINT_TCP;
	colon = strrchr(text, ':');
	if (!span_starts_nocase(s, SPAN("tcp:")) &&
	    policy->transport != CONFIG_ENDPOINT_TLS)
		colon = NULL;
	if (colon != NULL && colon > text + 4 &&
	    span_to_u64(span_str(colon + 1), &port) == 0 && port >= 1 &&
	    port <= UINT16_MAX) {
		host = span_of(text + 4, (size_t)(colon - text) - 4);
		if (host.len > 2 && host.data[0] == '[' &&
		    host.data[host.len - 1] == ']')
			host = span_of(host.data + 1, host.len - 2);
		policy->host = config_memory_string(memory, host);
		policy->port = (uint16_t)port;
		return 0;
	}
	buf_printf(error, "endpoint = \"%s\" is no endpoint; write "
	    "unix:/run/weir/name.sock or tcp:127.0.0.1:9000", text);
	return -1;
}

int
config_value_store(const struct config_key *key, void *base,
    const char *const *texts, size_t n, struct config_memory *memory,
    struct buf *error)
{
	char *field = (char *)base + key->offset;
	size_t *count = (size_t *)(void *)((char *)base + key->count_offset);
	unsigned value;

	switch (key->type) {
	case CONFIG_STRING:
		memcpy(field, texts, sizeof(*texts));
		return 0;
	case CONFIG_STRINGS:
		memcpy(field, &texts, sizeof(texts));
		*count = n;
		return 0;
	case CONFIG_WORD:
		if (word_value(key, texts[0], &value, error) != 0)
			return -1;
		put(key, field, value);
		return 0;
	case CONFIG_WORDS:
		return store_words(key, field, texts, n, error);
	case CONFIG_BOOL:
		return store_bool(key, (bool *)field, texts[0], error);
	case CONFIG_ADDRESS:
		return store_address(key, (struct addr *)(void *)field,
		    texts[0], error);
	case CONFIG_DESTINATION:
		return store_destination(base, texts[0], memory, error);
	case CONFIG_NUMBERS:
		return store_numbers(key, field, count, texts, n, memory,
		    error);
	case CONFIG_ADDRESSES:
		return store_addresses(key, field, count, texts, n, memory,
		    error);
	case CONFIG_RESOLVERS:
		return store_resolvers(key, field, count, texts, n, memory,
		    error);
	case CONFIG_SOURCES:
		return store_sources(key, base, texts, n, error);
	case CONFIG_PREFIXES:
		return store_prefixes(key, field, count, texts, n, memory,
		    error);
	case CONFIG_ENDPOINT:
		return store_endpoint(base, texts[0], memory, error);
	default:
		return store_quantity(key, field, texts[0], error);
	}
}
