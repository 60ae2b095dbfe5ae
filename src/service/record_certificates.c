/*
 * An MX shows the same certificate in each session: some are remembered, so
 * that the database is not asked.
 */
#include "service/record_certificates.h"

#include "base/clock.h"

#define DAY_US (86400 * (uint64_t)CLOCK_US_PER_S)

int
record_certificates_init(struct record_certificates *c, sqlite3 *db)
{
	int rc = sqlite3_prepare_v3(db,
	    "INSERT INTO certificates(der,seen_at) VALUES(?,?) "
	    "ON CONFLICT(der) DO UPDATE SET seen_at=excluded.seen_at", -1,
	    SQLITE_PREPARE_PERSISTENT, &c->insert, NULL);

	return rc != SQLITE_OK ? rc : sqlite3_prepare_v3(db,
	    "SELECT id FROM certificates WHERE der=?", -1,
	    SQLITE_PREPARE_PERSISTENT, &c->find, NULL);
}

void
record_certificates_finalize(struct record_certificates *c)
{
	sqlite3_finalize(c->insert);
	sqlite3_finalize(c->find);
	c->insert = c->find = NULL;
}

void
record_certificates_release(struct record_certificates *c)
{
	for (size_t i = 0; i < RECORD_CERTIFICATES; i++)
		buf_release(&c->known[i].der);
}

void
record_certificates_forget(struct record_certificates *c)
{
	for (size_t i = 0; i < RECORD_CERTIFICATES; i++)
		buf_clear(&c->known[i].der);
}

static uint64_t
hash_bytes(struct span s)	/* FNV-1a: only picks a place to look first */
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 0x100000001b3u;
	return h;
}

static int
write(struct record_certificates *c, struct span der, uint64_t day_us)
{
	char text[CLOCK_TEXT_MAX];
	int rc;

	sqlite3_bind_blob(c->insert, 1, der.data, (int)der.len, SQLITE_STATIC);
	sqlite3_bind_text(c->insert, 2, clock_format_utc(day_us, text), -1,
	    SQLITE_STATIC);
	rc = sqlite3_step(c->insert);
	sqlite3_reset(c->insert);
	sqlite3_clear_bindings(c->insert);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int
find(struct record_certificates *c, struct span der, int64_t *id_r)
{
	int rc;

	sqlite3_bind_blob(c->find, 1, der.data, (int)der.len, SQLITE_STATIC);
	rc = sqlite3_step(c->find);
	if (rc == SQLITE_ROW)
		*id_r = sqlite3_column_int64(c->find, 0);
	sqlite3_reset(c->find);
	sqlite3_clear_bindings(c->find);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int
record_certificates_id(struct record_certificates *c, struct span der,
    uint64_t wall_us, int64_t *id_r)
{
	uint64_t day = wall_us / DAY_US;
	struct record_certificate *slot =
	    &c->known[hash_bytes(der) % RECORD_CERTIFICATES];
	int rc;

	if (slot->day == day && span_eq(buf_span(&slot->der), der)) {
		*id_r = slot->id;
		return SQLITE_OK;
	}
	rc = write(c, der, day * DAY_US);
	if (rc == SQLITE_OK)
		rc = find(c, der, id_r);
	if (rc != SQLITE_OK)
		return rc;
	slot->id = *id_r;
	slot->day = day;
	buf_clear(&slot->der);
	if (buf_append(&slot->der, der) != 0)
		buf_clear(&slot->der);
	return SQLITE_OK;
}
