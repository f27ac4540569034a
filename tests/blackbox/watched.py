"""The shipped job, watched: it serves its page and its metrics, and messages arrive at a steady rate."""

import socket

from shipped import shipped_job

RATE = 500
SECONDS_MAX = 240


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watched_job(new_job, topic, customer=None):
    """Starts the job and its messages. `customer` is the name that all customers have."""
    listens = f"127.0.0.1:{free_port()}"
    job = shipped_job(new_job, topic, http=listens)
    job.address = f"http://{listens}/"
    if customer is not None:
        accounts = job.folder / "data" / "accounts.csv"
        head, *rows = accounts.read_text(encoding="utf-8").splitlines()
        place = head.split(",").index("name")
        named = [",".join([*row.split(",")[:place], customer, *row.split(",")[place + 1 :]]) for row in rows]
        accounts.write_text("\n".join([head, *named]) + "\n", encoding="utf-8")
    job.run("generate", "--messages", str(RATE * SECONDS_MAX), "--out", "movements.json")
    job.start_command("produce", "movements.json", "--rate", str(RATE))
    job.wait_committed(RATE, 60, job.start())
    return job
