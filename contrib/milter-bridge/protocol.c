/*
 * One row for each command: its name in the log, the bits of the negotiation
 * that concern it, and the version of the protocol that brought it.
 */
#include "milter-bridge/protocol.h"

#include <stddef.h>

static const struct {
	char letter;
	const char *name;
	uint32_t omit, no_reply;
	unsigned since;
} commands[] = {
	{ MILTER_OPTNEG, "negotiation", 0, 0, 2 },
	{ MILTER_CONNECT, "CONNECT", MILTER_NO_CONNECT, MILTER_NR_CONNECT, 2 },
	{ MILTER_HELO, "HELO", MILTER_NO_HELO, MILTER_NR_HELO, 2 },
	{ MILTER_MAIL, "MAIL", MILTER_NO_MAIL, MILTER_NR_MAIL, 2 },
	{ MILTER_RCPT, "RCPT", MILTER_NO_RCPT, MILTER_NR_RCPT, 2 },
	{ MILTER_DATA, "DATA", MILTER_NO_DATA, MILTER_NR_DATA, 4 },
	{ MILTER_HEADER, "HEADER", MILTER_NO_HEADERS, MILTER_NR_HEADER, 2 },
	{ MILTER_EOH, "EOH", MILTER_NO_EOH, MILTER_NR_EOH, 2 },
	{ MILTER_BODY, "BODY", MILTER_NO_BODY, MILTER_NR_BODY, 2 },
	{ MILTER_END, "BODYEOB", 0, 0, 2 },
	{ MILTER_UNKNOWN, "UNKNOWN", MILTER_NO_UNKNOWN, MILTER_NR_UNKNOWN, 3 },
	{ MILTER_MACRO, "MACRO", 0, 0, 2 },
	{ MILTER_ABORT, "ABORT", 0, 0, 2 },
	{ MILTER_QUIT, "QUIT", 0, 0, 2 },
	{ MILTER_QUIT_NC, "QUIT_NC", 0, 0, 6 },
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static size_t
find(enum milter_command command)
{
	size_t i = 0;

	while (i < N_COMMANDS && commands[i].letter != (char)command)
		i++;
	return i;
}

const char *
milter_command_name(enum milter_command command)
{
	size_t i = find(command);

	return i == N_COMMANDS ? "?" : commands[i].name;
}

uint32_t
milter_command_omit(enum milter_command command)
{
	size_t i = find(command);

	return i == N_COMMANDS ? 0 : commands[i].omit;
}

uint32_t
milter_command_no_reply(enum milter_command command)
{
	size_t i = find(command);

	return i == N_COMMANDS ? 0 : commands[i].no_reply;
}

unsigned
milter_command_since(enum milter_command command)
{
	size_t i = find(command);

	return i == N_COMMANDS ? MILTER_VERSION_MIN : commands[i].since;
}
