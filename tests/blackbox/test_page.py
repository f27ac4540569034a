"""The page of a running job in Chromium (scripts/test-page): at three widths, light and dark; MySQL goes away and comes
back; a customer's name that is markup stays text."""

import os
import subprocess

import pytest

from harness import ROOT
from watched import watched_job

BROWSER_SECONDS_MAX = 300


def look_at(job, **environment):
    done = subprocess.run(
        [ROOT / "scripts" / "test-page", "--url", job.address],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BROWSER_SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.outage
def test_the_page_of_a_running_job(new_job, new_topic, services):
    name = "<img src=x onerror=alert(1)>"
    job = watched_job(new_job, new_topic(partitions=4), customer=name)
    script = ROOT / "scripts" / "services"
    look_at(job, PAGE_NAME=name, PAGE_OUTAGE=f"{script} kill mysql", PAGE_OUTAGE_ENDS=f"{script} start mysql")
