/*
 * Members of the API's objects. What is missing, null or of another type is
 * nothing: an older or newer weir says less or more.
 */
#ifndef WEIR_WEIRCTL_MEMBER_H
#define WEIR_WEIRCTL_MEMBER_H

#include <jansson.h>

#include "base/span.h"

/* Texts; of another type: empty. They live as long as the object. */
struct span member_text(const json_t *object, const char *key);

/* Integers and reals; else 0. */
double member_number(const json_t *object, const char *key);

bool member_is_true(const json_t *object, const char *key);

/* It is there and not null. */
bool member_is_set(const json_t *object, const char *key);

/* The object or array of that name; NULL: none (jansson's functions take NULL
 * for an empty one). */
json_t *member_of(const json_t *object, const char *key);

#endif
