"""Rights of keys: QLDB's actions by ledger and table. A key without the right to history reaches it by no way."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from strandline.consumer.database.connection import connect as connect_to
from strandline.consumer.database.ledgers import update_ledger
from strandline.journal.errors import UsageError
from strandline.ledger import Ledger
from strandline.ledger.endpoint.application import Application
from strandline.ledger.endpoint.control.api import ROUTES
from strandline.ledger.endpoint.refusals import Refusal
from strandline.ledger.endpoint.rights import OPERATIONS
from strandline.ledger.endpoint.served import ServedLedgers
from strandline.ledger.endpoint.sessions import Sessions
from strandline.ledger.endpoint.signature import read_keys
from strandline.ledger.execution.access import ACTIONS
from tests.ledger.endpoint.client import Client, Refused, served
from tests.ledger.endpoint.control import Api, Signed
from tests.ledger.execution.statements import run

SECRET = "made-up-secret-of-a-test"
RULES = {
    "ADMIN": None,
    "CLERK": "SendCommand, Describe*, GetDigest on vehicles\n"
    " PartiQLSelect, PartiQLInsert, PartiQLUpdate, PartiQLDelete on vehicles/Vehicle\n"
    " PartiQLSelect on vehicles/Dropped\n PartiQLSelect, PartiQLUpdate on vehicles/Other",
    "AUDITOR": "SendCommand on *\n PartiQLSelect, qldb:PartiQLHistoryFunction on vehicles/*",
    "READER": "SendCommand on vehicles\n PartiQLSelect on vehicles/Vehicle",
    "SENDER": "SendCommand on vehicles",
    "OTHER": "* on people\n PartiQL* on vehicles/*",
    "TABLES": "SendCommand on vehicles\n * on vehicles/Vehicle",
}
DENIED = "400 AccessDeniedException Access denied. Unable to run the statement due to insufficient permissions"


def keys_file(folder: Path, rules: dict[str, str | None]) -> Path:
    path = folder / "keys"
    text = ""
    for name, allowed in rules.items():
        text += f"[{name.lower()}]\naws_access_key_id = {name}\naws_secret_access_key = {SECRET}\n"
        text += "" if allowed is None else f"allow =\n {allowed}\n"
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def url(ledger: Ledger, tmp_path: Path) -> Iterator[str]:
    """The address of a server with keys. Vehicle has a document of two versions, and one that was deleted."""
    for text in (
        "CREATE TABLE Vehicle", "CREATE TABLE Other", "CREATE TABLE Dropped", "CREATE INDEX ON Vehicle (VIN)",
        "INSERT INTO Vehicle {'VIN': 'V1', 'owner': 'first'}", "UPDATE Vehicle SET owner = 'second'",
        "INSERT INTO Vehicle {'VIN': 'V2'}", "DELETE FROM Vehicle WHERE VIN = 'V2'",
        "INSERT INTO Dropped {'n': 1}", "INSERT INTO Other {'n': 1}", "DROP TABLE Dropped",
    ):  # fmt: skip
        run(ledger, text)
    sessions = Sessions(ledger, most_transactions=200)
    ledgers = ServedLedgers(ledger, name="vehicles")
    with served(Application(sessions, keys=read_keys(keys_file(tmp_path, RULES)), ledgers=ledgers)) as url:
        with connect_to(ledger.url) as connection:
            update_ledger(connection, "vehicles", mode="STANDARD")
        yield url


Connect = Callable[..., Client]


@pytest.fixture
def connect(url: str) -> Iterator[Connect]:
    """Opens a session of a key."""
    with ExitStack() as stack:
        yield lambda key, ledger="vehicles": Client(url, stack, ledger, auth=Signed(key, SECRET))


@pytest.fixture
def api(url: str) -> Iterator[Callable[[str], Api]]:
    with ExitStack() as stack:
        yield lambda key: Api(
            stack.enter_context(httpx.Client(base_url=url, trust_env=False, auth=Signed(key, SECRET)))
        )


HISTORY = [
    "SELECT * FROM history(Vehicle)",
    "SELECT * FROM history(Vehicle) AS h WHERE h.metadata.id = 'a'",
    "SELECT * FROM history('Vehicle', `2019-01-01T`, `2030-01-01T`)",
    "SELECT * FROM HISTORY(\"Vehicle\") AS h BY id WHERE id = 'a'",
    'SELECT * FROM history("{dropped}")',
    "SELECT * FROM _ql_committed_Vehicle",
    "SELECT * FROM \"_ql_committed_Vehicle\" AS v WHERE v.data.VIN = 'V1'",
    "SELECT * FROM _ql_committed_Vehicle AS v BY id WHERE id = 'a'",
    "SELECT * FROM Vehicle AS v, history(Vehicle) AS h",
    "SELECT * FROM Vehicle AS v, _ql_committed_Vehicle AS c",
    "SELECT * FROM Vehicle AS v LEFT JOIN history(Vehicle) AS h ON true",
    "SELECT (SELECT VALUE h.data FROM history(Vehicle) AS h) AS x FROM Vehicle",
    "SELECT * FROM (SELECT * FROM history(Vehicle)) AS x",
    "SELECT * FROM Vehicle WHERE EXISTS (SELECT * FROM history(Vehicle))",
    "SELECT * FROM Vehicle WHERE owner IN (SELECT VALUE h.data.owner FROM history(Vehicle) AS h)",
    "SELECT count(*) FROM history(Vehicle)",
    "SELECT VALUE 1 FROM << 1 >> AS x WHERE (SELECT count(*) FROM _ql_committed_Vehicle) IS NOT NULL",
    "INSERT INTO Vehicle (SELECT VALUE h.data FROM history(Vehicle) AS h)",
    "INSERT INTO Vehicle {'old': (SELECT VALUE h.data FROM history(Vehicle) AS h)}",
    "UPDATE Vehicle SET old = (SELECT VALUE h.data FROM history(Vehicle) AS h)",
    "UPDATE Vehicle SET x = 1 WHERE EXISTS (SELECT * FROM _ql_committed_Vehicle)",
    "FROM Vehicle AS v WHERE EXISTS (SELECT * FROM history(Vehicle)) SET v.x = 1",
    "DELETE FROM Vehicle WHERE EXISTS (SELECT * FROM history(Vehicle))",
]


def test_history_needs_its_right(connect: Connect, subtests: pytest.Subtests) -> None:
    """By every way that a statement has; with the right, the same statement is not refused for it."""
    clerk, auditor, admin = connect("CLERK"), connect("AUDITOR"), connect("ADMIN")
    (dropped,) = admin.run("SELECT VALUE tableId FROM information_schema.user_tables WHERE status = 'INACTIVE'")
    texts = [text.replace("{dropped}", dropped) for text in HISTORY]
    for text in texts:
        with subtests.test(text):
            clerk.begin()
            with pytest.raises(Refused, match=f"^{DENIED}"):
                clerk.execute(text)
            clerk.begin()  # the refused transaction has ended, and the session serves on
            assert clerk.execute("SELECT VALUE owner FROM Vehicle") == ["second"]
            clerk.commit()
            if text.startswith("SELECT"):
                auditor.run(text)
            else:
                with pytest.raises(Refused, match=f"^{DENIED}"):
                    auditor.run(text)
    for text in texts:  # each means something: it is refused for the right alone
        with subtests.test(text):
            admin.begin()
            admin.execute(text)
            admin.send(AbortTransaction={})


def test_history_by_operations_needs_theirs(api: Callable[[str], Api]) -> None:
    clerk = api("CLERK")
    assert clerk.call("POST", "/ledgers/vehicles/digest")["Digest"]
    assert clerk.call("GET", "/ledgers/vehicles")["Name"] == "vehicles"
    for method, path in (
        ("POST", "block"), ("POST", "revision"), ("POST", "journal-s3-exports"), ("POST", "journal-kinesis-streams"),
        ("PATCH", "permissions-mode"),
    ):  # fmt: skip
        with pytest.raises(Refused, match=r"not authorized to perform: qldb:.* on resource: arn:aws:qldb:"):
            clerk.call(method, f"/ledgers/vehicles/{path}", {})


STATEMENTS = [
    ("SELECT * FROM Vehicle", "READER", True),
    ("SELECT * FROM Other", "READER", False),
    ("SELECT * FROM Nope", "READER", False),  # as for a table that is there
    ("SELECT * FROM information_schema.user_tables", "READER", False),
    ("SELECT * FROM information_schema.user_tables", "AUDITOR", True),
    ("SELECT * FROM Vehicle, Other", "READER", False),
    ("INSERT INTO Vehicle {'VIN': 'V3'}", "READER", False),
    ("INSERT INTO Vehicle {'VIN': 'V3'}", "CLERK", True),
    ("INSERT INTO Other {'VIN': 'V3'}", "CLERK", False),
    ("UPDATE Vehicle SET x = 1", "READER", False),
    ("UPDATE Vehicle SET x = 1", "CLERK", True),
    ("UPDATE Other SET x = 1", "CLERK", True),
    ("DELETE FROM Other", "CLERK", False),
    ("FROM Other AS o REMOVE o", "CLERK", False),  # it deletes the document
    ("FROM Other AS o REMOVE o.n", "CLERK", True),
    ("DELETE FROM Vehicle", "CLERK", True),
    ("DELETE FROM Vehicle", "READER", False),
    ("CREATE TABLE New", "CLERK", False),
    ("CREATE INDEX ON Vehicle (x)", "CLERK", False),
    ("CREATE INDEX ON Vehicle (x)", "TABLES", True),
    ("DROP INDEX \"a\" ON Vehicle WITH (purge = true)", "CLERK", False),
    ("DROP TABLE Vehicle", "CLERK", False),
    ("DROP TABLE Other", "TABLES", False),
    ("UNDROP TABLE \"0000000000000000000000\"", "CLERK", False),
    ("EXEC redact_revision `{strandId: \"a\", sequenceNo: 1}`, 'a', 'b'", "CLERK", False),
    ("SELECT * FROM Vehicle", "SENDER", False),
    ("CREATE TABLE New", "ADMIN", True),
    ("DROP TABLE Vehicle", "TABLES", True),
]  # fmt: skip


def test_statements_need_their_actions(connect: Connect, subtests: pytest.Subtests) -> None:
    clients = {key: connect(key) for _, key, _ in STATEMENTS}
    for text, key, allowed in STATEMENTS:
        with subtests.test(text, key=key):
            if allowed:
                clients[key].run(text)
            else:
                with pytest.raises(Refused, match=f"^{DENIED}"):
                    clients[key].run(text)


def test_session_needs_its_action(connect: Connect) -> None:
    with pytest.raises(Refused, match=r"400 AccessDeniedException User: .* qldb:SendCommand"):
        connect("OTHER")


def test_mode_allow_all(connect: Connect, api: Callable[[str], Api], monkeypatch: pytest.MonkeyPatch) -> None:
    """SendCommand is enough; but rules that are written down hold."""
    monkeypatch.setattr("strandline.ledger.endpoint.served.MODE_SECONDS", -1)
    api("ADMIN").call("PATCH", "/ledgers/vehicles/permissions-mode", {"PermissionsMode": "ALLOW_ALL"})
    assert len(connect("SENDER").run("SELECT * FROM history(Vehicle)")) == 4
    with pytest.raises(Refused, match=f"^{DENIED}"):
        connect("READER").run("SELECT * FROM history(Vehicle)")
    sender = connect("SENDER")
    api("ADMIN").call("PATCH", "/ledgers/vehicles/permissions-mode", {"PermissionsMode": "STANDARD"})
    with pytest.raises(Refused, match=f"^{DENIED}"):  # of a session that was there before, too
        sender.run("SELECT * FROM history(Vehicle)")


def test_rules_need_named_ledgers(ledger: Ledger) -> None:
    """Otherwise a client could choose the name that its rules are for."""
    with pytest.raises(UsageError, match="--ledger NAME"):
        ServedLedgers(ledger, by_any_name=False)
    ServedLedgers(ledger, name="people")
    with pytest.raises(Refusal, match="is not found"):
        ServedLedgers(ledger, by_any_name=False).find("vehicles")


def test_rule_for_a_table_allows_no_operation(api: Callable[[str], Api]) -> None:
    for key in ("TABLES", "OTHER", "READER"):
        with pytest.raises(Refused, match="400 AccessDeniedException"):
            api(key).call("POST", "/ledgers/vehicles/digest")


def test_session_belongs_to_its_key(connect: Connect) -> None:
    admin, reader = connect("ADMIN"), connect("READER")
    reader.token = admin.token
    with pytest.raises(Refused, match="400 InvalidSessionException"):
        reader.begin()
    admin.begin()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("PartiQLSelect", "is not ACTION"),
        ("PartiQLSelekt on a", "'PartiQLSelekt' is no action of QLDB's"),
        ("SendCommand on a/T", "'SendCommand' is no action of statements on tables"),
        ("PartiQLSelect on a/T/U", "is not ACTION"),
        ("PartiQLSelect, on a", "'' is no action"),
    ],
)
def test_wrong_rule_is_refused(tmp_path: Path, rule: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_keys(keys_file(tmp_path, {"A": f"SendCommand on a\n {rule}"}))
    assert "[a], allow" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_actions_are_all_of_qldbs() -> None:
    assert (len(OPERATIONS), len(ACTIONS)) == (20, 11)


def test_every_operation_is_served_under_its_action() -> None:
    """A route whose name no rule knows would be open to keys without rules only."""
    served = [name for _, _, name, _ in ROUTES]
    assert len(served) == len(OPERATIONS)
    assert set(served) == OPERATIONS


def test_request_without_a_ledger(api: Callable[[str], Api]) -> None:
    caught: Any
    assert api("ADMIN").call("GET", "/ledgers")["Ledgers"]
    with pytest.raises(Refused) as caught:
        api("READER").call("GET", "/ledgers")
    assert caught.value.message.endswith("qldb:ListLedgers on resource: arn:aws:qldb:local:000000000000:ledger/*")
