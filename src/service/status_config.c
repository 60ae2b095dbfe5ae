/*
 * The configuration in force: not what the file says by now, but what was read
 * from it. Secrets stand in files of their own, of which it has the paths.
 */
#include "service/status_api.h"

#include "base/escape.h"
#include "service/status_json.h"

static void
answer_config(const struct status_source *s,
    const struct status_api_request *r, struct status_api_answer *a)
{
	struct config *config = s->config(s->ctx);

	(void)r;
	buf_append_str(&a->body, "{\"file\":");
	escape_json(&a->body, span_str(config->file));
	status_json_time(&a->body, "loaded_at", config->loaded_wall_us);
	status_json_text(&a->body, "text", config->text);
	buf_append_str(&a->body, ",\"keys\":");
	config_keys_json(config, &a->body);
	buf_append_str(&a->body, "}\n");
	config_unref(config);
}

const struct status_api_route status_config_routes[] = {
	{ .path = "/api/v1/config", .answer = answer_config },
	{ .path = NULL },
};
