#ifndef WEIR_TESTS_GOLDEN_FACTS_H
#define WEIR_TESTS_GOLDEN_FACTS_H

#include <weir_policy.h>

/* Prints the members of the phase, each with a comma behind it. */
void facts_put_event(const struct weir_event *e);

/* Prints one whole line. */
void facts_put_hello(const struct weir_hello *h);

#endif
