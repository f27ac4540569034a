"""Rows that MySQL refuses, or refuses in the wrong order: foreign keys between outputs, and many bad rows in large batches."""

import re

import pytest

from avro import movement, string, varint
from counting import counting_job

ORDER = {
    "type": "record",
    "name": "OrderEvent",
    "fields": [
        {"name": "order_id", "type": "long"},
        {"name": "customer", "type": "string"},
        {"name": "cancelled", "type": "boolean"},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [
                        {"name": "no", "type": "int"},
                        {"name": "sku", "type": "string"},
                        {"name": "qty", "type": "int"},
                    ],
                },
            },
        },
    ],
}
ORDERS = "SELECT order_id, customer, cancelled AS _delete, kafka_partition, kafka_offset FROM batch"
ITEMS = """SELECT o.order_id, o.line['no'] AS line_no, o.line['sku'] AS sku, o.line['qty'] AS qty, o.cancelled AS _delete, o.kafka_partition, o.kafka_offset
FROM (SELECT order_id, cancelled, kafka_partition, kafka_offset, unnest(lines) AS line FROM batch) o"""


def order(number, customer, skus, cancelled=False):
    lines = b"".join(varint(place) + string(sku) + varint(1) for place, sku in enumerate(skus))
    array = varint(len(skus)) + lines + varint(0) if skus else varint(0)
    return varint(number) + string(customer) + bytes([cancelled]) + array


@pytest.mark.parametrize("children_first", [True, False])
def test_foreign_keys_between_outputs(new_job, new_topic, database, children_first):
    topic = new_topic(partitions=1)
    outputs = {
        "items": {"table": "items", "mode": "upsert", "key": ["order_id", "line_no"]},
        "orders": {"table": "orders", "mode": "upsert", "key": "order_id"},
    }
    names = sorted(outputs, reverse=not children_first)
    job = new_job(topic, outputs={name: outputs[name] for name in names})
    job.write("schema.avsc", ORDER)
    job.view("orders", ORDERS)
    job.view("items", ITEMS)
    database.execute("CREATE TABLE orders (order_id BIGINT NOT NULL PRIMARY KEY, customer VARCHAR(60) NOT NULL)")
    database.execute(
        "CREATE TABLE items (order_id BIGINT NOT NULL, line_no INT NOT NULL, sku VARCHAR(40) NOT NULL, qty INT NOT NULL,"
        " PRIMARY KEY (order_id, line_no), FOREIGN KEY (order_id) REFERENCES orders (order_id))"
    )
    topic.send_all([order(1, "Ana", "ab"), order(2, "Rui", "c")])
    job.catch_up()
    topic.send_all([order(1, "Ana", "ab", cancelled=True), order(3, "Eva", "d"), order(2, "Rui", "e")])
    job.catch_up()
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    assert database.rows("SELECT order_id FROM orders ORDER BY 1") == [(2,), (3,)]
    assert database.rows("SELECT order_id, sku FROM items ORDER BY 1") == [(2, "e"), (3, "d")]


def test_many_refused_rows_cost_few_batches(new_job, new_topic, database, figure):
    """Each 60th row is a duplicate. With halving, each of them cost about six batches."""
    count = 20_000
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(count))
    # Another job has written these rows already.
    database.execute(
        "CREATE TABLE counted (n INT PRIMARY KEY, operation_value DOUBLE, kafka_topic LONGTEXT, p INT, o BIGINT)"
    )
    bad = list(range(0, count, 60))
    with database.connect() as connection:
        connection.cursor().executemany("INSERT INTO counted (n) VALUES (%s)", [(n,) for n in bad])
    done = job.catch_up("--timings")
    batches = int(re.search(r"batches=(\d+)", done.stderr).group(1))
    figure(f"{len(bad)} refused rows of {count}: {batches} batches")
    assert batches <= 40, done.stderr
    assert database.value("SELECT COUNT(*) FROM dead_letters") == len(bad)
    assert database.value("SELECT COUNT(*) FROM counted WHERE p IS NOT NULL") == count - len(bad)
