"""What was measured on what: the machine, the versions, the date, and how durable a commit is."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from compare.topic import CUSTOMERS, PARTITIONS
from harness import ROOT


def facts(bench):
    """Sentences for the reader of a result."""
    variables = bench.tables.variables()
    versions = [f"realtime-processor {commit()}", f"Kafka {kafka_version()}", f"MySQL {bench.tables.version()}"]
    if "spark" in bench.sides:
        versions.append(f"Spark {spark_version()} ({java()})")
    durable = ", ".join(f"{name}={variables[name]}" for name in sorted(variables))
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.",
        f"{', '.join(versions)}; {durable}.",
        f"{bench.messages:,} messages of six fields in {PARTITIONS} partitions, {CUSTOMERS:,} accounts, 13 columns;"
        f" {bench.runs} runs of each, in turn: medians, least and most.",
        *(f"{name}: {note}." for name, note in bench.notes.items()),
    ]


def machine():
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    name = f"{os.cpu_count()} cores ({model[1].strip() if model else platform.machine()})"
    return f"{name}, {memory / 1024 / 1024:.0f} GiB, Linux {platform.release()}"


def output(command):
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def commit():
    return output(["git", "describe", "--always", "--dirty"]) or "without git"


def kafka_version():
    """Of the services' own broker."""
    found = re.search(r"^KAFKA_VERSION=(.*)$", (ROOT / "scripts" / "services").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def spark_version():
    return (Path(__file__).parent / "spark" / "requirements.txt").read_text().strip().rpartition("=")[2]


def java():
    found = re.search(r'version "(.*?)"', output(["java", "-version"]))
    return f"Java {found[1]}" if found else "Java"
