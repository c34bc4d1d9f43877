"""Checks of the database: version, schema, rights, durability, logging, pooling."""

from typing import Any

from strandline.consumer.database.connection import AUDITOR, OPERATOR, PINNED, WORKER, Connection, connect
from strandline.consumer.database.migrate import pending_migrations
from strandline.consumer.database.readers import ROLES
from strandline.consumer.diagnosis.finding import Findings

LEAST_CONNECTIONS = 20  # of a worker with some read models, a console and a few commands
POOLING_ROUNDS = 5

READ_SERVER = """
    SELECT pg_is_in_recovery(), current_setting('max_connections')::int
               - current_setting('superuser_reserved_connections')::int
               - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int,
           pg_database_size(current_database()),
           (SELECT datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid)
            FROM pg_database WHERE datname = current_database())"""
# The values that a new session of this login gets.
READ_DEFAULTS = "SELECT name, reset_val FROM pg_settings WHERE name = ANY (%s)"
READ_LOGIN = """
    SELECT session_user::text, rolsuper, rolcreaterole,
           has_database_privilege(current_database(), 'CREATE WITH GRANT OPTION')
    FROM pg_roles WHERE rolname = session_user"""
READ_ROLES = """
    SELECT rolname, pg_has_role(session_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = ANY (%s) ORDER BY rolname"""
READ_WORKER_RIGHTS = """
    SELECT privilege FROM unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) AS privilege
    WHERE to_regnamespace('journal') IS NOT NULL  -- else the first migration will grant them
      AND NOT has_database_privilege(%s, current_database(), privilege)"""
PID = "SELECT pg_backend_pid()"

OVERRULED = (
    "default_transaction_isolation",
    "statement_timeout",
    "lock_timeout",
    "idle_session_timeout",
)
DURABILITY = ("fsync", "full_page_writes")
LOGGING = ("log_statement", "log_min_duration_statement")


def check_postgresql(findings: Findings, url: str) -> None:
    """Check the database as the login of the URL, which takes no other role."""
    with findings.guarded("connection"), connect(url, role=None, autocommit=True) as connection:
        info = connection.info
        findings.ok("connection", f"{info.host or 'local'}, port {info.port}, database {info.dbname}")
        # `connect` refuses older servers and other encodings.
        major, minor = divmod(info.server_version, 10_000)
        findings.ok("version", f"PostgreSQL {major}.{minor}")
        findings.ok("encoding", str(info.parameter_status("server_encoding")))
        for check in (_check_server, _check_schema, _check_rights, _check_settings):
            with findings.guarded(check.__name__.removeprefix("_check_"), "warning"):
                check(findings, connection)
        with findings.guarded("pooling"), connect(url, role=None, autocommit=True) as other:
            check_pooling(findings, connection, other)


def check_pooling(findings: Findings, first: Connection, second: Connection) -> None:
    """Check that two open connections are two sessions: a pooler in transaction mode lends each of them any session."""
    seen = [(_row(first, PID), _row(second, PID)) for _ in range(POOLING_ROUNDS)]
    if any(one == other for one, other in seen) or len(set(seen)) > 1:
        findings.fault(
            "pooling",
            "connections do not keep a session of their own: a pooler in transaction mode is in between",
            "connect to the server itself, or set the pooler to session mode: locks, roles and settings belong "
            "to a session",
        )
        return
    findings.ok("pooling", "each connection has a session of its own")


def _check_server(findings: Findings, connection: Connection) -> None:
    standby, free, size, other_collation = _row(connection, READ_SERVER)
    if standby:
        findings.fault("primary", "this server is a standby, which accepts no writes", "connect to the primary")
    else:
        findings.ok("primary", "accepts writes")
    if free < LEAST_CONNECTIONS:
        advice = "raise max_connections, or end other clients"
        findings.warn("connections", f"{free} free", advice)
    else:
        findings.ok("connections", f"{free} free")
    findings.ok("size", f"the database has {size / 1e6:,.0f} MB")
    if other_collation:
        findings.warn(
            "collation",
            "the system's collation is of another version than the one that indexes of texts were built with",
            "run REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION",
        )


def _check_schema(findings: Findings, connection: Connection) -> None:
    with findings.guarded("schema"):
        if pending := pending_migrations(connection):
            number = f"{len(pending)} migration{'' if len(pending) == 1 else 's'} to apply"
            if _may_migrate(connection):
                findings.note("schema", number, "the next command applies them, or `strandline migrate`")
            else:
                advice = "let an administrator run `strandline migrate`"
                findings.fault("schema", f"{number}, for which this login lacks rights", advice)
        else:
            findings.ok("schema", "up to date")


def _check_rights(findings: Findings, connection: Connection) -> None:
    known = (WORKER, OPERATOR, AUDITOR, *ROLES.values())
    roles = {name: bool(member) for name, member in connection.execute(READ_ROLES, [list(known)])}
    login = str(_row(connection, READ_LOGIN)[0])
    if WORKER not in roles:
        findings.note("rights", f"login {login}; the roles do not exist yet", "`strandline migrate` creates them")
        return
    held = [name for name, member in roles.items() if member]
    if not held:
        advice = f"let an administrator GRANT one of them to {login}: docs/design.md, Roles"
        findings.fault("rights", f"login {login} has none of Strandline's roles", advice)
    elif WORKER in held:
        findings.ok("rights", f"login {login} may do everything ({WORKER})")
    else:
        advice = "commands that write need a login with strandline_worker"
        findings.note("rights", f"login {login} has {', '.join(held)}", advice)
    if lacking := [name for (name,) in connection.execute(READ_WORKER_RIGHTS, [WORKER])]:
        database = connection.info.dbname
        advice = f"let an administrator GRANT {', '.join(lacking)} ON DATABASE {database} TO {WORKER}"
        findings.fault("rights", f"{WORKER} lacks {', '.join(lacking)} on the database", advice)


def _check_settings(findings: Findings, connection: Connection) -> None:
    names = [*OVERRULED, *DURABILITY, *LOGGING]
    values: dict[str, str] = dict(connection.execute(READ_DEFAULTS, [names]).fetchall())
    differing = [f"{name} = {values[name]}" for name in OVERRULED if values.get(name, "") != PINNED[name]]
    if differing:
        findings.note("sessions", f"{'; '.join(differing)}: Strandline's own connections overrule these")
    else:
        findings.ok("sessions", "isolation and timeouts are as Strandline sets them")
    if off := [name for name in DURABILITY if values.get(name) == "off"]:
        advice = "turn it on: the journal store must not be lost"
        findings.warn("durability", f"{' and '.join(off)} off: a crash may damage the database", advice)
    else:
        findings.ok("durability", "fsync and full_page_writes are on")
    logged = _logged(values)
    if logged:
        advice = "statements may hold personal data, which no redaction removes from a log: turn it off"
        findings.warn("log", f"the server logs statements ({', '.join(logged)})", advice)
    else:
        findings.ok("log", "the server logs no statement that succeeds")


def _logged(values: dict[str, str]) -> list[str]:
    logged = []
    if values.get("log_statement") in ("mod", "all"):
        logged.append(f"log_statement = {values['log_statement']}")
    if values.get("log_min_duration_statement", "-1") != "-1":
        logged.append(f"log_min_duration_statement = {values['log_min_duration_statement']}")
    return logged


def _may_migrate(connection: Connection) -> bool:
    _, superuser, create_role, grants = _row(connection, READ_LOGIN)
    roles: dict[str, bool] = dict(connection.execute(READ_ROLES, [[WORKER]]).fetchall())
    return bool(superuser or roles.get(WORKER, create_role and grants))


def _row(connection: Connection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row
