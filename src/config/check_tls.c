/*
 * The tls blocks: one that can never speak, or says what nobody would hear, is
 * a slip of the pen and would leave mail less protected than it looks.
 */
#include "config/build.h"

#include "base/tls_demand.h"

static void
check_groups(const struct config_tls_block *b, const struct config_part *part,
    struct config_report *report)
{
	size_t i;

	for (i = 0; i < b->n_groups; i++)
		if (!tls_name_is_valid(span_str(b->groups[i])) ||
		    b->groups[i][0] == '*')
			config_report_add(report,
			    config_part_line(part, "groups"),
			    "groups: \"%.80s\" is no domain; write one like "
			    "example.com, for all MXs whose greeting lies in "
			    "it", b->groups[i]);
	if (b->n_groups > 0 && b->level == CONFIG_TLS_NONE)
		config_report_add(report, config_part_line(part, "level"),
		    "level = none with groups: a greeting is not "
		    "authenticated and can only raise the level; name "
		    "networks instead");
}

static void
check_names(const struct config_tls_block *b, const struct config_part *part,
    struct config_report *report)
{
	unsigned line = config_part_line(part, "names");
	size_t i;

	for (i = 0; i < b->n_names; i++)
		if (!tls_name_is_valid(span_str(b->names[i])))
			config_report_add(report, line, "names: \"%.80s\" is "
			    "no host name; write one like mx1.example.com, or "
			    "*.example.com", b->names[i]);
	if (b->n_names > TLS_NAMES_MAX)
		config_report_add(report, line, "names has more than %d "
		    "names; write a second block", TLS_NAMES_MAX);
	if (b->n_names > 0 && b->level < CONFIG_TLS_VERIFY)
		config_report_add(report, line, "names are looked at only "
		    "from level = verify on; write that, or remove them");
}

void
config_check_tls(const struct config_tls_block *b,
    const struct config_part *part, struct config_report *report)
{
	if (b->n_networks == 0 && b->n_groups == 0)
		config_report_add(report, part->line,
		    "tls \"%s\" speaks for nobody; write networks = "
		    "{\"192.0.2.0/24\"} or groups = {\"example.com\"}",
		    part->title);
	check_groups(b, part, report);
	check_names(b, part, report);
}
