"""docs/existing-tables.md, followed word by word: its schema, tables, views and configuration, over a topic of one's own."""

import json
import random
import re
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from avro import string, varint

PAGE = Path(__file__).parents[2] / "docs" / "existing-tables.md"
STATUSES = ("NEW", "PAID", "SENT")
CITIES = ("Faro", "Lisboa", "Vila Nova de Gaia", "Évora")
BROKEN = 20
FIRST_MS = 1_767_225_600_000


def files_of_page():
    """The files by their paths, and the statements of the tables."""
    page = PAGE.read_text(encoding="utf-8")
    files = dict(re.findall(r"^`([^`\n]+)`[^\n]*:\n\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    tables = re.findall(r"^CREATE TABLE .*?;$", page, re.MULTILINE | re.DOTALL)
    return files, tables


def cents(number):
    """A decimal with a scale of 2, as Avro's bytes."""
    data = number.to_bytes(8, "big", signed=True)
    return varint(len(data)) + data


def nullable(text):
    return varint(0) if text is None else varint(1) + string(text)


class Order:
    def __init__(self, random, number, time_ms):
        self.number, self.time_ms = number, time_ms
        self.name, self.city = f"Ana {number}", random.choice(CITIES)
        self.zip = random.choice((None, "8000-001"))
        self.note = random.choice((None, "", "por favor à noite"))
        self.total, self.status = random.randrange(-5_000, 10**9), random.randrange(3)
        self.lines = [(f"S{random.randrange(99)}", random.randrange(9), random.randrange(10**6)) for _ in range(random.randrange(4))]

    def payload(self):
        lines = b"".join(string(sku) + varint(quantity) + cents(price) for sku, quantity, price in self.lines)
        lines = varint(len(self.lines)) + lines + varint(0) if self.lines else varint(0)
        buyer = string(self.name) + string(self.city) + nullable(self.zip)
        return (
            string(self.number) + buyer + nullable(self.note) + cents(self.total) + varint(self.status) + varint(self.time_ms) + lines
        )

    def row(self):
        detail = {"name": self.name, "address": {"city": self.city, "zip": self.zip}}
        changed = datetime(1970, 1, 1) + timedelta(milliseconds=self.time_ms)
        money = Decimal(self.total).scaleb(-2)
        state = STATUSES[self.status].lower()
        return (self.number, self.name, self.city, self.zip, self.note, money, state, detail, changed)

    def children(self):
        numbered = enumerate(self.lines, 1)
        return [(self.number, place, sku, quantity, Decimal(price).scaleb(-2)) for place, (sku, quantity, price) in numbered]


def test_the_page_about_existing_tables(new_job, new_topic, database, full):
    files, tables = files_of_page()
    assert len(tables) == 2 and set(files) == {"schema.avsc", "sql/orders.sql", "sql/order_lines.sql", "config.yaml"}
    for statement in tables:
        database.execute(statement)
    topic = new_topic(partitions=3)
    job = new_job(topic)
    configuration = (job.folder / "config.yaml").read_text(encoding="utf-8")
    for path, text in files.items():
        job.write(path, configuration + text if path == "config.yaml" else text)
    warned = job.run("check").stderr
    assert "differ only in case or accents" in warned and "error" not in warned, warned

    rng = random.Random(14)
    count = 50_000 if full else 2_000
    broken = set(rng.sample(range(count), BROKEN))
    last = {}
    for n in range(count):
        # Some orders come again at once, and some much later.
        number = f"A-{rng.randrange(count // 2)}" if n % 5 else f"A-{n}"
        order = Order(rng, number, FIRST_MS + n)
        repeats = 2 if n % 50 == 0 and n not in broken else 1
        for _ in range(repeats):
            payload = order.payload()
            if n in broken:
                payload = payload[: len(payload) // 2]
            else:
                last[number] = order
            # An order keeps to its partition.
            topic.send(payload, partition=hash_of(number) % 3)
            order = Order(rng, number, FIRST_MS + n + 1)
    topic.flush()
    job.catch_up(timeout=600)

    letters = database.rows("SELECT stage, COUNT(*) FROM dead_letters GROUP BY stage")
    assert letters == [("decode", BROKEN)], letters
    columns = "orderNumber, customerName, town, zip, remark, amount, state, detail, changed"
    rows = database.rows(f"SELECT {columns} FROM legacy_orders ORDER BY orderNumber")
    rows = [(*row[:7], json.loads(row[7]), row[8]) for row in rows]
    assert sorted(rows, key=lambda row: row[0]) == [last[number].row() for number in sorted(last)]
    children = database.rows("SELECT order_no, line_no, sku, quantity, price FROM legacy_lines")
    assert sorted(children) == sorted(child for order in last.values() for child in order.children())

    # What a table does not take is said with the value.
    late = Order(rng, "A-late", 2**42)
    topic.send(late.payload(), partition=0)
    topic.flush()
    job.catch_up()
    reason = database.value("SELECT reason FROM dead_letters WHERE place = 'legacy_orders.changed'")
    assert reason.startswith("2109-05-15 07:35:11.104000 is out of range, TIMESTAMP takes"), reason


def hash_of(text):
    return sum(text.encode())
