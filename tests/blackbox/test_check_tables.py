"""`check` says of the tables what `run` would meet, before the first message."""

from urllib.parse import urlsplit

import pytest

from avro import MOVEMENT, movement
from harness import unique

COLOURS = {"type": "enum", "name": "Colour", "symbols": ["red", "green", "blue"]}


def table_job(new_job, topic, schema, view, table="things", **config):
    job = new_job(
        topic,
        reference_tables={},
        state_tables={},
        outputs={"things": {"table": table, "mode": "append"}},
        **config,
    )
    job.write("schema.avsc", schema)
    job.view("things", view)
    return job


def messages_of(done):
    return (done.stdout + done.stderr).replace("\n", " ")


def test_a_table_wider_than_the_server_takes(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    fields = [{"name": f"f{n}", "type": ["null", "string"]} for n in range(240)]
    job = table_job(new_job, topic, {"type": "record", "name": "Wide", "fields": fields}, "SELECT * FROM batch")
    said = "view `things` has 246 columns, which take up to"
    for command in (["check"], ["run", "--until-caught-up", "--progress", "none"]):
        done = job.run(*command, expect=78)
        assert said in messages_of(done) and "InnoDB takes fewer than 8126" in messages_of(done)
        assert "write some of them to a second table by another view" in messages_of(done)
    # As many as the server takes pass both.
    job.view("things", f"SELECT {', '.join(f'f{n}' for n in range(196))} FROM batch")
    job.run("check")
    job.catch_up()
    assert len(database.columns("things")) == 197
    # A table that is there is as wide as somebody has made it.
    job.view("things", f"SELECT {', '.join(f'f{n}' for n in range(197))} FROM batch")
    database.execute("DROP TABLE things")
    columns = ", ".join(f"f{n} VARCHAR(5)" for n in range(197))
    database.execute(f"CREATE TABLE things (id BIGINT AUTO_INCREMENT PRIMARY KEY, {columns})")
    assert "InnoDB takes" not in messages_of(job.run("check", expect=0))
    job.catch_up()


def test_a_user_who_may_not_create_tables(new_job, new_topic, database, admin):
    topic = new_topic(partitions=1)
    topic.send_all([movement(1)])
    user = unique("user")[:30]
    admin.execute(f"CREATE USER `{user}`@`%` IDENTIFIED BY 'x'")
    try:
        admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{database.name}`.* TO `{user}`@`%`")
        server = urlsplit(database.url).netloc.rpartition("@")[2]
        job = table_job(new_job, topic, MOVEMENT, "SELECT customer FROM batch")
        job.write_config(database=f"mysql://{user}:x@{server}/{database.name}")
        checked = messages_of(job.run("check", expect=78))
        ran = messages_of(job.run("run", "--until-caught-up", "--progress", "none", expect=78))
        for table in ("realtime_offsets", "dead_letters", "things"):
            for said in (checked, ran):
                assert "cannot be created: mysql error 1142" in said, said
                assert f"for table '{table}'" in said and "hint: GRANT the right" in said, said
        assert database.rows("SHOW TABLES") == []
    finally:
        admin.execute(f"DROP USER `{user}`@`%`")


def test_an_enum_that_lacks_a_symbol(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    schema = {"type": "record", "name": "T", "fields": [{"name": "colour", "type": ["null", COLOURS]}]}
    job = table_job(new_job, topic, schema, "SELECT colour, upper(colour) AS other FROM batch")
    enum = "ENUM('red', 'Green') CHARACTER SET utf8mb4 NULL"
    database.execute(f"CREATE TABLE things (id BIGINT AUTO_INCREMENT PRIMARY KEY, colour {enum}, other {enum})")
    done = messages_of(job.run("check", expect=0))
    assert "table things.colour: its ENUM lacks blue of the Avro enum" in done, done
    assert "MODIFY colour ENUM('red', 'Green', 'blue')" in done, done
    assert "things.other: its ENUM" not in done
    database.execute("ALTER TABLE things MODIFY colour ENUM('red', 'Green', 'blue')")
    assert "its ENUM" not in messages_of(job.run("check", expect=0))


@pytest.mark.parametrize(("there", "is_meant"), [("movements", True), ("payments", False), ("movments2", False)])
def test_a_misspelt_table(new_job, new_topic, database, there, is_meant):
    topic = new_topic(partitions=1)
    database.execute(f"CREATE TABLE {there} (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer INT)")
    job = table_job(new_job, topic, MOVEMENT, "SELECT customer FROM batch", table="movments")
    done = messages_of(job.run("check", expect=0))
    assert (f"did you mean `{there}`, which is there?" in done) == is_meant, done
    job.write_config(create_tables="own")
    for command in (("check",), ("run", "--until-caught-up", "--progress", "none")):
        done = messages_of(job.run(*command, expect=78))
        assert "no such table, and `create_tables` does not let the job create it" in done, done
        assert (f"hint: did you mean `{there}`, which is there? If not, create it" in done) == is_meant, done
