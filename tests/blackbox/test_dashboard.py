"""deploy/ against a real Prometheus that scrapes a real job: every query of the dashboard returns data, and every rule can
be evaluated."""

import json
import subprocess
import urllib.parse
import urllib.request

import pytest

from harness import ROOT, wait_until
from watched import free_port, watched_job

DATA_SECONDS_MAX = 90
RULES_SECONDS_MAX = 30


def expressions(value):
    """Every `expr` of a dashboard."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "expr":
                yield inner
            else:
                yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


@pytest.fixture
def prometheus(tmp_path):
    """Starts Prometheus; returns a function that asks its API."""
    started = []

    def start(target):
        listen = f"127.0.0.1:{free_port()}"
        rules = ROOT / "deploy" / "prometheus" / "rules.yaml"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "realtime-processor", "static_configs": [{"targets": [target]}]}],
        }
        # JSON is YAML.
        (tmp_path / "prometheus.yml").write_text(json.dumps(config))
        log = (tmp_path / "prometheus.log").open("w")
        command = ["prometheus", f"--web.listen-address={listen}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        started.append(
            subprocess.Popen([*command, f"--config.file={tmp_path / 'prometheus.yml'}"], stdout=log, stderr=log)
        )

        def ask(path, **parameters):
            url = f"http://{listen}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]

        return ask

    yield start
    for process in started:
        process.terminate()
        process.wait()


def test_every_query_of_the_dashboard_returns_data(new_job, new_topic, prometheus):
    job = watched_job(new_job, new_topic(partitions=4))
    ask = prometheus(urllib.parse.urlsplit(job.address).netloc)
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())
    queries = set(expressions(dashboard))
    assert len(queries) > 30
    without = set(queries)

    def all_have_data():
        try:
            for query in sorted(without):
                asked = query.replace("$pipeline", job.name).replace("$__rate_interval", "20s")
                if ask("query", query=asked)["result"]:
                    without.discard(query)
        except OSError:
            # Prometheus is still starting.
            return False
        return not without

    wait_until(all_have_data, DATA_SECONDS_MAX, lambda: f"these return nothing: {sorted(without)}")

    def health():
        return {rule["name"]: rule["health"] for group in ask("rules")["groups"] for rule in group["rules"]}

    # They are evaluated at the interval of their group.
    wait_until(lambda: health() and set(health().values()) == {"ok"}, RULES_SECONDS_MAX, health)
