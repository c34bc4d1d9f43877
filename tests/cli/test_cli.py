"""The commands, run in this process against a database on the tests' server."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import psycopg
import pytest

from strandline.cli import main
from strandline.cli.progress import line
from strandline.journal.check import merkle
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.journal.simulation.strand import Simulated
from tests.commands import Run
from tests.journals import STRAND, ion_binary, small_journal

BLOCKS, SEED = 120, 7


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulated]:
    folder = tmp_path_factory.mktemp("journal") / "made"
    return folder, simulate(folder, BLOCKS, SEED, Format.ION_BINARY)


def test_replay_ingests_and_projects_and_a_second_one_is_a_no_op(run: Run, journal: tuple[Path, Simulated]) -> None:
    folder, made = journal
    first = run("replay", str(folder / "full"), "--json")
    assert first.status == 0
    assert first.json["blocks"] == first.json["new_blocks"] == BLOCKS
    assert first.json["revisions"] == made.revisions
    assert first.json["redactions"] == made.redactions
    assert (first.json["mark"], first.json["gaps"], first.json["rejected"]) == (made.tip, [], 0)
    assert {(one["name"], one["position"]) for one in first.json["projections"]} >= {("licence_register", made.tip)}
    again = run("replay", str(folder / "full"), "--json")
    assert (again.status, again.json["new_blocks"]) == (0, 0)
    assert again.json["objects_skipped"] > 0


def test_shards_that_a_batch_system_numbers(
    run: Run, journal: tuple[Path, Simulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = journal
    empty = run("replay", "--finish")
    assert (empty.status, empty.out) == (1, "")
    assert "the store is empty, no shard has stored anything: check STRANDLINE_DATABASE_URL" in empty.err
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_SIZE", "2")
    for index in range(2):
        monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", str(index))
        stored = run("replay", str(folder / "full"), "--shard", "auto")
        assert stored.status == 0
        assert f"Shard {index} of 2 is stored. Once all are: `strandline replay --finish`." in stored.out
    finished = run("replay", "--finish")
    assert (finished.status, finished.out.splitlines()[0]) == (0, f"Verified through block {made.tip} (no gaps).")
    monkeypatch.delenv("STRANDLINE_DATABASE_URL")  # each job would store in a database of its own, which ends with it
    refused = run("replay", str(folder / "full"), "--shard", "auto")
    assert refused.status == 2
    assert "set STRANDLINE_DATABASE_URL to the database that all jobs share" in refused.err


def test_gap_is_reported_and_closed_by_a_replay(run: Run, journal: tuple[Path, Simulated]) -> None:
    folder, made = journal
    late = run("replay", str(folder / "late"), "--json")
    assert (late.status, late.json["mark"], late.json["gaps"]) == (1, None, [[0, BLOCKS // 2 - 1]])
    assert "Missing: blocks 0 to 59" in run("replay", str(folder / "late")).err
    pending = run("status", "--json").json
    assert pending["mark"] is None
    assert pending["head"] == made.tip
    assert pending["redactions"]["pending"] > 0
    assert run("replay", str(folder / "early")).status == 0
    status = run("status", "--json").json
    assert status["redactions"] == {"pending": 0, "open": 0, "done": made.redactions}


def test_redaction_is_open_until_every_generation_has_passed_it(
    run: Run, journal: tuple[Path, Simulated], database: str
) -> None:
    folder, made = journal
    run("replay", str(folder / "full"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projection.generation SET position = 30 WHERE projection = 'licence_register'")
        connection.execute("DELETE FROM projection.receipt WHERE (body::json ->> 'redactedBy')::int > 30")
    redactions = run("status", "--json").json["redactions"]
    assert redactions["open"] > 0
    assert redactions["open"] + redactions["done"] == made.redactions


def test_status_of_an_empty_store_has_all_keys_and_nulls(run: Run) -> None:
    status = run("status", "--json")
    assert status.status == 0
    assert status.json.keys() >= {
        "mark", "head", "origin", "gaps", "accepted_gaps", "rejected", "projections", "other_generations", "redactions"
    }  # fmt: skip
    assert status.json["mark"] is status.json["head"] is None
    assert status.json["projections"] == status.json["hints"] == []
    assert "No read models: name your projections" in run("status").out


def test_status_lists_read_models_that_are_off_with_all_only(run: Run, journal: tuple[Path, Simulated]) -> None:
    run("replay", str(journal[0] / "full"))
    brief, full = run("status").out, run("status", "--all").out
    assert "licence_register\tpostgresql\tlive\t119\t0\t0" in brief
    assert ("licence_search" in brief, "licence_search\topensearch\toff" in full) == (False, True)
    assert "2 read models off: STRANDLINE_OPENSEARCH_URL is not set; --all lists them." in brief


def test_status_prints_the_command_for_what_it_asks_for(
    run: Run, journal: tuple[Path, Simulated], database: str
) -> None:
    run("replay", str(journal[0] / "late"))
    missing = run("status").out
    assert "Missing: blocks 0 to 59. To fill a gap: `strandline replay SOURCE`." in missing
    assert "`strandline accept-gap 0 59 --reason WHY`" in missing
    run("replay", str(journal[0] / "full"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projection.generation SET position = 30 WHERE projection = 'licence_points'")
        connection.execute("UPDATE projection.generation SET fingerprint = 'x' WHERE projection = 'licence_register'")
    asked = run("status").out
    assert "To rebuild: `strandline rebuild licence_register`." in asked
    assert "No worker is running. To bring the read models up to date: `strandline project`." in asked


def test_status_watch_does_not_go_with_json(run: Run) -> None:
    assert run("status", "--watch", "--json").status == 2


def test_generation_of_an_unknown_projection_is_listed_separately(
    run: Run, journal: tuple[Path, Simulated], database: str
) -> None:
    run("replay", str(journal[0] / "full"))
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE projection.generation SET projection = 'gone' WHERE projection = 'ledger_activity'")
    (other,) = run("status", "--json").json["other_generations"]
    assert (other["name"], other["state"]) == ("gone", "live")
    assert "Other generation: gone " in run("status", "--all").out
    assert "1 other generation; --all lists them" in run("status").out


def test_verify_of_exports_and_store_with_the_saved_digest(run: Run, journal: tuple[Path, Simulated]) -> None:
    folder, made = journal
    saved = str(folder / "full.digest.json")
    exports = run("verify", str(folder / "full"), "--digest", saved, "--json")
    assert exports.status == 0
    assert exports.json["ok"] is True
    assert exports.json["level"] == "full"
    assert (exports.json["blocks"], exports.json["tip"], exports.json["faults"]) == (BLOCKS, made.tip, [])
    run("replay", str(folder / "full"))
    store = run("verify", "--digest", saved, "--json")
    assert (store.status, store.json["digest"]) == (0, exports.json["digest"])
    assert run("digest", "--json").json["digest"] == exports.json["digest"]
    assert "this is what QLDB wrote" in run("verify", "--digest", saved).out


def test_verify_says_what_it_proves(run: Run, journal: tuple[Path, Simulated]) -> None:
    out = run("verify", str(journal[0] / "full")).out
    assert "VERIFIED" in out
    assert "consistent with itself" in out


def test_wrong_digest_is_a_fault_and_one_out_of_reach_is_unchecked(run: Run, journal: tuple[Path, Simulated]) -> None:
    folder, _ = journal
    full, saved, other = str(folder / "full"), str(folder / "full.digest.json"), "A" * 43 + "="
    wrong = run("verify", full, "--digest", other, "--json")
    assert (wrong.status, wrong.json["ok"], wrong.json["faults"][0]["fault"]) == (1, False, "digest")
    partial = run("verify", str(folder / "late"), "--digest", saved, "--json")
    assert (partial.status, partial.json["ok"], partial.json["digest"]) == (3, False, None)
    assert (partial.json["answer"], partial.json["faults"]) == ("cannot be checked", [])
    assert "begins at block 60" in partial.json["unchecked"][0]["detail"]
    beyond = run("verify", str(folder / "early"), "--digest", saved)
    assert beyond.status == 3
    assert "the journal ends at block 59, before this tip" in beyond.err
    assert beyond.out.startswith("CANNOT BE CHECKED")
    assert run("verify", full, "--tip", "5000").status == 3
    assert run("verify", full, "--tip", "7", "--digest", saved).status == 2


def test_digest_of_another_tip_matches_verify(run: Run, journal: tuple[Path, Simulated]) -> None:
    full = str(journal[0] / "full")
    run("replay", full)
    earlier = run("digest", "--tip", "70", "--json")
    assert earlier.json["tip"] == 70
    assert run("verify", full, "--tip", "70", "--digest", earlier.json["digest"]).status == 0
    assert run("digest", "--tip", "5000").status == 1
    assert run("digest", "--tip", "-1").status == 2


def test_digest_is_refused_if_the_store_begins_above_block_0(
    run: Run, journal: tuple[Path, Simulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "holds no blocks" in run("digest").err
    monkeypatch.setenv("STRANDLINE_ORIGIN", "60")
    assert run("replay", str(journal[0] / "late")).status == 0
    refused = run("digest", "--json")
    assert (refused.status, refused.json["error"]["status"]) == (1, 1)
    assert "the store begins at block 60" in refused.err
    assert refused.err == f"error: {refused.json['error']['message']}\n"


def test_digest_over_an_accepted_gap_is_refused(run: Run, journal: tuple[Path, Simulated], database: str) -> None:
    run("replay", str(journal[0] / "full"))
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO journal.accepted_gap VALUES (50, 55, 'lost in the move')")
    assert "give a tip below 50" in run("digest").err
    assert run("digest", "--tip", "49").status == 0
    assert "lost in the move" in run("status").out
    assert run("status", "--json").json["accepted_gaps"] == [[50, 55]]


def test_verify_skips_adjacent_accepted_gaps_that_are_partly_filled(run: Run, tmp_path: Path) -> None:
    blocks = small_journal()
    parts = [("0-2", blocks[:3]), ("6-8", blocks[6:])]
    for name, part in parts:
        (tmp_path / f"{STRAND}.{name}.ion").write_bytes(ion_binary(part))
    assert run("replay", str(tmp_path)).status == 1
    waiting = run("verify")
    assert (waiting.status, "Not verified: blocks above the mark, up to 8" in waiting.err) == (0, True)
    for first, last in (("3", "4"), ("5", "5")):
        assert run("accept-gap", first, last, "--reason", "lost").status == 0
        assert (run("verify", "--json").json["faults"], run("verify").status) == ([], 0)
    (tmp_path / f"{STRAND}.4-5.ion").write_bytes(ion_binary(blocks[4:6]))
    assert run("replay", str(tmp_path), "--json").json["new_blocks"] == 2
    found = run("verify", "--json")
    assert (found.status, found.json["blocks"], found.json["faults"]) == (0, 8, [])


def test_blocks_missing_from_the_store_are_a_fault(run: Run, journal: tuple[Path, Simulated], database: str) -> None:
    run("replay", str(journal[0] / "full"))
    for missing, (first, last) in (("sequence_no > 117", (118, 119)), ("sequence_no < 2", (0, 1))):
        with psycopg.connect(database) as connection:
            connection.execute(f"DELETE FROM journal.block WHERE {missing}".encode())
        detail = f"blocks {first} to {last} are missing"
        assert detail in [fault["detail"] for fault in run("verify", "--json").json["faults"]]


def test_rejections_are_reported_without_a_traceback(run: Run, journal: tuple[Path, Simulated], tmp_path: Path) -> None:
    source = next(path for path in (journal[0] / "full").rglob("*.ion"))
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-100])
    refused = run("replay", str(tmp_path / source.name), "--json")
    assert refused.status == 1
    assert refused.json["rejected"] >= 1
    assert refused.json["faults"]
    again = run("replay", str(tmp_path / source.name))
    (tmp_path / "empty.ion").write_bytes(b"")
    other = run("replay", str(tmp_path / "empty.ion"), "--json")
    assert f"Rejected: {refused.json['rejected']} items" in again.err
    assert again.err.count(f"[{source.name}]") == refused.json["rejected"]
    assert other.status == 1
    assert "empty.ion: holds neither blocks" in other.json["error"]["message"]
    listed = run("rejected", "--json")  # a file that is no journal is not in the list
    assert (listed.status, listed.json["rejected"]) == (0, refused.json["rejected"])


def test_another_journal_is_refused(run: Run, journal: tuple[Path, Simulated], tmp_path: Path) -> None:
    run("replay", str(journal[0] / "full"))
    simulate(tmp_path / "other", 10, 99, Format.JSON)
    refused = run("replay", str(tmp_path / "other" / "full"))
    assert refused.status == 1
    assert "error: " in refused.err  # on a slow machine, progress comes first
    assert journal[1].strand_id in refused.err
    demo = run("demo")
    assert demo.status == 1
    assert "already holds another journal" in demo.err


def test_parked_documents_are_listed_and_retried(run: Run, journal: tuple[Path, Simulated], database: str) -> None:
    nothing = run("parked", "--json")
    assert (nothing.status, nothing.json) == (0, {"parked": []})
    run("replay", str(journal[0] / "full"))
    with psycopg.connect(database) as connection:
        connection.execute("""
            INSERT INTO projection.parked (generation, key, version, sequence_no, reason)
            SELECT generation, document_id, version, sequence_no, 'licenceId is missing or not text'
            FROM projection.generation, LATERAL (
                SELECT * FROM journal.revision WHERE table_name = 'Licence' AND version = 0 ORDER BY 1 LIMIT 1) first
            WHERE projection = 'licence_register'""")
    waiting = run("parked", "--json")
    assert waiting.status == 1  # something is pending
    (one,) = waiting.json["parked"]
    assert (one["projection"], one["version"]) == ("licence_register", 0)
    assert "licenceId is missing" in run("parked").out
    assert run("retry", "licence_register", "--json").json == {
        "projection": "licence_register",
        "retried": 1,
        "parked": 0,
    }
    assert "Nothing is parked" in run("parked").out
    assert run("retry", "nonesuch").status == 2


def test_demo_can_be_repeated(run: Run) -> None:
    for _ in range(2):
        shown = run("demo")
        assert shown.status == 0
        assert "licence_register" in shown.out
        assert "cleared readers only" in shown.out
    models = {model["name"]: model["rows"] for model in run("demo", "--json").json["read_models"]}
    assert models["ledger_activity"] == 2000


def test_simulate_prints_the_digest_of_its_export(run: Run, tmp_path: Path) -> None:
    folder = str(tmp_path / "made")
    made = run("simulate", folder, "--blocks", "20", "--seed", "3", "--format", "JSON", "--json")
    assert (made.status, made.json["blocks"], made.json["tip"]) == (0, 20, 19)
    assert run("verify", f"{folder}/full", "--json").json["digest"] == made.json["digest"]
    assert "Level chain" in run("verify", f"{folder}/full").out
    assert "is not empty" in run("simulate", folder, "--blocks", "20").err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonesuch"],
        ["replay"],
        ["replay", "/nonexistent"],
        ["verify", "/nonexistent"],
        ["verify", "--digest", "nonsense"],
        ["verify", "--tip", "-1"],
        ["simulate", "x", "--format", "PARQUET"],
        ["simulate", "x", "--blocks", "many"],
        ["simulate", "x", "--redactions", "2"],
        ["sql", "--json"],
        [],
    ],
)
def test_usage_error_exits_with_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_wrong_setting_exits_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_ORIGIN", "first")
    assert run("status").status == 2
    monkeypatch.delenv("STRANDLINE_ORIGIN")
    monkeypatch.setenv("STRANDLINE_PROJECTIONS", "no_such_package")
    assert run("status").status == 2


def test_unreachable_database_is_named_without_its_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", "postgresql://someone:hush@127.0.0.1:1/nowhere")
    refused = run("status", "--json")
    assert refused.status == 1
    assert "nowhere" in refused.err
    assert "nowhere" in refused.json["error"]["message"]
    assert "hush" not in refused.err + refused.out


def test_summaries_and_epilog_of_help_fit_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for group in ((), ("redactions",), ("ledger",)):
        out = run(*group, "--help").out
        assert "..." not in out.partition("Commands:")[2]
        assert max(map(len, out.splitlines())) <= 80
    assert "0: success. 1: verification failed, or something was rejected" in " ".join(run("--help").out.split())


def test_full_disk_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr("strandline.journal.simulation.simulate.simulate", full)
    refused = run("simulate", str(tmp_path / "made"))
    assert refused.status == 1
    assert refused.err == "error: /some/file: No space left on device; make room, then run the command again.\n"


def test_migrate_names_what_it_applied(run: Run, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("migrate", "--json").json == {"applied": []}
    monkeypatch.setenv("STRANDLINE_DATABASE_URL", empty_database)
    assert run("migrate", "--json").json["applied"][0] == "0001_roles.sql"


def test_progress_line_has_rate_and_time_left() -> None:
    assert line("ingesting", 5_000, 20_000, 100.0, "blocks") == (
        "ingesting: 5,000 of 20,000 blocks, 100 a second, 2 min 30 s left"
    )
    assert line("ingesting", 5_000, None, 100.0, "blocks") == "ingesting: 5,000 blocks, 100 a second"


def test_digest_beyond_the_export_is_checked_by_the_proof_saved_with_it(tmp_path: Path, run: Run) -> None:
    """The migration kit's form: from the last exported block's hash to a digest with a later tip."""
    blocks = small_journal()
    hashes = [block["blockHash"] for block in blocks]
    (tmp_path / f"{STRAND}.0-6.ion").write_bytes(ion_binary(blocks[:7]))
    saved: dict[str, Any] = {
        "Ledger": "licences",
        "Digest": b64encode(merkle.root(hashes)).decode(),
        "DigestTipAddress": {"strandId": STRAND, "sequenceNo": 8},
        "Export": "export",
        "LastBlockNum": 6,
        "LastBlockTimestamp": "2020-09-13T12:26:46.007Z",
        "Proof": [b64encode(sibling).decode() for sibling in merkle.path(hashes, 6)],
    }
    file = tmp_path / "export.proofs.json"
    file.write_text(json.dumps(saved))
    good = run("verify", str(tmp_path), "--digest", str(file), "--json")
    shorter = run("verify", str(tmp_path), "--digest", str(file)).out
    (tmp_path / f"{STRAND}.7-8.ion").write_bytes(ion_binary(blocks[7:]))
    longer = run("verify", str(tmp_path), "--digest", str(file)).out
    saved["Proof"] = saved["Proof"][1:]
    file.write_text(json.dumps(saved))
    failed = run("verify", str(tmp_path), "--digest", str(file), "--json")

    assert (good.status, good.json["ok"]) == (0, True)
    assert "from block 6 to the digest. If both were saved from QLDB, that block, and the blocks" in shorter
    assert ("blocks above it" in shorter, "blocks above it" in longer) == (False, True)
    assert (failed.status, [fault["fault"] for fault in failed.json["faults"]]) == (1, ["digest"])
