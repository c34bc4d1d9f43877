"""Opens the console: who may sign in and how, which logins read payload, and on which address it listens."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from strandline.console.app import application
from strandline.console.console import Console
from strandline.console.logins import Login, check_login
from strandline.console.reader import Basic, Local, Proxy, Right, SignIn, parse_groups
from strandline.console.users import read_users
from strandline.consumer.database.readers import embedded_reader_url
from strandline.consumer.extras import needs_extra
from strandline.consumer.generations.stores import open_stores
from strandline.consumer.http_server import HttpServer, listen_on
from strandline.consumer.projection.definition import Projection
from strandline.consumer.settings import Settings
from strandline.journal.errors import UsageError

DEFAULT_ADDRESS = "127.0.0.1:8780"

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True)
class Options:
    """The options of the command: `behind_tls` says that a proxy ends TLS before basic authentication."""

    listen: str = DEFAULT_ADDRESS
    prefix: str = ""
    read_only: bool = False
    behind_tls: bool = False


def open_server(settings: Settings, url: str, projections: Mapping[str, Projection], options: Options) -> HttpServer:
    """Return the server, which listens but is not started. Raises `UsageError` for what would be unsafe."""
    prefix = options.prefix.rstrip("/")
    if not _PREFIX.fullmatch(prefix):
        raise UsageError("--prefix is a path such as /strandline.")
    analyst, cleared = _logins(settings, url)
    sign_in = _sign_in(settings, analyst, cleared)
    listening = listen_on(options.listen, "--listen")
    try:
        loopback = ipaddress.ip_address(listening.getsockname()[0]).is_loopback
        if not loopback and isinstance(sign_in, Local):
            raise UsageError(
                f"To listen on {options.listen}, beyond this machine, somebody must sign in: set "
                "STRANDLINE_CONSOLE_USERS or STRANDLINE_CONSOLE_PROXIES."
            )
        if not loopback and isinstance(sign_in, Basic) and not options.behind_tls:
            raise UsageError(
                f"To listen on {options.listen} with passwords, put a proxy with TLS in front and give --behind-tls: "
                "without TLS, anybody on the way reads them."
            )
        if loopback and sign_in.by_proxy and not settings.console_hosts:
            # A page that reaches this address through DNS may set headers as the proxy does.
            raise UsageError(
                "Behind a proxy on this machine, set STRANDLINE_CONSOLE_HOSTS to the names by which browsers reach it."
            )
        console = Console(
            settings=settings,
            url=url,
            projections=projections,
            stores=open_stores(settings, url),
            sign_in=sign_in,
            analyst=analyst,
            cleared=cleared,
            prefix=prefix,
            read_only=options.read_only,
            loopback_only=loopback and not sign_in.by_proxy and not options.behind_tls,
        )
        return HttpServer(application(console), listening)
    except BaseException:
        listening.close()
        raise


def _logins(settings: Settings, url: str) -> tuple[Login | None, Login | None]:
    """Return the checked logins. The embedded database has both of its own."""
    analyst, cleared = settings.console_analyst_url, settings.console_cleared_url
    if settings.database_url is None:
        analyst = analyst or embedded_reader_url(url, "analysts")
        cleared = cleared or embedded_reader_url(url, "cleared")
    return (
        None if analyst is None else check_login("analysts", analyst),
        None if cleared is None else check_login("cleared", cleared),
    )


def _sign_in(settings: Settings, analyst: Login | None, cleared: Login | None) -> SignIn:
    if settings.console_users is not None:
        return Basic(read_users(settings.console_users))
    if settings.console_alb is not None:
        with needs_extra("alb"):
            from strandline.console.load_balancer import LoadBalancer
        return LoadBalancer(
            settings.console_alb,
            settings.console_proxies,
            settings.console_user_claim,
            settings.console_groups_claim,
            parse_groups(settings.console_groups),
        )
    if settings.console_proxies:
        return Proxy(
            settings.console_proxies,
            settings.console_user_header,
            settings.console_groups_header,
            parse_groups(settings.console_groups),
        )
    rights: list[Right] = ["reader", "operator"]
    if analyst is not None:
        rights.append("analyst")
    if cleared is not None:
        rights.append("cleared")
    return Local(rights)
