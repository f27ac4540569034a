"""The database's address moves to another server, as after a failover: the old one is still there, and read-only."""

import os
import random

import pytest

from harness import Database, terminate, wait_until
from proxy import Proxy
from rules import Accounts
from shipped import following, shipped_config, shipped_job
from test_state import PARTITIONS, assert_state, random_movements, send


@pytest.fixture
def second(database):
    """The same database on another server; it is empty."""
    if "MYSQL2_ADMIN_URL" not in os.environ or "MYSQL_ADMIN_URL" not in os.environ:
        pytest.skip("needs a second server: scripts/services up mysql2")
    second = Database(os.environ["MYSQL2_URL"], database.name)
    second.create()
    yield second
    second.drop()


def copy(source, target):
    """Copies all tables; nobody writes to them meanwhile."""
    for (table,) in source.rows("SHOW TABLES"):
        target.execute(source.rows(f"SHOW CREATE TABLE `{table}`")[0][1])
        rows = source.rows(f"SELECT * FROM `{table}`")
        if rows:
            places = ", ".join(["%s"] * len(rows[0]))
            with target.connect() as connection:
                connection.cursor().executemany(f"INSERT INTO `{table}` VALUES ({places})", rows)


@pytest.mark.outage
@pytest.mark.parametrize("follows", [True, False])
def test_the_old_server_is_read_only(new_job, new_topic, database, second, admin, follows):
    topic = new_topic(partitions=PARTITIONS, word="customer_movements")
    rng = random.Random(7)
    with Proxy(database.server_url) as address:
        job = shipped_job(new_job, topic)
        job.config["database"] = Database(address.url, database.name).url
        job.write("config.yaml", following(shipped_config(job), follows))
        accounts = Accounts()
        process = job.start()
        send(topic, random_movements(2_000, 300, rng.random()), accounts)
        job.wait_committed(topic.sent, 30, process)
        admin.execute("SET GLOBAL read_only = 1")
        try:
            send(topic, random_movements(500, 300, rng.random()), accounts)
            wait_until(lambda: "read-only" in process.stderr_text(), 30, process.stderr_text)
            copy(database, second)
            address.lead_to(second.server_url)
            for _ in range(3):
                send(topic, random_movements(500, 300, rng.random()), accounts)
                wait_until(lambda: second.committed(job.name) == topic.sent, 60, process.stderr_text)
            job.database = second
            assert_state(job, accounts)
            connected = f"SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{database.name}' AND user = 'realtime'"
            mine = 1 if database.connection else 0
            assert admin.value(connected) == mine, "the job is still connected to the old server"
            assert terminate(process) == 0, process.stderr_text()
            assert_state(job, accounts)
        finally:
            admin.execute("SET GLOBAL read_only = 0")
