"""A short run of `scripts/chaos`, and what must hold of its plans."""

import os

import pytest

from chaos.faults import KINDS
from chaos.plan import DECK, plan
from chaos.run import Options, Run, Servers

SEED = 69
SECONDS = 25.0


@pytest.mark.outage
@pytest.mark.parametrize("has_registry", [False, True])
def test_everything_at_once(binary, kafka_server, tmp_path, services, has_registry):
    if "MYSQL_ADMIN_URL" not in os.environ:
        pytest.skip("needs MYSQL_ADMIN_URL")
    wrong = Run(Options(SEED, SECONDS, rate=200, has_registry=has_registry), Servers.of_environment(), tmp_path)()
    assert not wrong, "\n".join(wrong)


def test_a_plan_follows_from_its_seed_and_has_every_fault():
    assert set(DECK) == set(KINDS)
    assert plan(7, 120) == plan(7, 120) != plan(8, 120)
    for seed in range(20):
        faults = plan(seed, 120)
        assert {fault.kind for fault in faults} == set(DECK)
        assert all(0 <= a.at <= b.at < 120 for a, b in zip(faults, faults[1:], strict=False))
    assert {fault.kind for fault in plan(7, 60, ("kill", "fail-over"))} == {"kill", "fail-over"}
