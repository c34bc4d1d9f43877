"""The reader of a page and their rights: this machine's user, a user with a password, or whom a proxy names."""

import binascii
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from starlette.requests import Request

from strandline.console.users import RIGHTS, Users
from strandline.journal.errors import UsageError

Right = Literal["reader", "analyst", "cleared", "operator"]
LOCAL = "local"
MOST_NAME = 128


@dataclass(frozen=True)
class Reader:
    """The reader of a page.

    `rights`: reader sees states and ids; analyst queries read models that are not restricted; cleared sees payload;
    operator acts. A right that is not listed is off.
    """

    name: str
    rights: frozenset[str]

    def may(self, right: Right) -> bool:
        return right in self.rights or (right == "reader" and bool(self.rights))


class SignIn(ABC):
    """A way to find out who asks.

    `asks_password`: an answer 401 makes the browser ask for one. `by_proxy`: a proxy's header says who asks.
    """

    asks_password = False
    by_proxy = False

    @abstractmethod
    def reader(self, request: Request) -> Reader | None:
        """Return who asks; None if nobody that is known."""


class Local(SignIn):
    """Everybody who reaches the console is this machine's user: it must listen on loopback only."""

    def __init__(self, rights: Sequence[Right]) -> None:
        self._reader = Reader(LOCAL, frozenset(rights))

    def reader(self, request: Request) -> Reader | None:
        return self._reader


class Basic(SignIn):
    """HTTP basic authentication against a file of users."""

    asks_password = True

    def __init__(self, users: Users) -> None:
        self._users = users

    def reader(self, request: Request) -> Reader | None:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, colon, password = b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self._users.check(name, password) if colon else None
        return None if user is None else Reader(user.name, user.rights)


class Proxy(SignIn):
    """Headers of a trusted proxy: they count only if the connection comes from one of its networks.

    `groups` gives rights to groups. A header that is there twice is refused: one of them may be the client's.
    """

    by_proxy = True

    def __init__(
        self,
        networks: Sequence[IPv4Network | IPv6Network],
        user_header: str,
        groups_header: str,
        groups: Mapping[str, frozenset[str]],
    ) -> None:
        self._networks = networks
        self._user_header, self._groups_header = user_header, groups_header
        self._groups = groups

    def reader(self, request: Request) -> Reader | None:
        if not is_within(request.client.host if request.client else "", self._networks):
            return None
        users = request.headers.getlist(self._user_header)
        groups = request.headers.getlist(self._groups_header)
        if len(users) != 1 or len(groups) > 1:
            return None
        name = users[0].strip()
        if not name or len(name) > MOST_NAME or not name.isprintable():
            return None
        named = {one.strip() for one in (groups[0] if groups else "").replace(";", ",").split(",")}
        return Reader(name, frozenset().union(*[self._groups[one] for one in named if one in self._groups]))


def is_within(host: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Return whether a peer's address is in one of the networks."""
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def parse_groups(pairs: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the rights of each group, from `GROUP:RIGHT` pairs. Raises `UsageError`."""
    groups: dict[str, frozenset[str]] = {}
    for pair in pairs:
        group, colon, right = pair.rpartition(":")
        if not colon or not group or right not in RIGHTS:
            raise UsageError(
                f"STRANDLINE_CONSOLE_GROUPS: {pair} is not GROUP:RIGHT, where RIGHT is one of {', '.join(RIGHTS)}."
            )
        groups[group] = groups.get(group, frozenset()) | {right}
    return groups
