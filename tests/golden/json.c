/*
 * A protobuf message as JSON, in proto3's own mapping and with the field names
 * of policy.proto, so that every protobuf library can read it back. Written
 * from the descriptors: a new field of the protocol needs nothing here.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"

static void
string_json(FILE *out, const char *s)
{
	putc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putc('\\', out);
		if ((unsigned char)*s < 0x20)
			fprintf(out, "\\u%04x", (unsigned)*s);
		else
			putc(*s, out);
	}
	putc('"', out);
}

static void
base64_json(FILE *out, const ProtobufCBinaryData *b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits;

	putc('"', out);
	for (size_t i = 0; i < b->len; i += 3) {
		bits = (uint32_t)b->data[i] << 16;
		if (i + 1 < b->len)
			bits |= (uint32_t)b->data[i + 1] << 8;
		if (i + 2 < b->len)
			bits |= b->data[i + 2];
		putc(digits[bits >> 18], out);
		putc(digits[bits >> 12 & 63], out);
		putc(i + 1 < b->len ? digits[bits >> 6 & 63] : '=', out);
		putc(i + 2 < b->len ? digits[bits & 63] : '=', out);
	}
	putc('"', out);
}

static void
enum_json(FILE *out, const ProtobufCEnumDescriptor *names, int32_t value)
{
	const ProtobufCEnumValue *named =
	    protobuf_c_enum_descriptor_get_value(names, value);

	if (named != NULL)
		fprintf(out, "\"%s\"", named->name);
	else
		fprintf(out, "%d", value);
}

/* Returns the size of a value of that field in its struct. */
static size_t
value_json(FILE *out, const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
		fprintf(out, "%u", *(const uint32_t *)at);
		return sizeof(uint32_t);
	case PROTOBUF_C_TYPE_UINT64:
		fprintf(out, "\"%llu\"",
		    (unsigned long long)*(const uint64_t *)at);
		return sizeof(uint64_t);
	case PROTOBUF_C_TYPE_BOOL:
		fputs(*(const protobuf_c_boolean *)at ? "true" : "false", out);
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_ENUM:
		enum_json(out, f->descriptor, *(const int32_t *)at);
		return sizeof(int32_t);
	case PROTOBUF_C_TYPE_FLOAT:
		fprintf(out, "%.9g", (double)*(const float *)at);
		return sizeof(float);
	case PROTOBUF_C_TYPE_DOUBLE:
		fprintf(out, "%.17g", *(const double *)at);
		return sizeof(double);
	case PROTOBUF_C_TYPE_STRING:
		string_json(out, *(char *const *)at);
		return sizeof(char *);
	case PROTOBUF_C_TYPE_BYTES:
		base64_json(out, at);
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_MESSAGE:
		json_message(out, *(ProtobufCMessage *const *)at);
		return sizeof(ProtobufCMessage *);
	default:
		abort();	/* the protocol has no other types */
	}
}

static bool
is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *entry = f->descriptor;

	return f->type == PROTOBUF_C_TYPE_MESSAGE && entry->n_fields == 2 &&
	    strcmp(entry->fields[0].name, "key") == 0 &&
	    strcmp(entry->fields[1].name, "value") == 0;
}

static void
map_json(FILE *out, ProtobufCMessage *const *entries, size_t n)
{
	const ProtobufCFieldDescriptor *f;

	putc('{', out);
	for (size_t i = 0; i < n; i++) {
		f = entries[i]->descriptor->fields;
		fputs(i > 0 ? ", " : "", out);
		for (unsigned k = 0; k < 2; k++) {
			value_json(out, f + k,
			    (const char *)entries[i] + f[k].offset);
			fputs(k == 0 ? ": " : "", out);
		}
	}
	putc('}', out);
}

static void
repeated_json(FILE *out, const ProtobufCFieldDescriptor *f, const void *at,
    size_t n)
{
	const char *value = *(const void *const *)at;

	if (is_map(f)) {
		map_json(out, *(ProtobufCMessage *const *const *)at, n);
		return;
	}
	putc('[', out);
	for (size_t i = 0; i < n; i++) {
		fputs(i > 0 ? ", " : "", out);
		value += value_json(out, f, value);
	}
	putc(']', out);
}

/* Whether a field is there at all: proto3 does not tell 0 from nothing. */
static bool
is_set(const ProtobufCFieldDescriptor *f, const char *message)
{
	const void *at = message + f->offset;
	const void *quantity = message + f->quantifier_offset;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)quantity > 0;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantity == f->id;
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT64:
		return *(const uint64_t *)at != 0;
	case PROTOBUF_C_TYPE_FLOAT:
		return *(const float *)at != 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const double *)at != 0;
	case PROTOBUF_C_TYPE_STRING:
		return **(char *const *)at != '\0';
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)at)->len > 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(ProtobufCMessage *const *)at != NULL;
	default:	/* uint32, enum and bool: all four bytes */
		return *(const uint32_t *)at != 0;
	}
}

void
json_message(FILE *out, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *d = message->descriptor;
	const char *base = (const char *)message;
	const char *separator = "";

	putc('{', out);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = d->fields + i;

		if (!is_set(f, base))
			continue;
		fprintf(out, "%s\"%s\": ", separator, f->name);
		separator = ", ";
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			repeated_json(out, f, base + f->offset,
			    *(const size_t *)(base + f->quantifier_offset));
		else
			value_json(out, f, base + f->offset);
	}
	putc('}', out);
}
