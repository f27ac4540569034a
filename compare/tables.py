"""The tables that are written: the same for every program, emptied before each run, and compared after it."""

import time

import pymysql

from harness import Database, unique

TABLE = "classified_movements"
# Where MySQL should be before a run: what the run before has left in memory is written.
CALM_DIRTY_PAGES_MAX = 500
CALM_CHECKPOINT_BYTES_MAX = 32 << 20
CALM_SECONDS_MAX = 60

# The primary key is where the message stood: a row can be looked up by it, and one that comes twice is refused.
CREATE = f"""
CREATE TABLE {TABLE} (
  kafka_partition INT NOT NULL,
  kafka_offset BIGINT NOT NULL,
  kafka_timestamp DATETIME(3) NULL,
  customer INT NULL,
  agency VARCHAR(32) NULL,
  operation_value DOUBLE NULL,
  operation_type INT NULL,
  date VARCHAR(32) NULL,
  account_balance DOUBLE NULL,
  name VARCHAR(64) NULL,
  account_type VARCHAR(16) NULL,
  movement VARCHAR(64) NULL,
  reaction VARCHAR(96) NULL,
  PRIMARY KEY (kafka_partition, kafka_offset)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4
"""
COLUMNS = (
    "kafka_partition",
    "kafka_offset",
    "kafka_timestamp",
    "customer",
    "agency",
    "operation_value",
    "operation_type",
    "date",
    "account_balance",
    "name",
    "account_type",
    "movement",
    "reaction",
)
DURABILITY = ("innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin", "innodb_buffer_pool_size")


class Tables:
    def __init__(self, mysql_url, admin_url):
        self.database = Database(mysql_url, unique("realtime_compare"))
        self.admin = Database(admin_url, "mysql") if admin_url else None

    def make(self):
        self.database.create()
        self.empty()

    def empty(self):
        """An empty table, and a server that has nothing left to do."""
        self.database.execute(f"DROP TABLE IF EXISTS {TABLE}")
        self.database.execute(CREATE)
        self.settle()

    def settle(self):
        if self.admin:
            self.admin.execute("FLUSH BINARY LOGS")
            self.admin.execute("PURGE BINARY LOGS BEFORE NOW()")
        deadline = time.monotonic() + CALM_SECONDS_MAX
        while time.monotonic() < deadline and not self.is_calm():
            time.sleep(0.2)

    def is_calm(self):
        status = dict(
            self.database.rows(
                "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_buffer_pool_pages_dirty',"
                " 'Innodb_redo_log_current_lsn', 'Innodb_redo_log_checkpoint_lsn')"
            )
        )
        age = int(status.get("Innodb_redo_log_current_lsn", 0)) - int(status.get("Innodb_redo_log_checkpoint_lsn", 0))
        dirty = int(status["Innodb_buffer_pool_pages_dirty"])
        return dirty <= CALM_DIRTY_PAGES_MAX or age <= CALM_CHECKPOINT_BYTES_MAX

    def content(self):
        """What the rows are: their number, and sums over all columns that differ where any row differs."""
        values = ", ".join(f"COALESCE({column}, 'null')" for column in COLUMNS)
        count, crc_sum, crc_xor, values_sum, offsets_sum = self.database.rows(
            f"SELECT COUNT(*), COALESCE(SUM(crc), 0), BIT_XOR(crc), COALESCE(SUM(cents), 0), COALESCE(SUM(o), 0) FROM"
            f" (SELECT CRC32(CONCAT_WS('|', {values})) AS crc, CAST(ROUND(operation_value * 100) AS SIGNED) AS cents,"
            f" kafka_offset AS o FROM {TABLE}) t"
        )[0]
        return tuple(map(int, (count, crc_sum, crc_xor, values_sum, offsets_sum)))

    def arrivals(self):
        """(partition, offset, Kafka's timestamp, sent at) of all rows, times in seconds since 1970."""
        epoch = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {}) / 1e6"
        return self.database.rows(
            f"SELECT kafka_partition, kafka_offset, {epoch.format('kafka_timestamp')},"
            f" {epoch.format('CAST(date AS DATETIME(6))')} FROM {TABLE} ORDER BY 1, 2"
        )

    def variables(self):
        """How the server is set up to make commits durable, as it says itself."""
        names = ", ".join(f"'{name}'" for name in DURABILITY)
        return dict(self.database.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})"))

    def version(self):
        return self.database.value("SELECT VERSION()")

    def close(self):
        try:
            self.database.drop()
        except pymysql.Error:
            pass
