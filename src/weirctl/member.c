/*
 * jansson's accessors, with weir's spans: a text of SMTP's may hold NUL.
 */
#include "weirctl/member.h"

struct span
member_text(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return span_of(json_string_value(value), json_string_length(value));
}

double
member_number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

bool
member_is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

bool
member_is_set(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value != NULL && !json_is_null(value);
}

json_t *
member_of(const json_t *object, const char *key)
{
	return json_object_get(object, key);
}
