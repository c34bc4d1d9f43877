"""The rights of readers: sign-in, rights, the origin of a POST, and the logins by which payload is read."""

import ipaddress
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from strandline.console import serving
from strandline.console.logins import check_login
from strandline.console.reader import Basic, Proxy, parse_groups
from strandline.console.users import Users, read_users, user_line
from strandline.consumer.database.query import QueryError, query
from strandline.consumer.database.readers import embedded_reader_url
from strandline.journal.errors import UsageError
from tests.console.samples import EVERY_RIGHT, PROJECTIONS, SAME_ORIGIN, As, Store, basic, client_of, seen

PASSWORD = "correct horse"
# `ts_stat` runs a text as a query when it is called: after the role was left.
LEAVE = """
    WITH was AS MATERIALIZED (SELECT set_config('role', '{role}', true) AS role)
    SELECT word FROM was, LATERAL ts_stat(CASE WHEN was.role IS NOT NULL THEN
        'SELECT to_tsvector(''simple'', data::text) FROM journal.revision WHERE data IS NOT NULL' END)"""
TRAPS = (
    LEAVE.format(role="none"),
    LEAVE.format(role="strandline_worker"),
    "SELECT * FROM ts_stat('SELECT to_tsvector(data::text) FROM journal.revision')",
    "SELECT data FROM journal.revision",
    "SELECT pg_read_file('/etc/passwd')",
)
ACTIONS = {  # what needs a right besides reader
    "/documents/{document}/reveal": "cleared",
    "/documents/{document}/{version}/proof/with-data": "cleared",
    "/blocks/3/reveal": "cleared",
    "/redactions/find": "cleared",
    "/query/partiql": "cleared",
    "/query/partiql/indexes": "operator",
    "/query/partiql/ion": "cleared",
    "/query/partiql/file": "cleared",
    "/query": "analyst",
    "/query/csv": "analyst",
    "/query/file": "analyst",
    "/query/cancel": "analyst",
    "/models/licence_register/rebuild": "operator",
    "/models/licence_register/rollback": "operator",
    "/models/licence_register/retry": "operator",
    "/waiting/acknowledge": "operator",
    "/waiting/accept-gap": "operator",
}


@contextmanager
def login(store: Store, *roles: str, attributes: str = "") -> Iterator[str]:
    """A login of the test's own, with these roles."""
    name = f"console_test_{store.url.rpartition('/')[2].partition('?')[0][-24:]}"
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute(SQL("CREATE ROLE {} LOGIN " + attributes).format(Identifier(name)))  # type: ignore[arg-type]
        try:
            for role in roles:
                connection.execute(SQL("GRANT {} TO {}").format(Identifier(role), Identifier(name)))
            yield make_conninfo(store.url, user=name)
        finally:
            connection.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
            connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


@pytest.mark.parametrize("right", ["analyst", "cleared"])
def test_a_query_cannot_leave_the_role_of_its_login(store: Store, right: str) -> None:
    with store.client("reader", right) as client:
        for trap in TRAPS:
            answer = client.post("/query", data={"sql": trap}, headers=SAME_ORIGIN)
            assert answer.status_code == 409, trap
            assert "42501" in answer.text, trap
            assert "--write" not in answer.text  # a hint of the command
        if right == "analyst":
            trap = "SELECT * FROM read.contact_directory"
            assert "42501" in client.post("/query", data={"sql": trap}, headers=SAME_ORIGIN).text


def test_the_worker_under_set_role_would_leak(store: Store) -> None:
    """The reason for logins of their own: this is what a page behind SET ROLE would let out."""
    url = make_conninfo(store.url, options="-c role=strandline_analyst -c default_transaction_read_only=on")
    with pytest.raises(QueryError, match="42501"), query(url, "SELECT data FROM journal.revision") as answer:
        list(answer.rows)
    with query(url, LEAVE.format(role="none")) as answer:
        words = " ".join(word for (word,) in answer.rows)
    assert seen([one.lower() for one in store.payload], words)


@pytest.mark.parametrize(
    ("roles", "attributes", "text"),
    [
        (("strandline_analyst", "strandline_cleared"), "", "also a member of strandline_cleared"),
        (("strandline_analyst", "strandline_worker"), "", "strandline_operator, strandline_worker"),
        (("strandline_analyst", "pg_read_all_data"), "", "pg_read_all_data"),
        ((), "", "not a member of strandline_analyst"),
        (("strandline_analyst",), "SUPERUSER", "superuser"),
        (("strandline_analyst",), "CREATEROLE", "may create roles"),
    ],
)
def test_a_login_of_more_than_one_role_is_refused(
    store: Store, roles: tuple[str, ...], attributes: str, text: str
) -> None:
    with login(store, *roles, attributes=attributes) as url, pytest.raises(UsageError, match=text):
        check_login("analysts", url)


def test_a_login_of_one_role_is_taken(store: Store) -> None:
    with login(store, "strandline_cleared") as url:
        assert check_login("cleared", url).url == url


@pytest.mark.parametrize(("path", "right"), ACTIONS.items())
def test_an_action_needs_its_right(store: Store, path: str, right: str) -> None:
    document, version = store.document()
    path = path.format(document=document, version=version)
    others = [one for one in EVERY_RIGHT if one != right and not (right == "analyst" and one == "cleared")]
    with store.client(*others) as client:
        answer = client.post(path, data={"sql": "SELECT 1", "versions": "all"}, headers=SAME_ORIGIN)
    assert answer.status_code == 403
    assert f"needs the right {right}" in answer.text
    assert store.rows("SELECT action FROM console.audit") == []


def test_without_logins_there_is_no_payload(store: Store) -> None:
    document, _ = store.document("r.state = 'normal'")
    with client_of(store.console(As(EVERY_RIGHT), logins=False)) as client:
        assert "STRANDLINE_CONSOLE_CLEARED_URL" in client.get(f"/documents/{document}").text
        assert "STRANDLINE_CONSOLE_ANALYST_URL" in client.get("/query").text
        assert (
            client.post(f"/documents/{document}/reveal", headers=SAME_ORIGIN, data={"versions": "all"}).status_code
            == 403
        )
        assert client.post("/query", data={"sql": "SELECT 1"}, headers=SAME_ORIGIN).status_code == 403


def test_read_only(store: Store) -> None:
    with store.client(*EVERY_RIGHT, read_only=True) as client:
        answer = client.post("/models/licence_register/rebuild", headers=SAME_ORIGIN, data={"accept": ""})
        assert answer.status_code == 403
        assert "--read-only" in client.get("/models/licence_register").text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"}, 403),
        ({"authorization": "Basic eA==", "cookie": "a=b"}, 403),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://127.0.0.1"}, 303),
        ({"authorization": "Basic eA=="}, 303),
    ],
)
def test_a_post_comes_from_the_console(store: Store, headers: dict[str, str], status: int) -> None:
    with store.client("reader") as client:
        assert client.post("/go", data={"to": "3"}, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8780", 200), ("localhost", 200), ("[::1]:1", 200), ("evil.example", 403), ("", 403)],
)
def test_the_host_is_this_machine(store: Store, host: str, status: int) -> None:
    with store.client("reader") as client:
        assert client.get("/", headers={"host": host}).status_code == status


def test_hosts_of_a_console_beyond_this_machine(store: Store) -> None:
    settings = store.settings(console_hosts="console.example,other.example")
    with client_of(store.console(As(("reader",)), settings=settings, loopback_only=False)) as client:
        assert client.get("/", headers={"host": "console.example"}).status_code == 200
        assert client.get("/", headers={"host": "127.0.0.1"}).status_code == 403


def test_passwords(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(
        "# comment\n" + user_line("ada", PASSWORD, ["reader"]) + "\n" + user_line("bob", PASSWORD + "s", [])
    )
    assert PASSWORD not in file.read_text()
    with client_of(store.console(Basic(read_users(file)))) as client:
        asked = client.get("/")
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"].startswith("Basic ")
        assert client.get("/", headers=basic("ada", PASSWORD)).status_code == 200
        assert client.get("/", headers=basic("ada", PASSWORD)).status_code == 200  # remembered
        assert client.get("/", headers=basic("ada", "wrong")).status_code == 401
        assert client.get("/", headers=basic("bob", PASSWORD)).status_code == 401
        assert client.get("/", headers=basic("eve", PASSWORD)).status_code == 401
        assert client.get("/", headers=basic("bob", PASSWORD + "s")).status_code == 403  # has no right
        for wrong in ("Basic", "Basic !", "Basic eA==", "Bearer x"):
            assert client.get("/", headers={"authorization": wrong}).status_code == 401


@pytest.mark.parametrize(
    "line", ["ada", "ada:plain:reader", "ada:scrypt$1$8$1$AA==$AA==:reader", "a b:scrypt$32768$8$1$x$y:reader"]
)
def test_a_wrong_line_of_the_file_of_users(tmp_path: Path, line: str) -> None:
    (tmp_path / "users").write_text(f"\n{line}\n")
    with pytest.raises(UsageError, match="line 2") as error:
        read_users(tmp_path / "users")
    assert "plain" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "password", "rights"), [("a:b", PASSWORD, []), ("a", "short", []), ("a", PASSWORD, ["all"])]
)
def test_a_user_that_cannot_be_added(name: str, password: str, rights: list[str]) -> None:
    with pytest.raises(UsageError):
        user_line(name, password, rights)


def test_no_users_let_nobody_in() -> None:
    assert Users([]).check("ada", PASSWORD) is None


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("10.0.0.7", [("Remote-User", "ada"), ("Remote-Groups", "staff")], 200),
        ("::ffff:10.0.0.7", [("Remote-User", "ada"), ("Remote-Groups", "staff")], 200),
        ("10.0.1.7", [("Remote-User", "ada"), ("Remote-Groups", "staff")], 403),
        ("testclient", [("Remote-User", "ada"), ("Remote-Groups", "staff")], 403),
        ("10.0.0.7", [("Remote-Groups", "staff")], 403),
        ("10.0.0.7", [("Remote-User", "ada")], 403),
        ("10.0.0.7", [("Remote-User", "ada"), ("Remote-Groups", "others")], 403),
        ("10.0.0.7", [("Remote-User", "eve"), ("Remote-User", "ada"), ("Remote-Groups", "staff")], 403),
        ("10.0.0.7", [("Remote-User", "ada"), ("Remote-Groups", "x"), ("Remote-Groups", "staff")], 403),
    ],
)
def test_headers_of_a_proxy(store: Store, peer: str, headers: list[tuple[str, str]], status: int) -> None:
    groups = parse_groups(["staff:reader", "staff:analyst", "law:cleared"])
    sign_in = Proxy([ipaddress.ip_network("10.0.0.0/24")], "Remote-User", "Remote-Groups", groups)
    with client_of(store.console(sign_in, loopback_only=False), host=peer) as client:
        assert client.get("/", headers=headers).status_code == status


def test_groups_give_rights() -> None:
    assert parse_groups(["cn=law,dc=x:cleared", "law:reader", "law:operator"]) == {
        "cn=law,dc=x": frozenset({"cleared"}),
        "law": frozenset({"reader", "operator"}),
    }
    with pytest.raises(UsageError, match="law"):
        parse_groups(["law"])


@pytest.mark.parametrize(
    ("more", "options", "text"),
    [
        ({}, serving.Options(listen="0.0.0.0:0"), "somebody must sign in"),
        ({"console_users": "users"}, serving.Options(listen="0.0.0.0:0"), "--behind-tls"),
        ({}, serving.Options(listen="127.0.0.1:0", prefix="x"), "--prefix"),
        ({"console_proxies": "127.0.0.1/32"}, serving.Options(listen="127.0.0.1:0"), "STRANDLINE_CONSOLE_HOSTS"),
        (
            {"console_proxies": "127.0.0.1/32", "console_groups": "x"},
            serving.Options(listen="127.0.0.1:0"),
            "GROUP:RIGHT",
        ),
    ],
)
def test_what_would_be_unsafe_does_not_start(
    store: Store, tmp_path: Path, more: dict[str, str], options: serving.Options, text: str
) -> None:
    if "console_users" in more:
        more = {"console_users": str(tmp_path / "users")}
        (tmp_path / "users").write_text(user_line("ada", PASSWORD, ["reader"]))
    with pytest.raises(UsageError, match=text):
        serving.open_server(store.settings(**more), store.url, PROJECTIONS, options)


def test_a_login_of_the_worker_does_not_start(store: Store) -> None:
    settings = store.settings(console_cleared_url=store.url)
    with pytest.raises(UsageError, match="STRANDLINE_CONSOLE_CLEARED_URL"):
        serving.open_server(settings, store.url, PROJECTIONS, serving.Options(listen="127.0.0.1:0"))


def test_it_listens(store: Store) -> None:
    settings = store.settings(console_cleared_url=embedded_reader_url(store.url, "cleared"))
    server = serving.open_server(settings, store.url, PROJECTIONS, serving.Options(listen="127.0.0.1:0"))
    server.start()
    try:
        with urllib.request.urlopen(f"{server.url}/health.json") as answer:
            assert answer.status == 200
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
    finally:
        server.stop()
        assert server.join(20)
