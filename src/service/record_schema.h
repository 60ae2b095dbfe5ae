/*
 * The database's schema and how older ones become it.
 */
#ifndef WEIR_SERVICE_RECORD_SCHEMA_H
#define WEIR_SERVICE_RECORD_SCHEMA_H

#include <sqlite3.h>

#include "base/compiler.h"

#define RECORD_SCHEMA_VERSION 5		/* PRAGMA user_version */

enum record_schema_result {
	RECORD_SCHEMA_OK,
	RECORD_SCHEMA_NEWER,		/* written by a newer weir: untouched */
	RECORD_SCHEMA_FAILED,		/* SQLite's error stands in db */
};

/* Brings db to version `to`, in one transaction per version. version_r: what
 * it was found with. (Tests make old databases with it; all others want
 * RECORD_SCHEMA_VERSION.) */
enum record_schema_result record_schema_migrate(sqlite3 *db, int to,
	int *version_r) MUSTUSE;

#endif
