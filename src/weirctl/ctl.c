/*
 * Errors go to standard error, in whole sentences that say what to do; also
 * with --json: what stands on standard output is always an answer.
 */
#include "weirctl/ctl.h"

#include <langinfo.h>
#include <stdarg.h>

#include "weirctl/text.h"

const struct command_option ctl_option_table[] = {
	[CTL_OPTION_SOCKET] = { "socket", 's', "PATH",
	    "the control socket (default: " CTL_SOCKET ")" },
	[CTL_OPTION_CONFIG] = { "config", 'c', "FILE",
	    "take socket and database from this weir.conf" },
	[CTL_OPTION_URL] = { "url", 0, "URL",
	    "ask this address, http://HOST:PORT, instead" },
	[CTL_OPTION_TOKEN_FILE] = { "token-file", 0, "FILE",
	    "the file with the token, for --url" },
	[CTL_OPTION_JSON] = { "json", 'j', NULL,
	    "print weir's answer as it is" },
	[CTL_OPTION_NO_COLOR] = { "no-color", 0, NULL,
	    "no colours (also: NO_COLOR in the environment)" },
	[CTL_OPTION_UTC] = { "utc", 0, NULL,
	    "times in UTC instead of the local time zone" },
	[CTL_OPTION_HELP] = { "help", 'h', NULL,
	    "print this, or what a command takes" },
	[CTL_OPTION_VERSION] = { "version", 'V', NULL,
	    "print the version" },
	[CTL_OPTION_COUNT] = { .name = NULL },
};

void
ctl_error_lines(const char *prefix, struct span text)
{
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	struct buf out;

	buf_init(&out, 0);
	buf_append_str(&out, prefix);
	while (text.len > 0) {
		size_t n = span_find(text, '\n');

		text_show(&out, span_take(text, n), utf8);
		buf_append_byte(&out, '\n');
		text = span_skip(text, n + 1);
	}
	/* what could not be said leaves the exit code to say it */
	(void)fwrite(buf_span(&out).data, 1, buf_len(&out), stderr);
	buf_release(&out);
}

enum command_exit
ctl_error(enum command_exit code, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ctl_error_lines("weirctl: ", span_str(text));
	return code;
}
