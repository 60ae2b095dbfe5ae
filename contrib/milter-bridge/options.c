/*
 * Options that say how to treat a milter hold for the milters named behind
 * them, so that each can have its own.
 */
#include "milter-bridge/options.h"

#include <getopt.h>

enum {
	LISTEN = 256, MILTER, CONNECT_TIMEOUT, COMMAND_TIMEOUT,
	CONTENT_TIMEOUT, DEFAULT_ACTION, PROTOCOL, ENVELOPE, QUARANTINE,
	HOSTNAME, LOG_LEVEL, HELP, VERSION
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, LISTEN },
	{ "milter", required_argument, NULL, MILTER },
	{ "connect-timeout", required_argument, NULL, CONNECT_TIMEOUT },
	{ "command-timeout", required_argument, NULL, COMMAND_TIMEOUT },
	{ "content-timeout", required_argument, NULL, CONTENT_TIMEOUT },
	{ "default-action", required_argument, NULL, DEFAULT_ACTION },
	{ "protocol", required_argument, NULL, PROTOCOL },
	{ "on-envelope", required_argument, NULL, ENVELOPE },
	{ "on-quarantine", required_argument, NULL, QUARANTINE },
	{ "hostname", required_argument, NULL, HOSTNAME },
	{ "log-level", required_argument, NULL, LOG_LEVEL },
	{ "help", no_argument, NULL, HELP },
	{ "version", no_argument, NULL, VERSION },
	{ NULL, 0, NULL, 0 },
};

/* The position of word in words, which ends with NULL; -1: not there. */
static int
choose(const char *word, const char *const *words)
{
	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

/* "30", "30s", "500ms", "5m": from 1 ms to a day. */
static int
parse_ms(const char *text, uint32_t *ms_r)
{
	static const char *const units[] = { "ms", "s", "", "m", "h", NULL };
	static const uint64_t factors[] = { 1, 1000, 1000, 60000, 3600000 };
	struct span s = span_str(text);
	size_t digits = 0;
	uint64_t value;
	int unit;

	while (digits < s.len && s.data[digits] >= '0' &&
	    s.data[digits] <= '9')
		digits++;
	unit = choose(text + digits, units);
	if (unit < 0 || span_to_u64(span_take(s, digits), &value) != 0 ||
	    value == 0 || value > 86400000 ||
	    value * factors[unit] > 86400000)
		return -1;
	*ms_r = (uint32_t)(value * factors[unit]);
	return 0;
}

static int
take_milter(struct milter_options *o, const struct milter_filter_setup *like,
    const char *text, struct buf *error)
{
	struct milter_filter_setup *setup = &o->filters[o->n_filters];
	const char *why;

	if (o->n_filters == MILTER_FILTERS_MAX) {
		buf_printf(error, "more than %d milters", MILTER_FILTERS_MAX);
		return -1;
	}
	*setup = *like;
	why = milter_address_parse(text, &setup->address);
	if (why != NULL) {
		buf_printf(error, "--milter %s: %s", text, why);
		return -1;
	}
	o->n_filters++;
	return 0;
}

static int
take_time(const char *text, uint32_t *ms_r, struct buf *error)
{
	if (parse_ms(text, ms_r) == 0)
		return 0;
	buf_printf(error, "%s is no time: write 30s or 500ms, from 1ms to 24h",
	    text);
	return -1;
}

static int
take_word(const char *text, const char *const *words, struct buf *error)
{
	int i = choose(text, words);

	if (i < 0) {
		buf_printf(error, "%s is none of", text);
		for (; *words != NULL; words++)
			buf_printf(error, " %s", *words);
	}
	return i;
}

static int
take_option(struct milter_options *o, struct milter_filter_setup *like, int c,
    const char *text, struct buf *error)
{
	static const char *const fallbacks[] = {
		[MILTER_FALLBACK_TEMPFAIL] = "tempfail",
		[MILTER_FALLBACK_ACCEPT] = "accept",
		[MILTER_FALLBACK_REJECT] = "reject", NULL,
	};
	static const char *const refusals[] = {
		[MILTER_REFUSAL_TEMPFAIL] = "tempfail",
		[MILTER_REFUSAL_REJECT] = "reject",
		[MILTER_REFUSAL_IGNORE] = "ignore", NULL,
	};
	static const char *const versions[] = { "2", "3", "4", "5", "6", NULL };
	int word;

	switch (c) {
	case MILTER:
		return take_milter(o, like, text, error);
	case CONNECT_TIMEOUT:
		return take_time(text, &like->connect_ms, error);
	case COMMAND_TIMEOUT:
		return take_time(text, &like->command_ms, error);
	case CONTENT_TIMEOUT:
		return take_time(text, &like->content_ms, error);
	case DEFAULT_ACTION:
		word = take_word(text, fallbacks, error);
		like->fallback = (enum milter_fallback)word;
		return word < 0 ? -1 : 0;
	case PROTOCOL:
		word = take_word(text, versions, error);
		like->version = (uint32_t)word + 2;
		return word < 0 ? -1 : 0;
	case ENVELOPE:
	case QUARANTINE:
		word = take_word(text, refusals, error);
		*(c == ENVELOPE ? &o->envelope : &o->quarantine) =
		    (enum milter_refusal)word;
		return word < 0 ? -1 : 0;
	case LOG_LEVEL:
		if (log_level_parse(span_str(text), &o->level) == 0)
			return 0;
		buf_printf(error, "%s is none of error warning info debug",
		    text);
		return -1;
	default:
		return -1;
	}
}

int
milter_options_parse(int argc, char *argv[], struct milter_options *options_r,
    struct buf *error)
{
	struct milter_filter_setup like = {
		.connect_ms = 30000, .command_ms = 30000,
		.content_ms = 300000, .version = MILTER_VERSION_MAX,
	};
	struct milter_options o = { .level = LOG_INFO };
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:", long_options, NULL)) != -1) {
		if (c == '?' || c == ':') {
			buf_printf(error, c == ':' ? "option %s needs a value" :
			    "unknown option %s", argv[optind - 1]);
			return -1;
		}
		if (c == HELP || c == VERSION) {
			o.action = c == HELP ? MILTER_OPTIONS_HELP :
			    MILTER_OPTIONS_VERSION;
			*options_r = o;
			return 0;
		}
		if (c == LISTEN)
			o.listen = optarg;
		else if (c == HOSTNAME)
			o.hostname = optarg;
		else if (take_option(&o, &like, c, optarg, error) != 0)
			return -1;
	}
	if (optind < argc)
		buf_printf(error, "unexpected argument %s", argv[optind]);
	else if (o.listen == NULL)
		buf_append_str(error, "--listen is missing: where weir "
		    "connects to, say unix:/run/weir/milter.sock");
	else if (o.n_filters == 0)
		buf_append_str(error, "--milter is missing: where a milter "
		    "listens, say inet:8891@127.0.0.1");
	*options_r = o;
	return buf_len(error) == 0 ? 0 : -1;
}

const char *
milter_options_usage(void)
{
	return "usage: weir-milter-bridge --listen ENDPOINT [OPTION ...] "
	    "--milter ADDRESS ...\n"
	    "\n"
	    "  --listen ENDPOINT        where weir connects to: unix:/path, "
	    "tcp:host:port,\n"
	    "                           fd:N\n"
	    "  --milter ADDRESS         unix:/path, inet:port@host; repeat it "
	    "in the order of work\n"
	    "  --on-envelope WORD       a milter changes sender or recipients:"
	    " tempfail,\n"
	    "                           reject or ignore (tempfail)\n"
	    "  --on-quarantine WORD     a milter wants quarantine, likewise\n"
	    "  --hostname NAME          the macro j (this machine's name)\n"
	    "  --log-level LEVEL        error, warning, info, debug (info)\n"
	    "  --help, --version\n"
	    "\n"
	    "For the milters that follow:\n"
	    "  --connect-timeout TIME   to connect and negotiate (30s)\n"
	    "  --command-timeout TIME   for an answer (30s)\n"
	    "  --content-timeout TIME   for the answer to a message (300s)\n"
	    "  --default-action WORD    when it fails: tempfail, accept, "
	    "reject (tempfail)\n"
	    "  --protocol N             offer version 2 to 6 (6)\n"
	    "\n"
	    "See weir-milter-bridge(8).\n";
}
