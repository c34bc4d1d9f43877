"""`replay --cluster tls://…` with the settings of docs/scale.md: only certificates of the authority are let in."""

import re
from collections.abc import Iterator
from pathlib import Path

import dask
import distributed  # noqa: F401  # it sets its defaults when it is imported, which must be before `dask.config.set`
import pytest

from strandline.cli import main
from strandline.journal.decode.kernel import KERNEL
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from tests.commands import Outcome, Run
from tests.consumer.cluster.certificates import write_certificates
from tests.consumer.cluster.local import LocalCluster, local_cluster
from tests.consumer.intake.replays import query

DOCUMENTED = Path(__file__).parents[3] / "docs/scale.md"
BLOCKS = 120


def documented_settings(folder: Path) -> dict[str, str]:
    """Return the variables that the page sets, with the files of a folder."""
    names: dict[str, str] = dict(re.findall(r"(DASK_DISTRIBUTED__COMM__\w+)=(\S+)", DOCUMENTED.read_text()))
    assert len(names) == 8
    return {name: str(folder / value) if value.endswith(".pem") else value for name, value in names.items()}


def as_dask_has_them(settings: dict[str, str]) -> dict[str, object]:
    """Return what Dask makes of such variables, which it reads when it is imported."""
    names = {name: name.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-") for name in settings}
    return {names[name]: value if value != "true" else True for name, value in settings.items()}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return documented_settings(folder)


@pytest.fixture(scope="module")
def cluster(store: str, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    environment = {**settings, "STRANDLINE_DATABASE_URL": store, "STRANDLINE_KERNEL": KERNEL}
    with local_cluster(tmp_path_factory.mktemp("cluster"), environment, workers=1) as cluster:
        yield cluster


@pytest.fixture
def command(
    store: str, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:  # fmt: skip
    """Run commands with the documented settings."""
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STRANDLINE_PROJECTIONS", "")
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", store)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        return Outcome(main(arguments), *capsys.readouterr())

    with dask.config.set(as_dask_has_them(settings)):
        yield run


def test_a_replay_over_tls(cluster: LocalCluster, command: Run, store: str, tmp_path: Path) -> None:
    assert cluster.address.startswith("tls://")
    simulate(tmp_path / "journal", BLOCKS, seed=5, format=Format.ION_BINARY)
    done = command("replay", str(tmp_path / "journal" / "full"), "--cluster", cluster.address, "--json")
    assert (done.status, done.json["mark"], done.json["gaps"]) == (0, BLOCKS - 1, [])
    assert query(store, "SELECT count(*) FROM journal.block") == [(BLOCKS,)]


def test_who_has_no_certificate_of_the_authority_is_refused(
    cluster: LocalCluster, command: Run, tmp_path: Path
) -> None:
    write_certificates(tmp_path / "other")
    other = as_dask_has_them(documented_settings(tmp_path / "other"))
    tls = "distributed.comm.tls."
    port = cluster.address.rpartition(":")[2]
    for changed, address, status, said in (
        ({f"{tls}client.cert": None, f"{tls}client.key": None}, cluster.address, 2, "needs a certificate"),
        ({f"{tls}client.cert": str(tmp_path / "none.pem")}, cluster.address, 2, "cannot be used (No such file"),
        (other, cluster.address, 1, "ended the connection"),
        # The scheduler's certificate is of the right authority here, and the client's is not.
        (
            {f"{tls}client.{kind}": str(tmp_path / "other" / f"{kind}.pem") for kind in ("cert", "key")},
            cluster.address,
            1,
            "ended the connection",
        ),
        ({}, f"tcp://127.0.0.1:{port}", 2, "require-encryption"),
        ({"distributed.comm.require-encryption": False}, f"tcp://127.0.0.1:{port}", 1, "ended the connection"),
    ):
        with dask.config.set(changed):
            found = command("verify", "--cluster", address)
        assert (found.status, len(found.err.splitlines())) == (status, 1), found.err
        assert said in found.err


def test_a_scheduler_that_does_not_answer(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strandline.consumer.cluster.client.CONNECT_SECONDS", 1)
    found = command("verify", "--cluster", "tls://127.0.0.1:9")
    assert (found.status, len(found.err.splitlines())) == (1, 1)
    assert "tls://127.0.0.1:9 cannot be reached: check that it runs" in found.err
