"""Message times that no database can hold: what becomes of a message does not depend on how the batch was cut."""

import pytest

from avro import COUNTING_VIEW, MOVEMENT, movement

FAR = 10**17
STATE_VIEW = """
SELECT b.customer, max(coalesce(s.seen, 0)) + count(*) AS seen
FROM batch b LEFT JOIN counts s ON s.customer = b.customer
GROUP BY b.customer
"""


@pytest.mark.parametrize("framed", [{}, {"kafka_timestamp": True}])
def test_a_time_beyond_all_years_is_none_however_the_batch_is_cut(new_job, new_topic, framed):
    found = []
    topic = new_topic(partitions=1, **{"message.timestamp.after.max.ms": str(2**63 - 1)})
    for index, time in enumerate([1_700_000_000_000, FAR, 1_700_000_001_000, None, FAR, 1_700_000_002_000]):
        topic.send(movement(index % 2), timestamp=time)
    topic.flush()
    view = COUNTING_VIEW.replace("SELECT", "SELECT kafka_timestamp AS at, ") if framed else COUNTING_VIEW
    for rows in (1, 2, 3, 100):
        job = new_job(
            topic,
            batch_rows_max=rows,
            reference_tables={},
            state_tables={"counts": {"view": "next_counts", "key": "customer"}},
            outputs={"counted": {"table": "counted", "mode": "append"}},
        )
        job.write("schema.avsc", MOVEMENT)
        job.view("counted", view)
        job.view("next_counts", STATE_VIEW)
        job.catch_up()
        database = job.database
        assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
        found.append((database.rows("SELECT customer, seen FROM counts ORDER BY 1"), database.rows("SELECT * FROM counted ORDER BY o")))
        for table in ("counted", "counts"):
            database.execute(f"DROP TABLE {table}")
    assert found[0][0] == [(0, 3), (1, 3)]
    if framed:
        assert [row[0] is None for row in found[0][1]] == [False, True, False, False, True, False]
    assert all(other == found[0] for other in found)
