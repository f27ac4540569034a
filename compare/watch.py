"""Sees rows and offsets become visible, from a connection and a process of its own: `python -m compare.watch`.

What it asks is cheap whatever is being written: rows are looked up one by one by primary key, since a range, or the
largest key, would walk over every row that another session has not committed yet. A program commits the rows of a
partition in order, so the last row tells of all before it; that all are there is counted afterwards.

Times are seconds since 1970, taken when the answer is there.
"""

import json
import os
import sys
import time
from pathlib import Path

from harness import Database

TABLE_PARTITION = "kafka_partition"
TABLE_OFFSET = "kafka_offset"


class Session:
    """Queries of one row of whole numbers, at a tenth of what a driver's cursor costs this process."""

    def __init__(self, database, isolation):
        self.connection = database.connect()
        self.socket = self.connection._sock
        self.received = bytearray()
        self.numbers(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")

    def numbers(self, sql):
        """The numbers of the row, None where there is NULL; an empty list of a statement without rows."""
        query = b"\x03" + sql.encode()
        self.socket.sendall(len(query).to_bytes(3, "little") + b"\0" + query)
        head = self._packet()
        if head[0] == 0xFF:
            raise RuntimeError(f"{sql}: {bytes(head[9:]).decode(errors='replace')}")
        if head[0] == 0:
            return []
        self._until_end()
        row = self._packet()
        if row[0] == 0xFE:
            raise RuntimeError(f"{sql}: no row")
        self._until_end()
        return fields(row)

    def _until_end(self):
        while self._packet()[0] != 0xFE:
            pass

    def _packet(self):
        while len(self.received) < 4 or len(self.received) < 4 + int.from_bytes(self.received[:3], "little"):
            part = self.socket.recv(65_536)
            if not part:
                raise RuntimeError("the server has closed the connection")
            self.received += part
        size = 4 + int.from_bytes(self.received[:3], "little")
        packet = bytes(self.received[4:size])
        del self.received[:size]
        return packet


def fields(row):
    """The numbers of a row of MySQL's text protocol; each is shorter than 251 digits."""
    values, at = [], 0
    while at < len(row):
        if row[at] == 0xFB:
            values.append(None)
            at += 1
        else:
            end = at + 1 + row[at]
            values.append(int(row[at + 1 : end]))
            at = end
    return values


class Rows:
    """The visible rows of a table, by partition."""

    def __init__(self, session, table):
        self.session, self.table = session, table

    def are_there(self, offsets):
        """For each partition, whether its row with this offset is there."""
        probes = (
            f"(SELECT 1 FROM {self.table} WHERE {TABLE_PARTITION} = {p} AND {TABLE_OFFSET} = {o})"
            for p, o in enumerate(offsets)
        )
        return [found is not None for found in self.session.numbers(f"SELECT {', '.join(probes)}")]

    def ends(self):
        """How many rows of each partition are there. For tables without a large transaction on its way."""
        most = (f"(SELECT MAX({TABLE_OFFSET}) + 1 FROM {self.table} WHERE {TABLE_PARTITION} = {p})" for p in range(4))
        return [end or 0 for end in self.session.numbers(f"SELECT {', '.join(most)}")]

    def bisected_ends(self, limits):
        """The same, however much is on its way: `limits` are how many there can be."""
        low, high = [0] * len(limits), list(limits)
        while any(a < b for a, b in zip(low, high, strict=True)):
            middle = [(a + b) // 2 for a, b in zip(low, high, strict=True)]
            for p, found in enumerate(self.are_there(middle)):
                if low[p] < high[p]:
                    low[p], high[p] = (middle[p] + 1, high[p]) if found else (low[p], middle[p])
        return low


class Pace:
    """Waits between queries, and knows how long it really was from one to the next."""

    def __init__(self, seconds, timeout):
        self.seconds = seconds
        self.deadline = time.monotonic() + timeout
        self.before = None
        self.gaps = []

    def wait(self):
        time.sleep(self.seconds)
        now = time.monotonic()
        if self.before is not None:
            self.gaps.append(now - self.before)
        self.before = now
        return now < self.deadline

    def resolution_ms(self):
        gaps = sorted(self.gaps) or [0.0]
        return [round(gaps[min(len(gaps) - 1, int(len(gaps) * q))] * 1000, 3) for q in (0.5, 0.99)]


def catch_up(database, pace, table, ends):
    """When the first commit was seen and what was there then, and when all was there."""
    rows = Rows(Session(database, "REPEATABLE READ"), table)
    rows.session.numbers("SET autocommit = 0")
    wanted = [p for p, end in enumerate(ends) if end]
    first = None
    while pace.wait():
        # What is asked until COMMIT sees one moment.
        found = rows.are_there([0] * len(ends) if first is None else [end - 1 for end in ends])
        seen_at = time.time()
        if first is None and any(found):
            first = {"at": seen_at, "rows": sum(rows.bisected_ends(ends))}
            found = rows.are_there([end - 1 for end in ends])
        rows.session.numbers("COMMIT")
        if first is not None and all(found[p] for p in wanted):
            return {"first": first, "last": {"at": seen_at, "rows": sum(ends)}}
    return None


def follow(database, pace, table, total):
    """Every step of the visible ends of a table's partitions, until this many rows are there."""
    rows = Rows(Session(database, "READ COMMITTED"), table)
    ends, steps = rows.ends(), []
    while pace.wait():
        if any(rows.are_there(ends)):
            ends = rows.ends()
            steps.append([time.time(), ends])
            if sum(ends) >= total:
                return {"steps": steps}
    return None


def offsets(database, pace, job, total):
    """Every step of the offsets that a job has stored, until this many messages are done."""
    session = Session(database, "READ COMMITTED")
    sql = f"SELECT COALESCE(SUM(next_offset), 0) FROM realtime_offsets WHERE job = '{job}'"
    done, steps = 0, []
    while pace.wait():
        try:
            now = session.numbers(sql)[0]
        except RuntimeError as error:
            if "doesn't exist" not in str(error):
                raise
            # The job makes the table as it starts.
            continue
        if now != done:
            done = now
            steps.append([time.time(), done])
            if done >= total:
                return {"steps": steps}
    return None


WATCHES = {"catch_up": catch_up, "follow": follow, "offsets": offsets}


def main():
    options = json.loads(sys.argv[1])
    database = Database(os.environ["MYSQL_URL"], options["database"])
    pace = Pace(options["poll_seconds"], options["timeout_seconds"])
    print("watching", flush=True)
    seen = WATCHES[options["watch"]](database, pace, **options["of"])
    if seen is None:
        sys.exit(f"watch: not all was there within {options['timeout_seconds']} s")
    Path(options["answer"]).write_text(json.dumps({**seen, "resolution_ms": pace.resolution_ms()}))


if __name__ == "__main__":
    main()
