/*
 * libConfuse reads the syntax; this file makes its option tables from the
 * schema and keeps, for each value, the line that it came from. libConfuse
 * has habits that must not become weir's, so:
 *
 * - a file that ends inside a section loads as if all were well: a last line
 *   is appended, and must be seen at the top level;
 * - the first unknown key ends the parse: it becomes a known one that only
 *   complains, and the text is parsed again, until all of it was seen;
 * - a repeated key or section silently replaces the first: values count
 *   themselves, and every section is one that may be repeated, then counted.
 *
 * Its callbacks have no context argument. An option's def.number, which it
 * never looks at for pointer options, carries ours.
 */
#include "config/parse.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/scan.h"

#define SENTINEL "__end"
#define UNKNOWN_MAX 50		/* then the operator has enough to do */

struct unknown {
	struct unknown *next;
	enum config_section section;
	const char *name;
	bool reported;
};

struct value {
	unsigned line;
	const char *text;
};

struct parser {
	struct config_report *report;
	unsigned last_line;	/* of the operator's text */
	unsigned sentinel_line;
	struct unknown *unknown;
	size_t n_unknown;
	bool again;		/* one more unknown key was found */
	bool ended;		/* the sentinel was seen where it belongs */
};

static enum config_section
section_of(const cfg_t *cfg)
{
	int s;

	for (s = 1; s < CONFIG_SECTION_COUNT; s++)
		if (strcmp(cfg->name, config_schema_section_name(
		    (enum config_section)s)) == 0)
			return (enum config_section)s;
	return CONFIG_TOP;
}

static unsigned
line_of(const struct parser *p, const cfg_t *cfg)
{
	unsigned line = (unsigned)cfg->line;

	return line > p->last_line ? p->last_line : line;
}

static void
report_unknown(struct parser *p, unsigned line, enum config_section section,
    const char *name, const char *what)
{
	struct buf hint;

	buf_init(&hint, 256);
	config_schema_hint(section, name, &hint);
	config_report_add(p->report, line, "unknown %s %s%.*s", what, name,
	    (int)buf_len(&hint), (const char *)buf_span(&hint).data);
	buf_release(&hint);
}

static struct unknown *
find_unknown(const struct parser *p, enum config_section section,
    const char *name)
{
	struct unknown *u;

	for (u = p->unknown; u != NULL; u = u->next)
		if (u->section == section && strcmp(u->name, name) == 0)
			return u;
	return NULL;
}

/* A value was read. Always succeeds, so that the parse goes on. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct parser *p = (struct parser *)opt->def.number;
	struct config_memory *memory = p->report->memory;
	enum config_section section = section_of(cfg);
	struct value *v = config_memory_alloc(memory, sizeof(*v));
	struct unknown *u = find_unknown(p, section, opt->name);

	v->line = line_of(p, cfg);
	v->text = config_memory_string(memory, span_str(text));
	*(void **)result = v;
	if (section == CONFIG_TOP && strcmp(opt->name, SENTINEL) == 0 &&
	    (unsigned)cfg->line == p->sentinel_line)
		p->ended = true;
	else if (config_schema_find(section, opt->name) == NULL) {
		if (u == NULL || !u->reported)
			report_unknown(p, v->line, section, opt->name, "key");
		if (u != NULL)
			u->reported = true;
	} else if (opt->nvalues <= 1 && opt->def.boolean)
		config_report_add(p->report, v->line,
		    "%s stands here for the second time; write it once%s",
		    opt->name, opt->flags & CFGF_LIST ?
		    ", with all values in one {}" : "");
	opt->def.boolean = cfg_true;
	return 0;
}

/* The word between the quotes of libConfuse's message. */
static const char *
quoted(struct parser *p, const char *message)
{
	const char *open = strchr(message, '\'');
	const char *close = strrchr(message, '\'');

	if (open == NULL || close <= open)
		return "";
	return config_memory_string(p->report->memory,
	    span_of(open + 1, (size_t)(close - open) - 1));
}

static void
on_unknown(struct parser *p, cfg_t *cfg, const char *name)
{
	enum config_section section = section_of(cfg);
	struct unknown *u;

	if (strcmp(name, SENTINEL) == 0 && section != CONFIG_TOP) {
		config_report_add(p->report, p->last_line,
		    "section %s%s%s%s is not closed; write } after its last "
		    "key", cfg->name, cfg->title == NULL ? "" : " \"",
		    cfg->title == NULL ? "" : cfg->title,
		    cfg->title == NULL ? "" : "\"");
	} else if (find_unknown(p, section, name) != NULL ||
	    p->n_unknown == UNKNOWN_MAX) {
		report_unknown(p, line_of(p, cfg), section, name, "key");
	} else {
		u = config_memory_alloc(p->report->memory, sizeof(*u));
		*u = (struct unknown){ p->unknown, section, name, false };
		p->unknown = u;
		p->n_unknown++;
		p->again = true;
	}
}

static void PRINTF_LIKE(2, 0)
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct parser *p = (struct parser *)cfg->opts[0].def.number;
	unsigned line = line_of(p, cfg);
	char message[256];
	const char *name;

	vsnprintf(message, sizeof(message), fmt, ap);
	name = quoted(p, message);
	if (strncmp(message, "no such option", 14) == 0)
		on_unknown(p, cfg, name);
	else if (strncmp(message, "missing equal sign", 18) == 0 &&
	    find_unknown(p, section_of(cfg), name) != NULL)
		report_unknown(p, line, section_of(cfg), name, "section");
	else if (strncmp(message, "missing equal sign", 18) == 0)
		config_report_add(p->report, line,
		    "%s has no value; write %s = value", name, name);
	else if (strncmp(message, "missing title", 13) == 0)
		config_report_add(p->report, line,
		    "section %s has no name; write %s \"name\" { ... }", name,
		    name);
	else if (strncmp(message, "missing opening brace", 21) == 0)
		config_report_add(p->report, line,
		    "section %s has no {; write %s%s { ... }", name, name,
		    cfg_getopt(cfg, name)->flags & CFGF_TITLE ?
		    " \"name\"" : "");
	else if (strncmp(message, "found duplicate title", 21) == 0)
		config_report_add(p->report, line,
		    "there are two sections named \"%s\"; give each a name of "
		    "its own", name);
	else if (strncmp(message, "unexpected closing brace", 24) == 0)
		config_report_add(p->report, line,
		    "} closes nothing; remove it, or write the section that it "
		    "ends");
	else
		config_report_add(p->report, line,
		    "syntax error (%s); write key = value, key = {\"a\", "
		    "\"b\"} for a list, or a section { ... }", message);
}

static cfg_opt_t
value_option(struct parser *p, const char *name, cfg_flag_t flags)
{
	cfg_opt_t opt = CFG_PTR_CB(name, NULL, CFGF_NONE, on_value, NULL);

	opt.flags |= flags;
	opt.def.number = (long)p;
	return opt;
}

/* The keys of a section, the unknown ones that were met, and for the top the
 * sections and the sentinel. Nothing but the array is allocated; cfg_init()
 * copies all. */
static cfg_opt_t *
options(struct parser *p, enum config_section section, cfg_opt_t **sections)
{
	size_t n = 0, i, room = config_schema_count + p->n_unknown +
	    CONFIG_SECTION_COUNT + 2;
	cfg_opt_t *opts = config_memory_alloc(p->report->memory,
	    room * sizeof(*opts));
	const cfg_opt_t end = CFG_END();
	const struct unknown *u;

	for (i = 0; i < config_schema_count; i++)
		if (config_schema[i].section == section)
			opts[n++] = value_option(p, config_schema[i].name,
			    config_schema_is_list(&config_schema[i]) ?
			    CFGF_LIST : CFGF_NONE);
	for (u = p->unknown; u != NULL; u = u->next)
		if (u->section == section)
			opts[n++] = value_option(p, u->name, CFGF_LIST);
	if (section == CONFIG_TOP) {
		for (i = 1; i < CONFIG_SECTION_COUNT; i++) {
			enum config_section s = (enum config_section)i;
			cfg_flag_t flags = CFGF_MULTI;

			if (config_schema_is_titled(s))
				flags |= CFGF_TITLE | CFGF_NO_TITLE_DUPES;
			opts[n++] = (cfg_opt_t)CFG_SEC(
			    config_schema_section_name(s), sections[i], flags);
		}
		opts[n++] = value_option(p, SENTINEL, CFGF_NONE);
	}
	opts[n] = end;
	return opts;
}

/* What libConfuse holds of one section, as our part. */
static struct config_part *
take_part(struct parser *p, cfg_t *cfg)
{
	struct config_memory *memory = p->report->memory;
	struct config_part *part = config_memory_alloc(memory, sizeof(*part));
	size_t i;
	unsigned j;

	part->section = section_of(cfg);
	part->title = cfg->title == NULL ? "" :
	    config_memory_string(memory, span_str(cfg->title));
	part->line = part->section == CONFIG_TOP ? 0 : line_of(p, cfg);
	part->given = config_memory_alloc(memory,
	    config_schema_count * sizeof(*part->given));
	for (i = 0; i < config_schema_count; i++) {
		struct config_given *g = &part->given[i];
		const cfg_opt_t *opt;

		if (config_schema[i].section != part->section)
			continue;
		opt = cfg_getopt(cfg, config_schema[i].name);
		g->given = (opt->flags & CFGF_MODIFIED) != 0 &&
		    (opt->nvalues > 0 || (opt->flags & CFGF_LIST) != 0);
		g->n = opt->nvalues;
		g->texts = config_memory_alloc(memory,
		    (g->n + 1) * sizeof(*g->texts));
		for (j = 0; j < opt->nvalues; j++) {
			const struct value *v = opt->values[j]->ptr;

			g->texts[j] = v->text;
			if (j == 0)
				g->line = v->line;
		}
	}
	return part;
}

static struct config_part *
take_parts(struct parser *p, cfg_t *cfg)
{
	struct config_part *top = take_part(p, cfg), **next = &top->next;
	int s;
	unsigned i;

	for (s = 1; s < CONFIG_SECTION_COUNT; s++) {
		const char *name = config_schema_section_name(
		    (enum config_section)s);

		for (i = 0; i < cfg_size(cfg, name); i++) {
			*next = take_part(p, cfg_getnsec(cfg, name, i));
			if (i > 0 && (*next)->title[0] == '\0')
				config_report_add(p->report, (*next)->line,
				    "section %s ends here for the second time; "
				    "put all of its keys into one", name);
			next = &(*next)->next;
		}
	}
	return top;
}

static bool
parse_once(struct parser *p, const char *text, struct config_part **parts_r)
{
	cfg_opt_t *sections[CONFIG_SECTION_COUNT] = { NULL };
	struct unknown *u;
	cfg_t *cfg;
	bool whole;
	int s;

	config_report_clear(p->report);
	p->again = p->ended = false;
	for (u = p->unknown; u != NULL; u = u->next)
		u->reported = false;
	for (s = 1; s < CONFIG_SECTION_COUNT; s++)
		sections[s] = options(p, (enum config_section)s, NULL);
	cfg = cfg_init(options(p, CONFIG_TOP, sections), CFGF_NONE);
	if (cfg == NULL)
		abort();
	cfg_set_error_function(cfg, on_error);
	whole = cfg_parse_buf(cfg, text) == CFG_SUCCESS && p->ended;
	/* libConfuse gives up on some texts without a word */
	if (!whole && p->report->first == NULL)
		config_report_add(p->report, line_of(p, cfg),
		    "syntax error; write key = value");
	*parts_r = take_parts(p, cfg);
	cfg_free(cfg);
	return whole;
}

bool
config_parse(struct span text, struct config_report *report,
    struct config_part **parts_r)
{
	struct parser p = { .report = report, .last_line = 1 };
	struct buf copy;
	bool whole;
	size_t i;

	buf_init(&copy, 0);
	if (config_scan(text, report, &copy) != 0) {
		buf_release(&copy);
		*parts_r = NULL;
		return false;
	}
	for (i = 0; i < text.len; i++)
		if (text.data[i] == '\n' && i + 1 < text.len)
			p.last_line++;
	p.sentinel_line = p.last_line + 1 +
	    (text.len > 0 && text.data[text.len - 1] == '\n');
	buf_append(&copy, SPAN("\n" SENTINEL " = 1\n\0"));
	if (buf_failed(&copy))
		abort();
	do
		whole = parse_once(&p, (const char *)buf_span(&copy).data,
		    parts_r);
	while (p.again);
	buf_release(&copy);
	return whole;
}

const struct config_given *
config_part_given(const struct config_part *part, const char *key)
{
	return &part->given[config_schema_find(part->section, key) -
	    config_schema];
}

unsigned
config_part_line(const struct config_part *part, const char *key)
{
	unsigned line = config_part_given(part, key)->line;

	return line > 0 ? line : part->line;
}
