"""Any history of deliveries, duplicates, crashes, parking, redactions and expunging ends where one undisturbed run
does."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.erasing import ErasingMachine


def test_any_history_ends_where_an_undisturbed_one_does(postgres_url: str, migrated_template: str) -> None:
    class Here(ErasingMachine):
        server, template = postgres_url, migrated_template

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
