/*
 * The arguments of BDAT. A chunk's size says where the next command begins, so
 * what is not exactly a number is refused: nobody may read it differently.
 */
#include "smtp/bdat.h"

int
smtp_bdat_parse(struct span args, struct smtp_bdat *bdat_r)
{
	struct span rest, words = span_trim(args);
	uint64_t size;
	size_t n = 0;

	while (n < words.len && words.data[n] != ' ' && words.data[n] != '\t')
		n++;
	if (span_to_u64(span_take(words, n), &size) != 0 ||
	    size > SMTP_BDAT_MAX)
		return -1;
	rest = span_trim(span_skip(words, n));
	if (rest.len > 0 && !span_eq_nocase(rest, SPAN("LAST")))
		return -1;
	bdat_r->size = size;
	bdat_r->last = rest.len > 0;
	return 0;
}
