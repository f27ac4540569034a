"""Rows that are sent while the batch before commits: what they lock must not stand in its way for long."""

from avro import MOVEMENT, movement

COUNT = 20_000
CUSTOMERS = 10


def test_a_batch_waits_for_the_one_behind_it(new_job, new_topic, admin):
    """Loading a row makes a trigger lock another one, and the batch before wants to write that one. (A foreign key would
    do the same, but parents are written first, so nothing has to wait for a batch that is behind it.)"""
    topic = new_topic(partitions=2)
    job = new_job(
        topic,
        outputs={
            "counted": {"table": "counted", "mode": "append"},
            "latest": {"table": "latest", "mode": "upsert", "key": "customer"},
        },
    )
    job.write("schema.avsc", MOVEMENT)
    job.view("counted", f"SELECT customer AS n, customer % {CUSTOMERS} AS customer FROM batch")
    job.view(
        "latest",
        f"SELECT customer % {CUSTOMERS} AS customer, max(customer) AS n FROM batch GROUP BY customer % {CUSTOMERS}"
        " ORDER BY customer",
    )
    job.database.execute("CREATE TABLE latest (customer INT PRIMARY KEY, n INT NOT NULL)")
    job.database.execute("CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT, customer INT)")
    admin.execute(
        "CREATE TRIGGER locking BEFORE INSERT ON counted FOR EACH ROW"
        " SELECT n INTO @seen FROM latest WHERE customer = NEW.customer LOCK IN SHARE MODE"
    )
    # The batch before is slow at its first row, so the one behind has loaded rows by then.
    admin.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON latest FOR EACH ROW IF NEW.customer = 0 THEN DO SLEEP(1.5); END IF"
    )
    for customer in range(CUSTOMERS):
        job.database.execute(f"INSERT INTO latest VALUES ({customer}, -1)")
    topic.send_all(movement(n) for n in range(COUNT))
    # Less than the 30 s after which the server would end a session that waits.
    done = job.catch_up(timeout=25)
    assert "Lock wait timeout" in done.stderr, "no batch had to wait: this test shows nothing"
    assert job.database.rows("SELECT COUNT(*), COUNT(DISTINCT n), MAX(n) FROM counted") == [(COUNT, COUNT, COUNT - 1)]
    assert job.database.rows("SELECT COUNT(*), MIN(n) FROM latest") == [(CUSTOMERS, COUNT - CUSTOMERS)]
    assert job.database.value("SELECT COUNT(*) FROM dead_letters") == 0
