/*
 * getopt_long() twice: up to the command with weirctl's own options, behind it
 * with the command's as well. What an option is stands in tables; getopt's own
 * are made of them, and a long option's `val` is its place in both.
 */
#include "weirctl/options.h"

#include <assert.h>
#include <getopt.h>

#include "config.h"

#define OPTIONS_MAX (CTL_OPTION_COUNT + COMMAND_OPTIONS_MAX)
#define HELP_COLUMN 26

struct parser {
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * CTL_OPTION_COUNT + 4];
};

static void
parser_init(struct parser *p, const struct command *command)
{
	const struct command_option *own =
	    command == NULL ? NULL : command->options;
	size_t i, n = 0, used = 0;

	memset(p, 0, sizeof *p);
	if (command == NULL)
		p->shorts[used++] = '+';
	p->shorts[used++] = ':';
	for (i = 0; i < CTL_OPTION_COUNT; i++) {
		const struct command_option *o = &ctl_option_table[i];

		p->longs[n++] = (struct option){ .name = o->name,
		    .has_arg = o->argument != NULL, .val = (int)i };
		if (o->letter == 0)
			continue;
		p->shorts[used++] = (char)o->letter;
		if (o->argument != NULL)
			p->shorts[used++] = ':';
	}
	for (i = 0; own != NULL && own[i].name != NULL; i++) {
		assert(i < COMMAND_OPTIONS_MAX);
		p->longs[n++] = (struct option){ .name = own[i].name,
		    .has_arg = own[i].argument != NULL,
		    .val = (int)(CTL_OPTION_COUNT + i) };
	}
}

static int
of_letter(int letter)
{
	int i;

	for (i = 0; i < CTL_OPTION_COUNT; i++)
		if (ctl_option_table[i].letter == letter)
			return i;
	return letter;	/* '?' or ':' */
}

static enum command_exit
refuse(int c, const char *word, const struct command *command)
{
	const char *of = command == NULL ? "" : command->name;
	bool is_long = word[0] == '-' && word[1] == '-';
	char letter[3] = { '-', (char)optopt, '\0' };

	if (c == ':')
		return ctl_error(COMMAND_USAGE, "option %s needs a value; see "
		    "weirctl --help", is_long ? word : letter);
	return ctl_error(COMMAND_USAGE, "unknown option %s; weirctl %s%s"
	    "--help lists them all", is_long ? word : letter, of,
	    command == NULL ? "" : " ");
}

/* As far as getopt_long() goes; optind is then at what is no option. */
static enum command_exit
parse_part(struct ctl *ctl, int argc, char *argv[], struct command_call *call)
{
	const struct command *command = call->command;
	struct parser p;
	int c;

	parser_init(&p, command);
	optind = 0;		/* start anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, p.shorts, p.longs, NULL)) != -1) {
		const char *value = optarg == NULL ? "" : optarg;

		if (c == '?' || c == ':')
			return refuse(c, argv[optind - 1], command);
		if (c >= (int)OPTIONS_MAX)
			c = of_letter(c);
		if (c < CTL_OPTION_COUNT)
			ctl->values[c] = value;
		else
			call->values[c - CTL_OPTION_COUNT] = value;
	}
	return COMMAND_OK;
}

/* Is word one of "a|b|c"? Where there is no choice, everything is. */
static bool
is_choice(struct span choices, struct span word)
{
	if (span_find(choices, '|') == choices.len)
		return true;
	while (choices.len > 0) {
		size_t n = span_find(choices, '|');

		if (span_eq(span_take(choices, n), word))
			return true;
		choices = span_skip(choices, n + 1);
	}
	return false;
}

static enum command_exit
check_arguments(const struct command_call *call)
{
	const struct command *c = call->command;

	if (call->n_arguments < c->least)
		return ctl_error(COMMAND_USAGE, "%s needs more: weirctl %s %s",
		    c->name, c->name, c->arguments);
	if (call->n_arguments > 0 && !is_choice(span_take(
	    span_str(c->arguments), strcspn(c->arguments, " ")),
	    span_str(call->arguments[0])))
		return ctl_error(COMMAND_USAGE, "%s %s is nothing; write one "
		    "of %.*s", c->name, call->arguments[0],
		    (int)strcspn(c->arguments, " "), c->arguments);
	if (call->n_arguments > c->most)
		return ctl_error(COMMAND_USAGE, "unexpected argument %s; see "
		    "weirctl %s --help", call->arguments[c->most], c->name);
	return COMMAND_OK;
}

enum command_exit
options_parse(struct ctl *ctl, int argc, char *argv[],
    struct command_call *call_r)
{
	enum command_exit code;

	*call_r = (struct command_call){ .command = NULL };
	code = parse_part(ctl, argc, argv, call_r);
	if (code != COMMAND_OK || optind >= argc)
		return code;
	argc -= optind;
	argv += optind;
	if (strcmp(argv[0], "help") == 0) {
		ctl->values[CTL_OPTION_HELP] = "";
		if (--argc == 0)
			return COMMAND_OK;
		argv++;
	}
	call_r->command = command_find(argv[0]);
	if (call_r->command == NULL)
		return ctl_error(COMMAND_USAGE, "there is no command %s; "
		    "weirctl --help lists them all", argv[0]);
	code = parse_part(ctl, argc, argv, call_r);
	if (code != COMMAND_OK || ctl_has(ctl, CTL_OPTION_HELP) ||
	    ctl_has(ctl, CTL_OPTION_VERSION))
		return code;
	call_r->arguments = argv + optind;
	call_r->n_arguments = argc - optind;
	return check_arguments(call_r);
}

/* ------------------------------------------------------------------- help */

static void
append_row(struct buf *out, const char *left, const char *right)
{
	buf_printf(out, "  %-*s%s%s\n", HELP_COLUMN - 2, left,
	    strlen(left) + 2 < HELP_COLUMN ? "" : "  ", right);
}

static void
append_options(struct buf *out, const struct command_option *o)
{
	char left[64], letter[8];

	for (; o->name != NULL; o++) {
		(void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
		(void)snprintf(left, sizeof left, "%s--%s%s%s",
		    o->letter != 0 ? letter : "", o->name,
		    o->argument != NULL ? " " : "",
		    o->argument != NULL ? o->argument : "");
		append_row(out, left, o->help);
	}
}

static void
append_command(struct buf *out, const struct command *c)
{
	buf_printf(out, "usage: weirctl %s%s%s%s\n\n%s.\n", c->name,
	    c->options != NULL ? " [OPTION...]" : "",
	    *c->arguments != '\0' ? " " : "", c->arguments, c->summary);
	if (c->options == NULL)
		return;
	buf_append_str(out, "\nOptions:\n");
	append_options(out, c->options);
}

static void
append_all(struct buf *out)
{
	const struct command *c;
	char left[64];
	size_t i;

	buf_append_str(out, "usage: weirctl [OPTION...] COMMAND ...\n\n"
	    "Commands:\n");
	for (i = 0; (c = command_at(i)) != NULL; i++) {
		(void)snprintf(left, sizeof left, "%s%s%s", c->name,
		    *c->arguments != '\0' ? " " : "", c->arguments);
		append_row(out, strlen(left) + 4 < HELP_COLUMN ? left :
		    c->name, c->summary);
	}
}

void
options_help(const struct ctl *ctl, const struct command *command)
{
	struct buf out;

	buf_init(&out, 0);
	if (command != NULL)
		append_command(&out, command);
	else
		append_all(&out);
	buf_append_str(&out, command != NULL ? "\nOptions of weirctl:\n" :
	    "\nOptions, also behind the command:\n");
	append_options(&out, ctl_option_table);
	buf_append_str(&out, command != NULL ? "\n" : "\n`weirctl COMMAND "
	    "--help' says what a command takes. ");
	buf_append_str(&out, "See weirctl(8).\n");
	terminal_write(&ctl->terminal, &out);
	buf_release(&out);
}
