"""The job that ships, in a folder of a test's own."""

import json
import re
import shutil

from harness import ROOT


def shipped_job(new_job, topic, **changes):
    """The shipped configuration, views, schema and data, with nothing changed but where the servers are, and `changes`
    to keys of one line."""
    job = new_job(topic)
    for part in ("sql", "schemas", "data"):
        shutil.copytree(ROOT / part, job.folder / part, dirs_exist_ok=True)
    job.write("config.yaml", shipped_config(job, **changes))
    return job


def shipped_config(job, **changes):
    """The text of the shipped configuration for this job."""
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    own = {key: job.config[key] for key in ("kafka_server", "kafka_topic", "job", "database")}
    for key, value in {**own, **changes}.items():
        line = f"{key}: {json.dumps(value)}"
        text, count = re.subn(rf"(?m)^{key}:.*$", lambda _, line=line: line, text)
        if not count:
            text = f"{line}\n{text}"
    return text


def following(text, follows=True):
    """The text of a configuration whose state follows the partitions, or does not."""
    return re.sub(r"(?m)^( *follows_partition:) \w+", rf"\1 {str(follows).lower()}", text)
