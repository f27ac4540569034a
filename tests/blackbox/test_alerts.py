"""The alerts of deploy/prometheus, by Prometheus's own tool: they are valid, their tests pass, and each test notices when
its alert is taken out or its threshold is changed."""

import re
import shutil
import subprocess

import pytest

from harness import ROOT

FOLDER = ROOT / "deploy" / "prometheus"


def promtool(*arguments, cwd=FOLDER):
    return subprocess.run(["promtool", *arguments], cwd=cwd, capture_output=True, text=True)


def test_alerts_are_valid_and_pass_their_tests():
    for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        answer = promtool(*arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", re.findall(r"alert: (\w+)", (FOLDER / "rules.yaml").read_text()))
def test_an_alert_that_never_fires_is_noticed(name, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "rules")
    rules = tmp_path / "rules" / "rules.yaml"
    text = rules.read_text()
    start = text.index("expr:", text.index(f"alert: {name}"))
    # The first line of the expression, or the one after `expr: |`, asks for something that is never there.
    end = re.compile(r"\n        (for|labels):").search(text, start).start()
    rules.write_text(text[:start] + "expr: vector(1) > 2" + text[end:])
    answer = promtool("test", "rules", "rules_test.yaml", cwd=rules.parent)
    assert answer.returncode != 0 and name in answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "what, instead",
    [
        (" and sum by (pipeline) (deriv(realtime_lag_messages[10m])) > 0", ""),
        (" and sum by (pipeline) (realtime_lag_messages) > 0", ""),
        ("time() - max by (pipeline) (realtime_last_commit", "time() - min by (pipeline) (realtime_last_commit"),
        (" unless max by (pipeline) (realtime_last_commit_timestamp_seconds)", ""),
        ("> 0.01", "> 0.008"),
        ("for: 2m", "for: 0m"),
        ("> 3600", "> 10"),
        (" unless group by (pipeline, topic, partition) (realtime_committed_offset)", ""),
    ],
)
def test_an_alert_that_fires_too_often_is_noticed(what, instead, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "rules")
    rules = tmp_path / "rules" / "rules.yaml"
    text = re.sub(r"\n {10,14}(and|unless|/) ", r" \1 ", rules.read_text())
    assert text.count(what) == 1
    rules.write_text(text.replace(what, instead))
    assert promtool("test", "rules", "rules_test.yaml", cwd=rules.parent).returncode != 0
