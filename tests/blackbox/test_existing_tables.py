"""Tables that were there before the job: they number their rows, compare keys loosely, have columns of their own."""

from avro import string, varint

CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "fields": [
        {"name": "customer_no", "type": "string"},
        {"name": "name", "type": "string"},
        {"name": "city", "type": ["null", "string"]},
        {"name": "version", "type": "long"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
CUSTOMERS = """
CREATE TABLE customers (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_no VARCHAR(32) NOT NULL,
  name VARCHAR(100) NOT NULL,
  city ENUM('Faro', 'Lisboa', 'Porto') NULL,
  version BIGINT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  UNIQUE KEY uk_customer_no (customer_no)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci
"""
TAGS = """
SELECT customer_no, tag, false AS _delete, kafka_partition, kafka_offset
FROM (SELECT customer_no, kafka_partition, kafka_offset, unnest(tags) AS tag FROM batch)
UNION ALL
SELECT customer_no, NULL AS tag, true AS _delete, kafka_partition, kafka_offset FROM batch WHERE cardinality(tags) = 0
"""


def customer(number, name, city=None, version=1, tags=()):
    place = varint(0) if city is None else varint(1) + string(city)
    array = varint(len(tags)) + b"".join(string(tag) for tag in tags) + varint(0) if tags else varint(0)
    return string(number) + string(name) + place + varint(version) + array


def customers_job(new_job, topic, database, **options):
    database.execute(CUSTOMERS)
    database.execute("INSERT INTO customers (customer_no, name, city) VALUES ('C-0', 'was there before', 'Faro')")
    database.execute(
        "CREATE TABLE orders_of_others (id BIGINT NOT NULL PRIMARY KEY, customer_id BIGINT UNSIGNED NOT NULL,"
        " FOREIGN KEY (customer_id) REFERENCES customers (id))"
    )
    database.execute("INSERT INTO orders_of_others VALUES (1, 1)")
    outputs = {"customers": {"table": "customers", "mode": "upsert", "key": "customer_no", **options}}
    job = new_job(topic, reference_tables={}, state_tables={}, outputs=outputs, create_tables="own")
    job.write("schema.avsc", CUSTOMER)
    job.view("customers", "SELECT customer_no, name, city, version, kafka_partition, kafka_offset FROM batch")
    return job


def stored(database):
    return database.rows("SELECT customer_no, name, city FROM customers ORDER BY customer_no")


def test_customers_that_others_refer_to(new_job, new_topic, database):
    """They keep their numbers, and the last message of each is what stands, whatever a batch holds."""
    topic = new_topic(partitions=1)
    job = customers_job(new_job, topic, database)
    warned = job.run("check", expect=0).stderr
    assert "keys that differ only in case or accents as equal" in warned, warned
    topic.send_all([customer("C-1", "Ana", "Lisboa"), customer("C-2", "Rui"), customer("C-0", "renamed", "Faro")])
    job.catch_up()
    numbers = dict(database.rows("SELECT customer_no, id FROM customers"))
    topic.send_all([customer("C-1", "Ana Maria", "Porto"), customer("c-1", "Ana Maria", "Lisboa")])
    job.catch_up()
    assert stored(database) == [("C-0", "renamed", "Faro"), ("C-1", "Ana Maria", "Lisboa"), ("C-2", "Rui", None)]
    assert dict(database.rows("SELECT customer_no, id FROM customers")) == numbers
    assert numbers["C-0"] == 1 and database.value("SELECT COUNT(*) FROM dead_letters") == 0


def test_a_reset_brings_no_old_value_back(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = customers_job(new_job, topic, database, only_newer="version")
    topic.send_all([customer("C-1", "old", "Faro", 1), customer("C-1", "new", "Porto", 3)])
    topic.send_all([customer("C-1", "late", None, 2)])
    job.catch_up()
    database.execute("UPDATE customers SET name = 'by hand', version = 4 WHERE customer_no = 'C-1'")
    done = job.run("offsets", "reset", "--to", "earliest", "--yes", expect=0)
    assert "overwritten, except newer ones" in done.stderr, done.stderr
    job.catch_up()
    assert stored(database)[1] == ("C-1", "by hand", "Porto")
    # The word that the column does not have is said, with those it has.
    topic.send_all([customer("C-1", "refused", "Braga", 5), customer("C-1", "good", "Porto", 5)])
    topic.send_all([customer("C-3", "x", "Braga")])
    job.catch_up()
    assert stored(database)[1] == ("C-1", "good", "Porto")
    reason = database.value("SELECT MAX(reason) FROM dead_letters WHERE place = 'customers.city'")
    assert "found \"Braga\", the column is enum('Faro','Lisboa','Porto')" in reason, reason


def test_children_of_a_parent(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = customers_job(new_job, topic, database)
    tags = {"mode": "replace", "key": ["customer_no", "tag"], "parent": "customer_no", "columns": {"tag": "VARCHAR(9)"}}
    job.write_config(outputs={"tags": tags}, create_tables="all")
    job.view("tags", TAGS)
    topic.send_all([customer("C-1", "", tags=["a", "b"]), customer("C-2", "", tags=["a"])])
    topic.send_all([customer("C-3", "", tags=["z"])])
    job.catch_up()
    topic.send_all([customer("C-1", "", tags=["x"]), customer("C-1", "", tags=["b", "c"]), customer("C-2", "")])
    # A message whose elements are one key twice, and one with an element that is too long: what was before them stands.
    topic.send_all([customer("C-1", "", tags=["d", "d"]), customer("C-3", "", tags=["0123456789"])])
    job.catch_up()
    rows = database.rows("SELECT customer_no, tag FROM tags ORDER BY 1, 2")
    assert rows == [("C-1", "b"), ("C-1", "c"), ("C-3", "z")]
    reasons = database.rows("SELECT place, reason FROM dead_letters ORDER BY kafka_offset")
    assert len(reasons) == 2 and "two rows of one message have the key" in reasons[0][1], reasons
    assert reasons[1][0] == "tags.tag", reasons


def test_lengths_and_indexes_are_proposed_from_messages(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = new_job(
        topic,
        reference_tables={"names": {"file": "names.csv", "key": "no", "matches": "customer_no"}},
        state_tables={},
        outputs={"seen": {"table": "seen", "mode": "append"}},
    )
    job.write("schema.avsc", CUSTOMER)
    job.write("names.csv", "no,title\nC-1,Dr\n")
    job.view(
        "seen",
        "SELECT b.kafka_partition, b.kafka_offset, b.customer_no, b.name, n.title"
        " FROM batch b LEFT JOIN names n ON n.no = b.customer_no",
    )
    topic.send_all([customer("C-1", "x" * 30), customer("C-2", "y")])
    done = job.run("check", "--sample", expect=0)
    proposed = "columns: { customer_no: VARCHAR(10), name: VARCHAR(80), title: VARCHAR(10) }, indexes: [[customer_no]]"
    assert f"  seen: {{ {proposed} }}" in done.stdout, done.stdout
    assert database.rows("SHOW TABLES") == []
    # A table that exists is not proposed, but compared.
    database.execute(
        "CREATE TABLE seen (kafka_partition INT, kafka_offset BIGINT, customer_no VARCHAR(10), name VARCHAR(20), title TEXT)"
    )
    done = job.run("check", "--sample", expect=0)
    assert "outputs:" not in done.stdout and "of the last 2 messages" in done.stdout, done.stdout
    assert "seen: too long, so its message becomes a dead letter: name 30 of 20 characters" in done.stdout, done.stdout
    assert "seen: fits: customer_no 3 of 10 characters" in done.stdout, done.stdout


def test_the_first_of_equal_keys_names_the_row(new_job, new_topic, database):
    """Whatever their versions are, as if the messages came in batches of their own."""
    topic = new_topic(partitions=1)
    job = customers_job(new_job, topic, database, only_newer="version")
    topic.send_all([customer("C-7", "newer", "Faro", 9), customer("c-7", "older", "Porto", 8)])
    job.catch_up()
    assert stored(database)[1:] == [("C-7", "newer", "Faro")]


def test_a_primary_key_that_the_server_makes(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = customers_job(new_job, topic, database)
    database.execute("DROP TABLE orders_of_others, customers")
    number = "id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY"
    database.execute(CUSTOMERS.replace(number, "id CHAR(36) NOT NULL DEFAULT (UUID()) PRIMARY KEY"))
    topic.send_all([customer("C-1", "old", "Faro"), customer("C-2", "Rui"), customer("C-1", "new", "Porto")])
    job.catch_up()
    assert stored(database) == [("C-1", "new", "Porto"), ("C-2", "Rui", None)]
