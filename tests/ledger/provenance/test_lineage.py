"""The lineage of a thing: with cycles, diamonds and great depth, as SQL, as a tree and as PROV-JSON."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
import pytest
from prov.model import ProvDocument

from strandline.cli import main
from strandline.consumer.database.connection import connect
from strandline.consumer.generations.lifecycle import project
from strandline.consumer.projection.discovery import discover
from strandline.journal.errors import StrandlineError
from strandline.ledger import Ledger
from strandline.ledger.provenance.lineage import read_lineage, tree
from strandline.ledger.provenance.prov_json import prov_json
from strandline.ledger.provenance.recorder import (
    Activity,
    Agent,
    Entity,
    Provenance,
    Used,
    WasAttributedTo,
    WasDerivedFrom,
    WasGeneratedBy,
)

Made = Callable[..., str]


@pytest.fixture
def recorded(database: str) -> Made:
    """Record statements and project them; returns the database's URL."""

    def record(*statements: Any) -> str:
        with Ledger(database) as ledger:
            provenance = Provenance(ledger)
            provenance.create()
            for at in range(0, len(statements), 30):
                provenance.record(*statements[at : at + 30])
        project(database, discover(["strandline.projections.provenance"]))
        return database

    return record


def derived(*pairs: tuple[str, str]) -> Iterable[Any]:
    names = dict.fromkeys(name for pair in pairs for name in pair)
    return [*(Entity(name, "DataSet") for name in names), *(WasDerivedFrom(*pair) for pair in pairs)]


def test_lineage_leads_from_model_to_data_and_back(recorded: Made) -> None:
    url = recorded(
        Agent("agent/a", "Organization", "Team A"),
        Entity("data/1", "DataSet", "Orders"),
        Activity("run/1", "Training", "Nightly run"),
        Entity("model/1", "Model"),
        Used("run/1", "data/1"),
        WasGeneratedBy("model/1", "run/1"),
        WasAttributedTo("data/1", "agent/a"),
    )
    assert list(tree(read_lineage(url, "model/1", "sources"))) == [
        "model/1 (Model)",
        "└─ wasGeneratedBy run/1 (Training, Nightly run)",
        "   └─ used data/1 (DataSet, Orders)",
        "      └─ wasAttributedTo agent/a (Organization, Team A)",
    ]
    assert list(tree(read_lineage(url, "data/1", "results"))) == [
        "data/1 (DataSet, Orders)",
        "└─ used of run/1 (Training, Nightly run)",
        "   └─ wasGeneratedBy of model/1 (Model)",
    ]
    shown = json.loads(prov_json(read_lineage(url, "model/1", "sources")))
    assert shown["entity"]["ledger:data/1"] == {"prov:type": "DataSet", "prov:label": "Orders"}
    assert set(shown) >= {"prefix", "entity", "activity", "agent", "used", "wasGeneratedBy", "wasAttributedTo"}
    again = ProvDocument.deserialize(content=json.dumps(shown), format="json")
    assert len(again.get_records()) == 7


def test_cycle_ends(recorded: Made) -> None:
    url = recorded(*derived(("a", "b"), ("b", "c"), ("c", "a"), ("c", "c")))
    for start in "abc":
        for direction in ("sources", "results"):
            found = read_lineage(url, start, direction)  # type: ignore[arg-type]
            assert len(found.relations) == 4
            assert len(list(tree(found))) == 5
    assert list(tree(read_lineage(url, "a", "sources"))) == [
        "a (DataSet)",
        "└─ wasDerivedFrom b (DataSet)",
        "   └─ wasDerivedFrom c (DataSet)",
        "      ├─ wasDerivedFrom a (DataSet) (shown above)",
        "      └─ wasDerivedFrom c (DataSet) (shown above)",
    ]


def test_many_paths_cost_no_more_than_one(recorded: Made) -> None:
    """24 diamonds one on another: 16 million paths, 96 relations."""
    pairs = [
        pair
        for level in range(24)
        for side in "lr"
        for pair in ((f"n{level}", f"n{level}{side}"), (f"n{level}{side}", f"n{level + 1}"))
    ]
    found = read_lineage(recorded(*derived(*pairs)), "n0", "sources")
    assert len(found.relations) == 96
    assert len(list(tree(found))) == 97


def test_lineage_may_be_deeper_than_pythons_stack(recorded: Made, database: str) -> None:
    recorded(*derived(("a", "b")))
    with connect(database) as connection:
        (relation,) = connection.execute(
            "SELECT relation FROM projection.generation WHERE projection = 'provenance_lineage'"
        ).fetchone() or ("",)
        connection.execute(
            f"INSERT INTO generation.{relation}"  # type: ignore[arg-type]
            " (thing, relation, source, source_document, source_version, source_block)"
            " SELECT 'd' || n, 'wasDerivedFrom', 'd' || n + 1, 'sample ' || n, 0, 0 FROM generate_series(1, 1500) n"
        )
    found = read_lineage(database, "d1", "sources")
    assert len(list(tree(found))) == 1501
    assert len(ProvDocument.deserialize(content=prov_json(found), format="json").get_records()) == 1500


def test_analysts_may_call_the_lineage_functions(recorded: Made) -> None:
    url = recorded(*derived(("a", "b")))
    with connect(url, role="strandline_analyst") as connection:
        found = connection.execute("SELECT * FROM read.provenance_sources('a')").fetchall()
        assert found == [(1, "a", "wasDerivedFrom", "b")]
        assert connection.execute("SELECT * FROM read.provenance_results('b')").fetchall() == found
    with pytest.raises(StrandlineError, match="knows no thing with this id"):
        read_lineage(url, "z", "sources")


def test_ledger_without_provenance_is_named(database: str) -> None:
    with pytest.raises(StrandlineError, match="no read model provenance_lineage"):
        read_lineage(database, "a", "sources")
    with connect(database) as connection, pytest.raises(psycopg.errors.UndefinedTable, match="no provenance yet"):
        connection.execute("SELECT * FROM read.provenance_results('a')")


def test_lineage_command(
    recorded: Made, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", recorded(*derived(("a", "b"), ("b", "odd"))))
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    assert main(["lineage", "a", "-o", str(tmp_path / "prov.json")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "a (DataSet)"
    assert main(["lineage", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "prov.json").read_text())
    assert main(["lineage", "odd", "--results"]) == 0
    assert "wasDerivedFrom of b" in capsys.readouterr().out
    assert main(["lineage", "nobody"]) == 1
    assert "knows no thing with this id" in capsys.readouterr().err


def test_prov_json_without_its_extra_says_what_to_install(
    recorded: Made, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", recorded(*derived(("a", "b"))))
    monkeypatch.setenv("STRANDLINE_HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "strandline.ledger.provenance.prov_json")
    for name in [name for name in sys.modules if name.partition(".")[0] == "prov"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prov", None)
    assert main(["lineage", "a"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "a (DataSet)"
    assert main(["lineage", "a", "-o", str(tmp_path / "prov.json")]) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 2)
    assert "'strandline[provenance]'" in said.err
    assert main(["lineage", "a", "--json"]) == 2
    assert "'strandline[provenance]'" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert not (tmp_path / "prov.json").exists()
