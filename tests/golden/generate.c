/*
 * The golden vectors: frames that every library for policy servers must read
 * and write alike. `make check` compares what this prints with vectors.json.
 *
 *	generate >vectors.json
 */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "writer.h"

static void
start(const char *name)
{
	static bool first = true;	/* one list after the other */

	if (name == NULL) {
		first = true;
		return;
	}
	printf("%s\n    {\"name\": \"%s\",\n", first ? "" : ",", name);
	first = false;
}

static void
frame(const uint8_t *bytes, size_t n)
{
	printf("     \"frame\": \"%08zx", n);
	for (size_t i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	putchar('"');
}

/* The facts are read back from the frame, so that they are what is in it. */
static void
facts(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t n)
{
	ProtobufCMessage *message =
	    protobuf_c_message_unpack(type, NULL, n, bytes);

	if (message == NULL) {
		fputs("generate: a message that cannot be read\n", stderr);
		exit(1);
	}
	printf(",\n     \"message\": ");
	json_message(stdout, message);
	putchar('}');
	protobuf_c_message_free_unpacked(message, NULL);
}

void
write_to_policy_bytes(const char *name, const void *bytes, size_t n)
{
	start(name);
	frame(bytes, n);
	facts(&weir__policy__v1__to_policy__descriptor, bytes, n);
}

void
write_event(const char *name, const struct policy_event *event)
{
	struct buf out;
	struct span message;

	buf_init(&out, 0);
	if (policy_encode(&out, event, POLICY_FRAME_DEFAULT_MAX) < 0)
		abort();
	message = span_skip(buf_span(&out), 4);
	write_to_policy_bytes(name, message.data, message.len);
	buf_release(&out);
}

static uint8_t *
packed(const ProtobufCMessage *message, size_t *n_r)
{
	uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(message) +
	    1);

	if (bytes == NULL)
		abort();
	*n_r = protobuf_c_message_pack(message, bytes);
	return bytes;
}

void
write_to_policy(const char *name, const to_policy *message)
{
	size_t n;
	uint8_t *bytes = packed(&message->base, &n);

	write_to_policy_bytes(name, bytes, n);
	free(bytes);
}

/* weir must be able to read what it will be sent. */
void
write_from_policy(const char *name, const from_policy *message)
{
	size_t n;
	uint8_t *bytes = packed(&message->base, &n);
	struct policy_answer answer;

	if (policy_decode(span_of(bytes, n), &answer) < 0)
		abort();
	policy_answer_free(&answer);
	start(name);
	frame(bytes, n);
	facts(&weir__policy__v1__from_policy__descriptor, bytes, n);
	free(bytes);
}

void
write_refused(const char *name, const void *bytes, size_t n)
{
	if (protobuf_c_message_unpack(&weir__policy__v1__to_policy__descriptor,
	    NULL, n, bytes) != NULL)
		abort();
	start(name);
	frame(bytes, n);
	putchar('}');
}

int
main(void)
{
	static const struct {
		const char *name;
		void (*write)(void);
	} lists[] = {
		{ "to_policy", events_write },
		{ "refused", refused_write },
		{ "from_policy", answers_write },
	};

	putchar('{');
	for (size_t i = 0; i < 3; i++) {
		printf("%s\n  \"%s\": [", i > 0 ? "," : "", lists[i].name);
		start(NULL);
		lists[i].write();
		printf("\n  ]");
	}
	puts("\n}");
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
