"""The file of users: a line `name:scrypt$N$R$P$SALT$HASH:right,right` each. `console --add-user` makes one."""

import hashlib
import hmac
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock

from strandline.journal.errors import UsageError

COST, BLOCK_SIZE, PARALLEL = 2**15, 8, 1  # 32 MiB and about a tenth of a second
MEMORY = 64 * 1024 * 1024
LARGEST_COST = 2**16
REMEMBERED_SECONDS = 300.0
MOST_REMEMBERED = 1_000
RIGHTS = ("reader", "analyst", "cleared", "operator")

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


@dataclass(frozen=True)
class User:
    """A user: name, what the password is checked against, and rights."""

    name: str
    stored: str
    rights: frozenset[str]


class Users:
    """The users of a file. A password that was right is remembered for some minutes, as a keyed hash."""

    def __init__(self, users: Sequence[User]) -> None:
        self._users = {one.name: one for one in users}
        self._secret = os.urandom(32)
        self._known: dict[bytes, float] = {}
        self._lock = Lock()
        self._few = BoundedSemaphore(2)  # each check takes memory
        self._nobody = hash_password(b64encode(os.urandom(16)).decode())

    def check(self, name: str, password: str) -> User | None:
        """Return the user if the password is right. An unknown name takes as long as a wrong password."""
        user = self._users.get(name)
        key = hmac.digest(self._secret, f"{name}\0{password}".encode(), "sha256")
        if user is not None and self._is_known(key):
            return user
        with self._few:
            right = matches(password, user.stored if user else self._nobody)
        if user is None or not right:
            return None
        with self._lock:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = time.monotonic() + REMEMBERED_SECONDS
        return user

    def _is_known(self, key: bytes) -> bool:
        with self._lock:
            return self._known.get(key, 0.0) > time.monotonic()


def read_users(file: Path) -> Users:
    """Read the file. Raises `UsageError` with the line at fault; no line is quoted, since it holds a hash."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"STRANDLINE_CONSOLE_USERS: {file} cannot be read as UTF-8 text.") from None
    users = [
        _user(line.strip(), f"{file}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    names = [one.name for one in users]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"STRANDLINE_CONSOLE_USERS: {file} has the user {twice} twice: delete one of the lines.")
    return Users(users)


def user_line(name: str, password: str, rights: Sequence[str]) -> str:
    """Return a user's line for the file. Raises `UsageError` for a name or right that it cannot hold."""
    if not _NAME.fullmatch(name):
        raise UsageError("A user's name has 1 to 64 letters, digits or ._@- signs.")
    if wrong := next((one for one in rights if one not in RIGHTS), None):
        raise UsageError(f"There is no right {wrong!r}: the rights are {', '.join(RIGHTS)}.")
    if len(password) < 8:
        raise UsageError("The password is too short: use 8 characters or more.")
    return f"{name}:{hash_password(password)}:{','.join(rights)}"


def hash_password(password: str) -> str:
    """Return what to store of a password."""
    salt = os.urandom(16)
    found = _scrypt(password, salt, COST, BLOCK_SIZE, PARALLEL)
    return f"scrypt${COST}${BLOCK_SIZE}${PARALLEL}${b64encode(salt).decode()}${b64encode(found).decode()}"


def matches(password: str, stored: str) -> bool:
    """Return whether it is the password of which `stored` was made."""
    _, cost, size, parallel, salt, expected = stored.split("$")
    found = _scrypt(password, b64decode(salt), int(cost), int(size), int(parallel))
    return hmac.compare_digest(found, b64decode(expected))


def _scrypt(password: str, salt: bytes, cost: int, size: int, parallel: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=size, p=parallel, maxmem=MEMORY, dklen=32)


def _user(line: str, where: str) -> User:
    name, _, rest = line.partition(":")
    stored, _, rights = rest.rpartition(":")
    given = frozenset(one.strip() for one in rights.split(",") if one.strip())
    try:
        kind, cost, size, parallel, salt, expected = stored.split("$")
        sound = (
            kind == "scrypt"
            and 2**10 <= int(cost) <= LARGEST_COST
            and int(size) == BLOCK_SIZE
            and int(parallel) == PARALLEL
            and len(b64decode(salt, validate=True)) >= 16
            and len(b64decode(expected, validate=True)) == 32
        )
    except ValueError:
        sound = False
    if not _NAME.fullmatch(name) or not sound or not given <= set(RIGHTS):
        raise UsageError(
            f"STRANDLINE_CONSOLE_USERS: {where} is not a user: make the line with `strandline console --add-user NAME`."
        )
    return User(name, stored, given)
