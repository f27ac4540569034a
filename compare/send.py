"""Sends movements at an even pace, from a process of its own: `python -m compare.send`.

Each message is handed to the producer when it is due; its `date` is the moment of that, in
microseconds, since Kafka's timestamp has milliseconds.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime

from compare.topic import Movements, producer

FLUSH_SECONDS_MAX = 60


def main():
    options = json.loads(sys.argv[1])
    rate, total = options["rate"], options["total"]
    sender = producer(os.environ["KAFKA_SERVER"], **{"linger.ms": options["linger_ms"]})
    # Connections are there before the first message is due.
    sender.list_topics(options["topic"], timeout=10)
    movements = Movements(options["seed"])
    begun, late_max = time.monotonic(), 0.0
    for number in range(total):
        due = begun + number / rate
        while (ahead := due - time.monotonic()) > 0:
            time.sleep(ahead)
        late_max = max(late_max, -ahead)
        date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        partition, key, payload = movements.next(date)
        sender.produce(options["topic"], payload, key=key, partition=partition)
        sender.poll(0)
    if sender.flush(FLUSH_SECONDS_MAX):
        sys.exit("send: not every message was acknowledged")
    print(json.dumps({"late_max_ms": round(late_max * 1000, 1)}))


if __name__ == "__main__":
    main()
