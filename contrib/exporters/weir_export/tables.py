"""The two tables in MariaDB or MySQL, and in SQLite. Every row has a key that
weir gave to it, so that writing it again changes nothing."""

import sqlite3

from .rows import Communication, Connection
from .service import Away, Wrong, say, secret

# the server's numbers for values that a column cannot hold
VALUES = {1048, 1264, 1265, 1292, 1366, 1406, 1411, 3140}
COLUMNS = {"connections": Connection._fields,
           "communications": Communication._fields}

MARIADB = {"connections": """
CREATE TABLE IF NOT EXISTS connections (
  id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  mail_from TEXT NOT NULL,
  mail_to MEDIUMTEXT NOT NULL,
  occurred_at DATETIME(6) NOT NULL,
  elapse BIGINT NOT NULL,
  PRIMARY KEY (id),
  KEY occurred_at (occurred_at),
  KEY mail_from (mail_from(100))
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin""",
           "communications": """
CREATE TABLE IF NOT EXISTS communications (
  id CHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  connection_id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  direction CHAR(2) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  data MEDIUMTEXT NOT NULL,
  occurred_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY connection_id (connection_id, occurred_at)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"""}

SQLITE = {"connections": """
CREATE TABLE IF NOT EXISTS connections (
  id TEXT PRIMARY KEY, mail_from TEXT NOT NULL, mail_to TEXT NOT NULL,
  occurred_at TEXT NOT NULL, elapse INTEGER NOT NULL)""",
          "connections_occurred_at": """
CREATE INDEX IF NOT EXISTS connections_occurred_at
  ON connections(occurred_at)""",
          "communications": """
CREATE TABLE IF NOT EXISTS communications (
  id TEXT PRIMARY KEY, connection_id TEXT NOT NULL, direction TEXT NOT NULL,
  data TEXT NOT NULL, occurred_at TEXT NOT NULL)""",
          "communications_connection_id": """
CREATE INDEX IF NOT EXISTS communications_connection_id
  ON communications(connection_id, occurred_at)"""}


def split(rows):
    """(table, rows of it), only those that there are. Lines go first: whoever
    sees a connection can read all of it."""
    for kind, table in ((Communication, "communications"),
                        (Connection, "connections")):
        some = [row for row in rows if isinstance(row, kind)]
        if some:
            yield table, sorted(some)   # two writers wait, and do not deadlock


class MariaDB:
    """One connection, which is made anew when it is lost."""

    def __init__(self, **options):
        try:
            import pymysql
        except ImportError:
            raise Wrong("apt-get install python3-pymysql") from None
        self.driver, self.options = pymysql, options
        self.connection = None

    def upsert(self, table):
        names = COLUMNS[table]
        return (f"INSERT INTO {table} ({', '.join(names)}) "
                f"VALUES ({', '.join(['%s'] * len(names))}) "
                "ON DUPLICATE KEY UPDATE "
                + ", ".join(f"{name} = VALUES({name})" for name in names[1:]))

    @staticmethod
    def time(text):
        return text.replace("T", " ").removesuffix("Z")

    def values(self, row):
        return [self.time(value) if name == "occurred_at" else value
                for name, value in zip(row._fields, row)]

    def open(self):
        try:
            self.connection = self.driver.connect(
                charset="utf8mb4", autocommit=False, connect_timeout=10,
                read_timeout=60, write_timeout=60,
                sql_mode="STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
                **self.options)
            with self.connection.cursor() as cursor:
                for table in COLUMNS:
                    self.ensure(cursor, table)
        except self.driver.err.MySQLError as error:
            self.close()
            raise Away(f"MariaDB: {words(error)}") from None
        except OSError as error:
            self.close()
            raise Away(f"MariaDB: {error}") from None

    def ensure(self, cursor, table):
        """A user that may not create tables can use those that there are."""
        try:
            cursor.execute(f"SELECT {', '.join(COLUMNS[table])} FROM {table} "
                           "LIMIT 0")
        except self.driver.err.ProgrammingError as error:
            if error.args[0] != 1146:   # no such table
                raise
            cursor.execute(MARIADB[table])

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except (self.driver.err.MySQLError, OSError):
                pass
        self.connection = None

    def write(self, rows):
        """All of them in one transaction."""
        if self.connection is None:
            self.open()
        try:
            self.insert(rows)
        except (self.driver.err.MySQLError, UnicodeError, OSError) as error:
            if not self.refuses(error):
                self.close()
                raise Away(f"MariaDB: {words(error)}") from None
            self.connection.rollback()
            self.one_by_one(rows)

    def refuses(self, error):
        """Whether it is the row's fault, and trying again is in vain."""
        return (isinstance(error, (self.driver.err.DataError,
                                   self.driver.err.IntegrityError,
                                   UnicodeError))
                or bool(error.args) and error.args[0] in VALUES)

    def insert(self, rows):
        with self.connection.cursor() as cursor:
            for table, some in split(rows):
                cursor.executemany(self.upsert(table),
                                   [self.values(row) for row in some])
        self.connection.commit()

    def one_by_one(self, rows):
        """One that the server never takes must not hold up the others."""
        for row in rows:
            try:
                self.insert([row])
            except (self.driver.err.MySQLError, UnicodeError,
                    OSError) as error:
                if not self.refuses(error):
                    self.close()
                    raise Away(f"MariaDB: {words(error)}") from None
                self.connection.rollback()
                say(f"MariaDB refuses row {row.id!r}, which is skipped: "
                    f"{words(error)}")


def mariadb(socket, host, port, user, password_file, name, tls_ca):
    """As the options say."""
    there = {"user": user, "database": name,
             "password": secret(password_file, "WEIR_MARIADB_PASSWORD") or ""}
    if socket:
        there["unix_socket"] = socket
    else:
        there.update(host=host, port=port)
    if tls_ca:
        there["ssl"] = {"ca": tls_ca, "check_hostname": True}
    return MariaDB(**there)


def words(error):
    """What a driver's error says, without its number."""
    return str(error.args[-1] if getattr(error, "args", None) else error)


class SQLite:
    """A file of its own, not weir's database: there these names are views."""

    def __init__(self, path):
        self.path, self.connection = path, None

    @staticmethod
    def upsert(table):
        names = COLUMNS[table]
        return (f"INSERT INTO {table} ({', '.join(names)}) "
                f"VALUES ({', '.join('?' * len(names))}) "
                "ON CONFLICT(id) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}"
                            for name in names[1:]))

    def open(self):
        self.connection = sqlite3.connect(self.path, timeout=10,
                                          isolation_level=None)
        if self.connection.execute("SELECT 1 FROM sqlite_master WHERE "
                                   "type = 'view' AND name = 'connections'"
                                   ).fetchone():
            raise Wrong(f"{self.path} is a database of weir's own; give "
                        "another file")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        for text in SQLITE.values():
            self.connection.execute(text)

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def write(self, rows):
        try:
            if self.connection is None:
                self.open()
            self.connection.execute("BEGIN IMMEDIATE")
            for table, some in split(rows):
                self.connection.executemany(self.upsert(table), some)
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.close()
            raise Away(f"{self.path}: {error}") from None
