"""A short run of `scripts/chaos`, and what must hold of its plans."""

import os

import pytest

from chaos.plan import DECK, plan
from chaos.run import Options, Run, Servers

SEED = 4
SECONDS = 25.0


@pytest.mark.outage
def test_everything_at_once(binary, kafka_server, tmp_path, services):
    if "MYSQL_ADMIN_URL" not in os.environ:
        pytest.skip("needs MYSQL_ADMIN_URL")
    servers = Servers(str(binary), kafka_server, os.environ["MYSQL_URL"], os.environ["MYSQL_ADMIN_URL"])
    wrong = Run(Options(SEED, SECONDS, rate=200), servers, tmp_path)()
    assert not wrong, "\n".join(wrong)


def test_a_plan_follows_from_its_seed_and_has_every_fault():
    assert plan(7, 120) == plan(7, 120) != plan(8, 120)
    for seed in range(20):
        faults = plan(seed, 120)
        assert {fault.kind for fault in faults} == set(DECK)
        assert all(0 <= a.at <= b.at < 120 for a, b in zip(faults, faults[1:], strict=False))
