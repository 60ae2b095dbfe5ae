/*
 * db: the database itself, with the code of weir that knows it. It works with
 * a weir that is broken or gone, so a running one is only asked where its
 * database is when nobody says.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/config.h"
#include "service/record_maintain.h"
#include "weirctl/report.h"

static const struct command_option option_table[] = {
	{ "since", 0, "TIME", "of export: not before, as 2h, 7d or "
	    "2026-11-22T10:00:00Z" },
	{ "until", 0, "TIME", "of export: not after, likewise" },
	{ .name = NULL },
};

/* ----------------------------------------------------------- which database */

static enum command_exit
file_of_config(const char *config_file, char **file_r)
{
	enum command_exit code = COMMAND_OK;
	struct config *config;
	struct buf errors;

	buf_init(&errors, 0);
	config = config_load(config_file, &errors);
	if (config == NULL) {
		ctl_error_lines("", buf_span(&errors));
		code = ctl_error(COMMAND_FAILED, "%s cannot be used; name the "
		    "database instead: weirctl db check FILE", config_file);
	} else {
		*file_r = strdup(config->record.sqlite);
	}
	config_unref(config);
	buf_release(&errors);
	return code;
}

static enum command_exit
file_of_weir(const struct ctl *ctl, char **file_r)
{
	enum command_exit code;
	const json_t *one;
	struct query q;
	json_t *root;
	size_t i;

	query_init(&q, "/api/v1/config");
	code = client_json(ctl, CLIENT_GET, &q, &root);
	if (code != COMMAND_OK)
		(void)ctl_error(code, "so which database? weirctl db check "
		    "FILE, or -c WEIR.CONF");
	json_array_foreach(member_of(root, "keys"), i, one)
		if (span_eq(member_text(one, "key"), SPAN("record.sqlite")))
			*file_r = span_dup(member_text(one, "value"));
	json_decref(root);
	query_release(&q);
	return code;
}

static enum command_exit
find_file(const struct ctl *ctl, const struct command_call *call,
    char **file_r)
{
	const char *config_file = ctl->values[CTL_OPTION_CONFIG];
	enum command_exit code = COMMAND_OK;

	*file_r = NULL;
	if (call->n_arguments > 1)
		*file_r = strdup(call->arguments[1]);
	else if (config_file != NULL)
		code = file_of_config(config_file, file_r);
	else
		code = file_of_weir(ctl, file_r);
	if (code == COMMAND_OK && (*file_r == NULL || **file_r == '\0'))
		return ctl_error(COMMAND_FAILED, "there is no database: "
		    "record.sqlite is empty");
	if (code == COMMAND_OK && access(*file_r, R_OK) != 0)
		return ctl_error(COMMAND_FAILED, "%s: %s", *file_r,
		    strerror(errno));
	return code;
}

/* ------------------------------------------------------------------- output */

/* Words: printed, or gathered for JSON. */
struct words {
	const struct ctl *ctl;
	json_t *list;
};

static int
on_word(void *ctx, struct span line)
{
	struct words *words = ctx;
	struct buf out;

	if (words->list != NULL)
		return json_array_append_new(words->list, json_stringn(
		    (const char *)line.data, line.len));
	buf_init(&out, 0);
	text_show(&out, line, words->ctl->terminal.utf8);
	report_end(words->ctl, &out);
	buf_release(&out);
	return ferror(words->ctl->terminal.file) ? -1 : 0;
}

static int
on_export(void *ctx, struct span line)
{
	const struct ctl *ctl = ctx;

	return fwrite(line.data, 1, line.len, ctl->terminal.file) ==
	    line.len && fputc('\n', ctl->terminal.file) != EOF ? 0 : -1;
}

static int
on_note(void *ctx, struct span line)
{
	(void)ctx;
	ctl_error_lines("weirctl: ", line);
	return 0;
}

/* {"ok": true, "lines": [...]} */
static void
print_json(const struct ctl *ctl, const json_t *list, bool ok)
{
	json_t *root = json_pack("{s:b,s:O}", "ok", ok, "lines", list);

	(void)json_dumpf(root, ctl->terminal.file, JSON_COMPACT);
	(void)fputc('\n', ctl->terminal.file);
	json_decref(root);
}

/* ----------------------------------------------------------------- commands */

static enum command_exit
maintain(struct ctl *ctl, const char *file,
    int (*what)(const char *path, const struct record_maintain *out))
{
	struct words words = { .ctl = ctl,
	    .list = ctl_has(ctl, CTL_OPTION_JSON) ? json_array() : NULL };
	struct record_maintain out = { on_word, &words };
	int result = what(file, &out);

	if (words.list != NULL)
		print_json(ctl, words.list, result == 0);
	json_decref(words.list);
	return result == 0 ? COMMAND_OK : COMMAND_FAILED;
}

/* 0: not given. */
static enum command_exit
read_time(const struct command_call *call, const char *option, uint64_t *us_r)
{
	const char *value = command_value(call, option);
	int64_t us;

	*us_r = 0;
	if (value == NULL)
		return COMMAND_OK;
	if (moment_ago(span_str(value), (int64_t)clock_wall_us(), &us) != 0 ||
	    us < 0)
		return ctl_error(COMMAND_USAGE, "--%s %s is no time; write 2h,"
		    " 7d or 2026-11-22T10:00:00Z", option, value);
	*us_r = (uint64_t)us;
	return COMMAND_OK;
}

static enum command_exit
export(struct ctl *ctl, const char *file, uint64_t since, uint64_t until)
{
	struct record_maintain out = { on_export, ctl };
	struct record_maintain notes = { on_note, NULL };

	return record_maintain_export(file, since, until, &out, &notes) == 0 ?
	    COMMAND_OK : COMMAND_FAILED;
}

static enum command_exit
run(struct ctl *ctl, const struct command_call *call)
{
	const char *what = call->arguments[0];
	uint64_t since, until;
	enum command_exit code;
	char *file = NULL;

	code = read_time(call, "since", &since);
	if (code == COMMAND_OK)
		code = read_time(call, "until", &until);
	if (code == COMMAND_OK && strcmp(what, "export") != 0 &&
	    (since != 0 || until != 0))
		code = ctl_error(COMMAND_USAGE, "--since and --until are for "
		    "weirctl db export");
	if (code == COMMAND_OK)
		code = find_file(ctl, call, &file);
	if (code == COMMAND_OK)
		code = strcmp(what, "check") == 0 ?
		    maintain(ctl, file, record_maintain_check) :
		    strcmp(what, "vacuum") == 0 ?
		    maintain(ctl, file, record_maintain_vacuum) :
		    export(ctl, file, since, until);
	free(file);
	return code;
}

const struct command command_db_table[] = {
	{ "db", "check|vacuum|export [FILE]", 1, 2, "check, shrink or export "
	    "the database of the record", option_table, run },
	{ .name = NULL },
};
