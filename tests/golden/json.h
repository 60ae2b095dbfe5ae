#ifndef WEIR_TESTS_GOLDEN_JSON_H
#define WEIR_TESTS_GOLDEN_JSON_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdio.h>

/* Writes the message on one line, without a newline: fields that are not set
 * are left out. */
void json_message(FILE *out, const ProtobufCMessage *message);

#endif
