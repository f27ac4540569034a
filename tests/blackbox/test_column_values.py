"""What a column of a table that was there before makes of a value: it stores it as it is, or the message becomes a dead letter."""

import os

import pytest

from avro import string, varint
from harness import Database, unique

NUMBERED = {
    "type": "record",
    "name": "Numbered",
    "fields": [{"name": "id", "type": "long"}, {"name": "v", "type": "string"}],
}


@pytest.fixture
def mariadb():
    if "MARIADB_URL" not in os.environ:
        pytest.skip("needs MARIADB_URL: scripts/services up mariadb")
    database = Database(os.environ["MARIADB_URL"], unique("realtime"))
    database.create()
    yield database
    database.drop()
    database.close()


def message(number, text):
    return varint(number) + string(text)


def numbered_job(new_job, topic, mode=None, **config):
    outputs = {"t": {"table": "t", **(mode or {"mode": "append"})}}
    job = new_job(topic, reference_tables={}, state_tables={}, outputs=outputs, **config)
    job.write("schema.avsc", NUMBERED)
    job.view("t", "SELECT id, v, kafka_partition AS p, kafka_offset AS o FROM batch")
    return job


def stored(database):
    return [text for (text,) in database.rows("SELECT v FROM t ORDER BY o")]


def letters(database):
    return [offset for (offset,) in database.rows("SELECT kafka_offset FROM dead_letters ORDER BY 1")]


def made(database, column, more=""):
    database.execute(f"CREATE TABLE t (id BIGINT, v {column}, p INT, o BIGINT{more})")


def test_zero_is_a_value_of_a_numbered_column(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = numbered_job(new_job, topic)
    made(database, "VARCHAR(9)")
    database.execute("ALTER TABLE t MODIFY id BIGINT AUTO_INCREMENT PRIMARY KEY")
    count = 400
    topic.send_all(message(n, "x") for n in range(count))
    job.catch_up()
    assert [n for (n,) in database.rows("SELECT id FROM t ORDER BY o")] == list(range(count))
    assert letters(database) == []


def test_numbers_are_no_places_of_words(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = numbered_job(new_job, topic)
    made(database, "ENUM('new','paid','sent')")
    texts = ["2", "paid", "0", "+1", "sent", "01", "2 "]
    topic.send_all(message(n, text) for n, text in enumerate(texts))
    job.catch_up()
    assert stored(database) == ["paid", "sent"]
    assert letters(database) == [0, 2, 3, 5, 6]
    reason = database.value("SELECT reason FROM dead_letters WHERE kafka_offset = 0")
    assert '"2" is none of the column\'s words' in reason, reason


def test_rows_that_an_index_over_an_expression_refuses(new_job, new_topic, database):
    for column, more in [
        ("JSON", ", INDEX mv ((CAST(v->'$' AS CHAR(3) ARRAY)))"),
        ("VARCHAR(20)", ", INDEX f ((CAST(v AS CHAR(6))))"),
    ]:
        topic = new_topic(partitions=1)
        job = numbered_job(new_job, topic, create_tables="all")
        database.execute("DROP TABLE IF EXISTS t, dead_letters")
        made(database, column, more)
        topic.send_all([message(0, '["a"]'), message(1, '["abcd"]'), message(2, '["b"]')])
        job.catch_up()
        assert stored(database) == ['["a"]', '["b"]'], column
        assert letters(database) == [1], column


def test_a_trigger_may_refuse_a_row_by_any_number(new_job, new_topic, database, admin):
    for signal in [
        "SQLSTATE '45000' SET MESSAGE_TEXT = 'no', MYSQL_ERRNO = 30001",
        "SQLSTATE '45000' SET MESSAGE_TEXT = 'no', MYSQL_ERRNO = 1205",
        "SQLSTATE '02000' SET MESSAGE_TEXT = 'no'",
    ]:
        topic = new_topic(partitions=1)
        job = numbered_job(new_job, topic)
        database.execute("DROP TABLE IF EXISTS t, dead_letters")
        made(database, "VARCHAR(9)")
        # The job's user may not make triggers where the binary log is on.
        admin.execute(
            f"CREATE TRIGGER `{database.name}`.refuse BEFORE INSERT ON `{database.name}`.t FOR EACH ROW"
            f" IF NEW.v = 'bad' THEN SIGNAL {signal}; END IF"
        )
        topic.send_all([message(0, "a"), message(1, "bad"), message(2, "b")])
        job.catch_up()
        assert stored(database) == ["a", "b"], signal
        assert letters(database) == [1], signal


def test_no_row_of_another_key_is_updated_when_the_numbers_run_out(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = numbered_job(new_job, topic, mode={"mode": "upsert", "key": "v"}, batch_rows_max=1)
    job.view("t", "SELECT id, v, kafka_partition, kafka_offset FROM batch")
    database.execute(
        "CREATE TABLE t (no TINYINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9) NOT NULL UNIQUE, id BIGINT)"
    )
    database.execute("INSERT INTO t (no, v) VALUES (254, 'before')")
    topic.send_all(message(n, f"n{n}") for n in range(4))
    done = job.run("run", "--until-caught-up", "--progress", "none", expect=1)
    assert "AUTO_INCREMENT column may have run out: change it to BIGINT UNSIGNED" in done.stderr, done.stderr
    assert database.rows("SELECT no, v FROM t ORDER BY no") == [(254, "before"), (255, "n0")]
    database.execute("ALTER TABLE t MODIFY no BIGINT UNSIGNED AUTO_INCREMENT")
    job.catch_up()
    assert [text for (text,) in database.rows("SELECT v FROM t ORDER BY no")] == ["before", "n0", "n1", "n2", "n3"]


@pytest.mark.outage
def test_a_limit_on_the_rows_of_queries(new_job, new_topic, database, admin):
    topic = new_topic(partitions=1)
    count = 50
    ref = {"table": "ref"}
    job = numbered_job(new_job, topic)
    job.write_config(reference_tables={"whole": ref, "keyed": {**ref, "key": "no", "matches": "id"}})
    database.execute("CREATE TABLE ref (no BIGINT PRIMARY KEY, name VARCHAR(9))")
    database.execute("INSERT INTO ref VALUES " + ",".join(f"({n}, 'n{n}')" for n in range(count)))
    job.view(
        "t",
        "SELECT b.id, w.name AS w, k.name AS k, b.kafka_offset AS o FROM batch b"
        " LEFT JOIN whole w ON w.no = b.id LEFT JOIN keyed k ON k.no = b.id",
    )
    topic.send_all(message(n, "x") for n in range(count))
    before = admin.value("SELECT @@global.sql_select_limit")
    admin.execute("SET GLOBAL sql_select_limit = 2")
    try:
        job.catch_up()
    finally:
        admin.execute(f"SET GLOBAL sql_select_limit = {before}")
    expected = [(f"n{n}", f"n{n}") for n in range(count)]
    assert list(database.rows("SELECT w, k FROM t ORDER BY o")) == expected


def test_an_older_row_behind_a_deletion(new_job, new_topic, database):
    """Nothing remembers a deletion, in one batch as in many."""
    for rows_max in (1, 1000):
        topic = new_topic(partitions=1)
        job = numbered_job(
            new_job, topic, mode={"mode": "upsert", "key": "k", "only_newer": "id"}, batch_rows_max=rows_max
        )
        database.execute("DROP TABLE IF EXISTS t")
        job.view("t", "SELECT 'k' AS k, id, v, v = 'd' AS _delete, kafka_partition, kafka_offset FROM batch")
        rows = [(5, "x"), (3, "d"), (5, "d"), (4, "y"), (9, "z"), (8, "d"), (9, "d"), (1, "q")]
        topic.send_all(message(version, text) for version, text in rows)
        job.catch_up()
        assert database.rows("SELECT id, v FROM t") == [(1, "q")], rows_max


def test_properties_that_would_leave_a_job_waiting(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = numbered_job(new_job, topic, kafka_properties={"statistics.interval.ms": 0})
    assert "statistics.interval.ms" in job.run("check", expect=78).stderr
    job.write_config(kafka_properties={"max.poll.interval.ms": 30000})
    job.run("check")
    topic.send_all([message(1, "x")])
    job.catch_up()
    job.write_config(kafka_properties={"max.poll.interval.ms": 5000})
    for code, command in ((78, ["check"]), (1, ["run", "--until-caught-up"])):
        assert "max.poll.interval.ms" in job.run(*command, expect=code).stderr, command


def test_two_spellings_of_one_key(new_job, new_topic, mariadb):
    """The last message wins, in one batch as in many."""
    spellings = {
        "UUID": ["550E8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000"],
        "INET6": ["0:0:0:0:0:0:0:1", "::1"],
    }
    for kind, (first, second) in spellings.items():
        for rows_max in (1, 1000):
            topic = new_topic(partitions=1)
            job = numbered_job(
                new_job, topic, mode={"mode": "upsert", "key": "v"}, batch_rows_max=rows_max, database=mariadb
            )
            mariadb.execute("DROP TABLE IF EXISTS t")
            mariadb.execute(f"CREATE TABLE t (v {kind} NOT NULL PRIMARY KEY, id BIGINT)")
            job.view("t", "SELECT v, id, id < 0 AS _delete, kafka_partition, kafka_offset FROM batch")
            sent = [(1, first), (-1, second), (2, second), (-1, first), (3, second), (4, first)]
            topic.send_all(message(number, text) for number, text in sent)
            job.catch_up()
            assert [number for (number,) in mariadb.rows("SELECT id FROM t")] == [4], (kind, rows_max)
