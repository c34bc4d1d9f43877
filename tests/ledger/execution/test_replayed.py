"""A journal of QLDB's, replayed first: the application finds its documents, ids and history, and continues."""

from pathlib import Path
from typing import Any

from strandline.consumer.database.connection import connect
from strandline.consumer.verification.verify import verify_store
from strandline.journal.ion.hash import ion_hash
from strandline.journal.make.format import Format
from strandline.journal.simulation.simulate import simulate
from strandline.ledger import Ledger
from tests.ledger.execution.statements import run
from tests.ledger.grafting import replay

CURRENT = """
    SELECT document_id, version, data ->> 'licenceId', data_hash FROM journal.revision r
    WHERE table_name = 'Licence' AND state = 'normal' AND NOT EXISTS (
        SELECT FROM journal.revision later WHERE later.document_id = r.document_id AND later.version > r.version)
    ORDER BY document_id"""


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_application_continues_on_its_own_data(database: str, tmp_path: Path) -> None:
    simulate(tmp_path, 120, 7, Format.ION_BINARY)
    replay(database, tmp_path / "full")
    current = rows(database, CURRENT)
    tables = dict(rows(database, "SELECT name, table_id FROM journal.user_table WHERE status = 'ACTIVE'"))
    assert current

    with Ledger(database) as ledger:
        told = run(ledger, "SELECT * FROM information_schema.user_tables")
        assert {one["name"]: one["tableId"] for one in told} == tables
        indexed = {one["expr"] for table in told if table["name"] == "Licence" for one in table["indexes"]}
        assert "[licenceId]" in indexed

        found = run(ledger, "SELECT id, l AS data FROM Licence AS l BY id")
        assert sorted((one["id"], ion_hash(one["data"])) for one in found) == [
            (id_, hash_) for id_, _, _, hash_ in current
        ]

        id_, version, licence_id, data_hash = current[0]
        (data,) = run(ledger, "SELECT VALUE l FROM Licence AS l BY id WHERE id = ?", id_)
        assert ion_hash(data) == data_hash
        assert id_ in run(ledger, "SELECT VALUE id FROM Licence AS l BY id WHERE l.licenceId = ?", licence_id)
        history = "SELECT VALUE h.metadata.version FROM history(Licence) AS h WHERE h.metadata.id = ?"
        assert run(ledger, history, id_) == list(range(version + 1))

        run(ledger, "UPDATE Licence AS l BY id SET l.note = 'checked' WHERE id = ?", id_)
        assert run(ledger, history, id_) == list(range(version + 2))
        (index,) = (one for table in told if table["name"] == "Licence" for one in table["indexes"])
        run(ledger, f'DROP INDEX "{index["indexId"]}" ON Licence WITH (purge = true)')
        assert id_ in run(ledger, "SELECT VALUE id FROM Licence AS l BY id WHERE l.licenceId = ?", licence_id)
    assert verify_store(database, workers=1).ok
