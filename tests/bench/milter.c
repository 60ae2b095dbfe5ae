/*
 * A milter that looks at everything and accepts it: what Postfix is compared
 * with, when weir has a policy that decides at every phase.
 *
 *	milter inet:port@127.0.0.1
 *
 * Ended by SIGTERM. Written against libmilter, as real ones are.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <libmilter/mfapi.h>

static sfsistat
on_connect(SMFICTX *context, char *host, struct sockaddr *address)
{
	(void)context;
	(void)host;
	(void)address;
	return SMFIS_CONTINUE;
}

static sfsistat
on_helo(SMFICTX *context, char *name)
{
	(void)context;
	(void)name;
	return SMFIS_CONTINUE;
}

static sfsistat
on_address(SMFICTX *context, char **arguments)
{
	(void)context;
	(void)arguments;
	return SMFIS_CONTINUE;
}

static sfsistat
on_header(SMFICTX *context, char *name, char *value)
{
	(void)context;
	(void)name;
	(void)value;
	return SMFIS_CONTINUE;
}

static sfsistat
on_moment(SMFICTX *context)
{
	(void)context;
	return SMFIS_CONTINUE;
}

static sfsistat
on_body(SMFICTX *context, unsigned char *data, size_t length)
{
	(void)context;
	(void)data;
	(void)length;
	return SMFIS_CONTINUE;
}

int
main(int argc, char **argv)
{
	char name[] = "bench";
	struct smfiDesc description = {
		.xxfi_name = name, .xxfi_version = SMFI_VERSION,
		.xxfi_connect = on_connect, .xxfi_helo = on_helo,
		.xxfi_envfrom = on_address, .xxfi_envrcpt = on_address,
		.xxfi_data = on_moment, .xxfi_header = on_header,
		.xxfi_eoh = on_moment, .xxfi_body = on_body,
		.xxfi_eom = on_moment,
	};

	if (argc != 2) {
		fputs("usage: milter inet:port@host\n", stderr);
		return 64;
	}
	if (smfi_setconn(argv[1]) == MI_FAILURE ||
	    smfi_register(description) == MI_FAILURE)
		return 1;
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
