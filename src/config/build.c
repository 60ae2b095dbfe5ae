/*
 * Walks the schema once per section: each row knows its field, so that no key
 * is named here but the few whose value depends on another's.
 */
#include "config/build.h"

#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/value.h"

const struct config_part *
config_next_part(const struct config_part *parts,
    const struct config_part *part, enum config_section section)
{
	part = part == NULL ? parts : part->next;
	while (part != NULL && part->section != section)
		part = part->next;
	return part;
}

void *
config_section_base(const struct config *c, enum config_section section,
    size_t i)
{
	switch (section) {
	case CONFIG_LISTENER:
		return &c->listeners[i];
	case CONFIG_TLS:
		return &c->tls_blocks[i];
	case CONFIG_POOL:
		return &c->pools[i];
	case CONFIG_POLICY:
		return &c->policies[i];
	case CONFIG_UPSTREAM:
		return (void *)&c->upstream;
	case CONFIG_RECORD:
		return (void *)&c->record;
	case CONFIG_STATUS:
		return (void *)&c->status;
	case CONFIG_LIMITS:
		return (void *)&c->limits;
	case CONFIG_DNS:
		return (void *)&c->dns;
	case CONFIG_DELIVERABILITY:
		return (void *)&c->deliverability;
	default:
		return (void *)c;
	}
}

/* The default as texts, like a given value. */
static struct config_given
fallback(const struct config_key *key, struct config_memory *memory)
{
	struct config_given g = { .n = 0 };
	struct span rest = span_str(key->fallback);

	g.texts = config_memory_alloc(memory,
	    (rest.len + 1) * sizeof(*g.texts));
	if (!config_schema_is_list(key)) {
		g.texts[g.n++] = key->fallback;
		return g;
	}
	while (rest.len > 0) {
		struct span item = span_take(rest, span_find(rest, ' '));

		g.texts[g.n++] = config_memory_string(memory, item);
		rest = span_skip(rest, item.len + 1);
	}
	return g;
}

/* An empty text stands for "not set" where that is the default. */
static bool
is_unset(const struct config_key *key, const struct config_given *g)
{
	return (key->type == CONFIG_WORD || key->type == CONFIG_ENDPOINT) &&
	    key->fallback[0] == '\0' && g->texts[0][0] == '\0';
}

/* First the default, so that a value that cannot be read leaves one: the
 * checks then find fault with nothing else. */
static void
fill_fallback(const struct config_key *key, void *base,
    struct config_memory *memory, struct buf *error)
{
	struct config_given g = fallback(key, memory);

	if (!is_unset(key, &g) && config_value_store(key, base, g.texts, g.n,
	    memory, error) != 0)
		abort();	/* the schema contradicts itself */
}

static void
fill(const struct config_part *part, void *base, struct config_report *report)
{
	struct buf error;
	size_t i;

	buf_init(&error, 0);
	for (i = 0; i < config_schema_count; i++) {
		const struct config_key *key = &config_schema[i];
		const struct config_given *g = &part->given[i];

		if (key->section != part->section)
			continue;
		fill_fallback(key, base, report->memory, &error);
		if (g->given && !is_unset(key, g) && config_value_store(key,
		    base, g->texts, g->n, report->memory, &error) != 0)
			config_report_add(report,
			    g->line > 0 ? g->line : part->line, "%.*s",
			    (int)buf_len(&error),
			    (const char *)buf_span(&error).data);
		buf_clear(&error);
	}
	buf_release(&error);
}

int
config_on_error_cause(const char *text, enum policy_error *cause_r,
    enum policy_action *action_r)
{
	struct span s = span_str(text), name = span_take(s, span_find(s, '='));
	unsigned cause = 1;

	*action_r = policy_action_parse(span_skip(s, name.len + 1));
	while (cause < POLICY_ERROR_COUNT && !span_eq(name,
	    span_str(policy_error_name(cause))))
		cause++;
	*cause_r = cause;
	return cause < POLICY_ERROR_COUNT && *action_r != POLICY_ACTION_NONE &&
	    *action_r != POLICY_DISCARD ? 0 : -1;
}

/* Those that cannot be read are for the checks to report. */
static void
on_error_causes(const struct config_policy *p, enum policy_action *by_cause)
{
	enum policy_action action;
	enum policy_error cause;
	size_t i;

	for (i = 0; i < p->n_on_error_cause; i++)
		if (config_on_error_cause(p->on_error_cause[i], &cause,
		    &action) == 0)
			by_cause[cause] = action;
}

static void
fill_on_error(const struct config_part *part, struct config_policy *p)
{
	enum policy_action by_cause[POLICY_ERROR_COUNT] = { 0 };
	int phase, cause;

	if (p->mode == POLICY_MODE_OBSERVE &&
	    !config_part_given(part, "on_error")->given)
		p->on_error[POLICY_PHASE_NONE] = POLICY_RELAY;
	on_error_causes(p, by_cause);
	for (phase = 1; phase < POLICY_PHASE_COUNT; phase++) {
		const enum policy_action own = p->on_error[phase];

		if (own == POLICY_ACTION_NONE)
			p->on_error[phase] = p->on_error[POLICY_PHASE_NONE];
		for (cause = 1; cause < POLICY_ERROR_COUNT; cause++)
			p->on_failure[phase][cause] =
			    own == POLICY_ACTION_NONE &&
			    by_cause[cause] != POLICY_ACTION_NONE ?
			    by_cause[cause] : p->on_error[phase];
	}
}

/* Makes room for all sections of a kind, and returns how many there are. */
static size_t
make_array(const struct config_part *parts, enum config_section section,
    size_t size, struct config_memory *memory, void *array)
{
	const struct config_part *part = NULL;
	size_t n = 0;
	void *room;

	while ((part = config_next_part(parts, part, section)) != NULL)
		n++;
	room = config_memory_alloc(memory, n * size);
	memcpy(array, &room, sizeof(room));
	return n;
}

void
config_build(const struct config_part *parts, struct config_report *report,
    struct config *c)
{
	struct config_memory *memory = report->memory;
	struct config_given *none = config_memory_alloc(memory,
	    config_schema_count * sizeof(*none));
	int s;

	c->n_listeners = make_array(parts, CONFIG_LISTENER,
	    sizeof(*c->listeners), memory, &c->listeners);
	c->n_tls_blocks = make_array(parts, CONFIG_TLS,
	    sizeof(*c->tls_blocks), memory, &c->tls_blocks);
	c->n_pools = make_array(parts, CONFIG_POOL, sizeof(*c->pools), memory,
	    &c->pools);
	c->n_policies = make_array(parts, CONFIG_POLICY, sizeof(*c->policies),
	    memory, &c->policies);
	for (s = 0; s < CONFIG_SECTION_COUNT; s++) {
		enum config_section section = (enum config_section)s;
		const struct config_part absent = { .section = section,
		    .title = "", .given = none }, *part = NULL;
		size_t i;

		for (i = 0; (part = config_next_part(parts, part, section)) !=
		    NULL; i++) {
			void *base = config_section_base(c, section, i);

			fill(part, base, report);
			if (section == CONFIG_LISTENER)
				c->listeners[i].name = part->title;
			else if (section == CONFIG_TLS)
				c->tls_blocks[i].name = part->title;
			else if (section == CONFIG_POOL)
				c->pools[i].name = part->title;
			else if (section == CONFIG_POLICY) {
				c->policies[i].name = part->title;
				fill_on_error(part, &c->policies[i]);
			}
		}
		if (i == 0 && !config_schema_is_titled(section))
			fill(&absent, config_section_base(c, section, 0),
			    report);
	}
	/* None of these is ever NULL, whatever was wrong with the file. */
	for (size_t i = 0; i < c->n_policies; i++) {
		struct config_policy *p = &c->policies[i];

		p->path = p->path == NULL ? "" : p->path;
		p->host = p->host == NULL ? "" : p->host;
	}
}

/* By stage; those of one stage stay in the order of the file. */
static void
sort_policies(struct config_policy *p, size_t n)
{
	size_t i, j;

	for (i = 1; i < n; i++) {
		struct config_policy moved = p[i];

		for (j = i; j > 0 && p[j - 1].stage > moved.stage; j--)
			p[j] = p[j - 1];
		p[j] = moved;
	}
}

static const char *
machine_name(struct config_memory *memory)
{
	char name[HOST_NAME_MAX + 1];

	if (gethostname(name, sizeof(name)) != 0 || name[0] == '\0')
		return "localhost";
	name[HOST_NAME_MAX] = '\0';
	return config_memory_string(memory, span_str(name));
}

int
config_peer(const char *text, uint32_t *peer_r)
{
	const struct passwd *user;
	uint64_t number;

	*peer_r = CONFIG_PEER_USUAL;
	if (text[0] == '\0')
		return 0;
	if (strcmp(text, "any") == 0) {
		*peer_r = CONFIG_PEER_ANY;
		return 0;
	}
	if (span_to_u64(span_str(text), &number) == 0) {
		*peer_r = (uint32_t)number;
		return number < CONFIG_PEER_ANY ? 0 : -1;
	}
	user = getpwnam(text);
	if (user == NULL)
		return -1;
	*peer_r = user->pw_uid;
	return 0;
}

void
config_settle(struct config *c, struct config_memory *memory)
{
	size_t i;

	for (i = 0; i < c->n_policies; i++)
		if (config_peer(c->policies[i].peer_uid,
		    &c->policies[i].peer) != 0)
			c->policies[i].peer = CONFIG_PEER_USUAL;
	sort_policies(c->policies, c->n_policies);
	c->pool_infos = config_memory_alloc(memory,
	    c->n_pools * sizeof(*c->pool_infos));
	for (i = 0; i < c->n_pools; i++)
		c->pool_infos[i] = (struct policy_pool_info){
			.name = c->pools[i].name,
			.addresses = c->pools[i].addresses,
			.n_addresses = c->pools[i].n_addresses,
			.ehlo_name = c->pools[i].ehlo_name,
		};
	if (c->hostname[0] == '\0')
		c->hostname = machine_name(memory);
	if (c->workers == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);

		c->workers = cores < 1 ? 1 : cores > 1024 ? 1024 :
		    (unsigned)cores;
	}
}
