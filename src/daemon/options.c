/*
 * getopt_long, quiet: it would name only argv[0] and the option in words of
 * its own; weir's say what to do next. The default file is where
 * `make install` was told that configuration lives.
 */
#include "daemon/options.h"

#include <getopt.h>

#include "config.h"

#ifndef SYSCONFDIR
#error "SYSCONFDIR must be defined: see src/daemon/Makefile.inc"
#endif

#define DEFAULT_FILE SYSCONFDIR "/weir/weir.conf"

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, 't' },
	{ "keys", no_argument, NULL, 'T' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* What stands in argv where getopt_long() stopped: short options may share
 * one argument, so the letter is named then. */
static int
refuse(char *argv[], int c, struct buf *error)
{
	const char *word = argv[optind - 1];
	bool is_long = word[0] == '-' && word[1] == '-';

	if (c == ':')
		buf_printf(error, "option %s needs a file; write -c FILE",
		    is_long ? word : "-c");
	else if (optopt != 0 && !is_long)
		buf_printf(error, "unknown option -%c; weir -h lists them all",
		    optopt);
	else
		buf_printf(error, "unknown option %s; weir -h lists them all",
		    word);
	return -1;
}

int
options_parse(int argc, char *argv[], struct options *options_r,
    struct buf *error)
{
	struct options o = { OPTIONS_RUN, DEFAULT_FILE };
	int c;

	optind = 0;		/* start anew, whoever used it before */
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:c:tTVh", long_options,
	    NULL)) != -1)
		switch (c) {
		case 'c':
			o.file = optarg;
			break;
		case 't':
			o.action = OPTIONS_CHECK;
			break;
		case 'T':
			o.action = OPTIONS_KEYS;
			break;
		case 'V':
			o.action = OPTIONS_VERSION;
			break;
		case 'h':
			o.action = OPTIONS_HELP;
			break;
		default:
			return refuse(argv, c, error);
		}
	if (optind < argc) {
		buf_printf(error, "unexpected argument %s; did you mean -c %s?",
		    argv[optind], argv[optind]);
		return -1;
	}
	*options_r = o;
	return 0;
}

const char *
options_usage(void)
{
	return "usage: weir [-tTVh] [-c FILE]\n"
	    "\n"
	    "  -c, --config FILE  read FILE (default: " DEFAULT_FILE ")\n"
	    "  -t, --check        check the configuration and exit\n"
	    "  -T, --keys         list every key of weir.conf and exit\n"
	    "  -V, --version      print the version and exit\n"
	    "  -h, --help         print this and exit\n"
	    "\n"
	    "SIGHUP reloads the configuration, SIGTERM and SIGINT drain and "
	    "end.\n"
	    "See weir(8) and weir.conf(5).\n";
}

const char *
options_version(void)
{
	return PACKAGE_NAME " " PACKAGE_VERSION "\n";
}
