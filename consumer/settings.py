"""The settings: `STRANDLINE_…` in the environment, which takes precedence, or in a file.

The file is the one that `STRANDLINE_SETTINGS_FILE` names, else `strandline.toml` in the working directory. A `.toml`
file names settings without the prefix (`database_url = "…"`), any other has `NAME=value` lines.
"""

import os
import re
import socket
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import psycopg
from dotenv.parser import parse_stream
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from strandline.journal.errors import UsageError

PREFIX = "STRANDLINE_"
SETTINGS_FILE = "STRANDLINE_SETTINGS_FILE"
DEFAULT_FILE = "strandline.toml"
KERNEL = "STRANDLINE_KERNEL"  # read before any setting
KERNELS = ("native", "python")
# Of other readers, tests and benchmarks; and what Kubernetes sets in each container for a service named strandline.
_OTHER_NAMES = re.compile(r"STRANDLINE_(SETTINGS_FILE|KERNEL|(TEST|BENCH)_\w+|SERVICE_\w+|PORT(_\w+)?)")
HANG_SECONDS = 30
SYSTEM_HOME = Path("/var/lib/strandline")


def _default_home() -> Path:
    """`/var/lib/strandline` for root and for accounts without a home folder, else `~/.strandline`."""
    if os.geteuid() == 0:
        return SYSTEM_HOME
    try:
        return Path.home() / ".strandline"
    except RuntimeError:
        return SYSTEM_HOME


class Settings(BaseSettings):
    """All settings, validated. An empty value means "not set".

    `ledger` names the ledger that commands work on, by default the one of the database itself; `create_ledgers` lets
    QLDB's API create and delete ledgers.

    The embedded PostgreSQL under `home` stops `linger_seconds` after the last command.

    `database_password_from` is where the password of `database_url` comes from (database/password.py).

    Of what serves until it is stopped: `log_level` is the least level that is logged, in the `log_format`.

    Of the worker: `stream` is the Kinesis stream's name; `application` names KCL's lease tables; with `fan_out` the
    stream's records are pushed, with a throughput of their own; `worker_id` stays the same over restarts; `listen` is
    the address of health and metrics; the metrics are also logged for CloudWatch every
    `cloudwatch_seconds`; with `tracing`, traces are exported; `drain_seconds` limits the shutdown after SIGTERM;
    `patience_seconds` limits the wait for a store that is down; a stream without records for `silent_seconds` is
    silent.

    Of redaction: one that is open for longer than `redaction_seconds` degrades health; `redactions expunge` keeps the
    bytes of rejected records for `rejected_days`; `expunge_window` (`HH:MM-HH:MM`, UTC) is when the worker runs it each
    day, to the level physical with `expunge_physical`; `subject_fields` identify people (`email`, or `Contact.email`
    for one table) in addition to those that the projections declare.

    Of `serve`: `serve_token` is the token that requests must carry; `wallet_profiles` the DynamoDB table of the
    wallet's profiles.

    Of `console`: `console_analyst_url` and `console_cleared_url` are logins of one reader role each; `console_users` is
    a file of users (console/users.py); `console_proxies` are the networks of a trusted proxy, whose headers
    `console_user_header` and `console_groups_header` say who asks, with `console_groups` (`GROUP:RIGHT,…`) giving
    rights to groups; `console_alb` is the ARN of a load balancer that signs who asks (console/load_balancer.py);
    `console_hosts` are the names by which browsers may reach it.

    `retention` has the rules of `redact --due` (ledger/retention.py).

    Of OpenSearch: `opensearch_user` and `opensearch_password`; `opensearch_ca`, a file of certificates to trust; with
    `opensearch_region`, requests are signed by AWS SigV4 for `opensearch_service`, with the credentials boto3 finds;
    `opensearch_prefix` begins the names of indexes and aliases, for several stores in one OpenSearch.

    The URLs may hold passwords: the representation omits them, and errors never quote a value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: str | None = Field(default=None, repr=False)
    database_password_from: str | None = None
    ledger: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,32}$")
    create_ledgers: bool = False
    home: Path = Field(default_factory=_default_home)
    linger_seconds: int = Field(default=300, ge=0)
    log_level: Literal["info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"
    opensearch_url: str | None = Field(default=None, repr=False)
    opensearch_user: str | None = None
    opensearch_password: str | None = Field(default=None, repr=False)
    opensearch_ca: Path | None = None
    opensearch_region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,32}$")
    opensearch_service: Literal["es", "aoss"] = "es"
    opensearch_prefix: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9_.-]{0,63})?$")
    projections: Annotated[tuple[str, ...], NoDecode] = ("strandline.projections",)
    origin: int = Field(default=0, ge=0)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    stream: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9_.-]{1,128}$")
    application: str = Field(default="strandline", pattern=r"^[a-zA-Z0-9_.-]{3,128}$")
    fan_out: bool = False
    worker_id: str = Field(default_factory=socket.gethostname, pattern=r"^[a-zA-Z0-9_.-]{1,128}$")
    listen: str = Field(default="127.0.0.1:8080", pattern=r"^(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9.-]+):[0-9]{1,5}$")
    tracing: bool = False
    cloudwatch_seconds: int | None = Field(default=None, ge=1)
    drain_seconds: int = Field(default=20, ge=1)
    patience_seconds: int = Field(default=300, ge=1)
    silent_seconds: int = Field(default=900, ge=1)
    redaction_seconds: int = Field(default=3600, ge=1)
    rejected_days: int = Field(default=30, ge=0)
    expunge_window: str | None = Field(
        default=None, pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$"
    )
    expunge_physical: bool = False
    retention: str | None = None
    subject_fields: Annotated[tuple[str, ...], NoDecode] = ()
    serve_token: str | None = Field(default=None, repr=False, pattern=r"^[!-~]{16,512}$")
    wallet_profiles: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9_.-]{3,255}$")

    console_analyst_url: str | None = Field(default=None, repr=False)
    console_cleared_url: str | None = Field(default=None, repr=False)
    console_users: Path | None = None
    console_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    console_user_header: str = Field(default="Remote-User", pattern=r"^[A-Za-z0-9-]{1,64}$")
    console_groups_header: str = Field(default="Remote-Groups", pattern=r"^[A-Za-z0-9-]{1,64}$")
    console_groups: Annotated[tuple[str, ...], NoDecode] = ()
    console_alb: str | None = None
    console_user_claim: str = "sub"
    console_groups_claim: str = "groups"
    console_hosts: Annotated[tuple[str, ...], NoDecode] = ()

    @model_validator(mode="before")
    @classmethod
    def _name_application(cls, given: Any) -> Any:
        """Let each ledger have KCL's tables of its own, unless the setting names them."""
        if isinstance(given, dict) and given.get("ledger") and not given.get("application"):
            return {**given, "application": f"strandline-{given['ledger']}"}
        return given

    @field_validator("database_url", "console_analyst_url", "console_cleared_url")
    @classmethod
    def _is_libpq(cls, url: str | None) -> str | None:
        try:
            conninfo_to_dict(url or "")
        except psycopg.ProgrammingError:
            # libpq's own text quotes the URL, and that may hold a password.
            raise ValueError("is not a PostgreSQL URL such as postgresql://user@host:5432/database") from None
        return url

    @field_validator("database_password_from")
    @classmethod
    def _is_source(cls, source: str | None) -> str | None:
        if source is not None and not re.fullmatch(r"rds-iam|secret:[\w/+=.@:-]+|file:.+", source):
            raise ValueError("is not rds-iam, secret:NAME or file:PATH")
        return source

    @field_validator("opensearch_url")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("is not a URL that begins with http:// or https://")
        return url

    @model_validator(mode="after")
    def _has_one_login(self) -> Self:
        if (self.opensearch_user is None) != (self.opensearch_password is None):
            raise ValueError("STRANDLINE_OPENSEARCH_USER and STRANDLINE_OPENSEARCH_PASSWORD go together")
        if self.opensearch_user is not None and self.opensearch_region is not None:
            raise ValueError("STRANDLINE_OPENSEARCH_USER and STRANDLINE_OPENSEARCH_REGION exclude each other")
        return self

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        if self.database_password_from is None:
            return self
        if self.database_url is None:
            raise ValueError("STRANDLINE_DATABASE_PASSWORD_FROM needs STRANDLINE_DATABASE_URL")
        if "password" in conninfo_to_dict(self.database_url):
            raise ValueError("STRANDLINE_DATABASE_URL has a password, and STRANDLINE_DATABASE_PASSWORD_FROM is set")
        return self

    @model_validator(mode="after")
    def _has_one_log(self) -> Self:
        if self.cloudwatch_seconds is not None and self.log_format != "json":
            raise ValueError("STRANDLINE_CLOUDWATCH_SECONDS needs STRANDLINE_LOG_FORMAT=json")
        return self

    @model_validator(mode="after")
    def _has_one_sign_in(self) -> Self:
        if self.console_users is not None and self.console_proxies:
            raise ValueError("STRANDLINE_CONSOLE_USERS and STRANDLINE_CONSOLE_PROXIES exclude each other")
        if self.console_alb is not None and not self.console_proxies:
            raise ValueError("STRANDLINE_CONSOLE_ALB needs STRANDLINE_CONSOLE_PROXIES: its networks")
        return self

    @property
    def unused(self) -> list[str]:
        """The settings that were given and have no effect without another."""
        needed = {
            "opensearch_url": ("opensearch_user", "opensearch_password", "opensearch_ca", "opensearch_region"),
            "opensearch_region": ("opensearch_service",),
            "expunge_window": ("expunge_physical",),
        }
        return [
            f"{PREFIX}{name.upper()} has no effect without {PREFIX}{other.upper()}"
            for other, names in needed.items()
            for name in names
            if name in self.model_fields_set and getattr(self, other) is None
        ]

    @property
    def hang_seconds(self) -> int:
        """The time after which an operation that neither proceeds nor fails is given up."""
        return self.patience_seconds + HANG_SECONDS

    @property
    def shown_opensearch_url(self) -> str:
        """The URL without the login that it may contain."""
        scheme, _, rest = (self.opensearch_url or "").partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].rstrip('/')}"

    @field_validator("home")
    @classmethod
    def _is_absolute(cls, home: Path) -> Path:
        try:
            return home.expanduser().absolute()
        except RuntimeError:
            raise ValueError("begins with ~, but this account has no home folder") from None

    @field_validator(
        "projections", "subject_fields", "console_proxies", "console_groups", "console_hosts", mode="before"
    )
    @classmethod
    def _split(cls, names: object) -> object:
        if not isinstance(names, str):
            return names
        return tuple(name.strip() for name in names.split(",") if name.strip())

    @field_validator("projections")
    @classmethod
    def _are_packages(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or not all(part.isidentifier() for name in names for part in name.split(".")):
            raise ValueError("is not a list of Python packages, separated by commas")
        return names


def load_settings() -> Settings:
    """Return the settings of this process. Raises `UsageError` with one line for each that is wrong."""
    file = _file()
    try:
        given = {} if file is None else _read_toml(file) if file.suffix == ".toml" else _read_lines(file)
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"The settings file {file} cannot be read as UTF-8 text.") from None
    environment = {name for name, value in os.environ.items() if name.startswith(PREFIX) and value}
    _check_names({**dict.fromkeys(given, f"{file}: "), **dict.fromkeys(environment, "")})
    for name in sorted({SETTINGS_FILE, KERNEL} & set(given)):
        raise UsageError(f"{file}: {name} has no effect in a file: set it in the environment.")
    if os.environ.get(KERNEL) and os.environ[KERNEL] not in KERNELS:
        raise UsageError(f"{KERNEL} should be 'native' or 'python'")
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items() if name not in environment}
    try:
        return Settings(**fields)
    except ValidationError as exc:
        raise UsageError(_one_line_each(exc)) from None


def _file() -> Path | None:
    """Return the settings file: the one that the environment names, else `strandline.toml` in this folder, if any."""
    named = os.environ.get(SETTINGS_FILE) or None
    if named is not None and not Path(named).is_file():
        raise UsageError(f"{SETTINGS_FILE}: there is no file {named}")
    if named is not None:
        return Path(named)
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None


def _read_toml(file: Path) -> dict[str, Any]:
    """Read the settings of a TOML file, which are named without the prefix and in lower case."""
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as exc:
        raise UsageError(f"{file} is not TOML: {exc}.") from None
    return {PREFIX + name.upper(): value for name, value in values.items()}


def _read_lines(file: Path) -> dict[str, Any]:
    """Read a file of NAME=value lines. dotenv only warns of a line that it cannot read."""
    with file.open(encoding="utf-8") as lines:
        bindings = list(parse_stream(lines))
    if wrong := [one.original for one in bindings if one.error]:
        blank = wrong[0].string[: -len(wrong[0].string.lstrip())].count("\n")  # lines before it
        raise UsageError(f"{SETTINGS_FILE}: {file}, line {wrong[0].line + blank}, is not NAME=value")
    return {one.key: one.value for one in bindings if one.key and one.key.startswith(PREFIX) and one.value}


def _check_names(names: Mapping[str, str]) -> None:
    """Refuse names that are no settings: one that is misspelt would silently have no effect.

    Each has where it stands, as the error's line begins.
    """
    known = [name.upper() for name in Settings.model_fields]
    settings = {PREFIX + name for name in known}
    wrong = sorted(name for name in names if name not in settings and not _OTHER_NAMES.fullmatch(name))
    if not wrong:
        return
    lines = []
    for name in wrong:
        near = get_close_matches(name.removeprefix(PREFIX), known, 1)
        advice = f"did you mean {PREFIX}{near[0]}?" if near else "remove it."
        lines.append(f"{names[name]}{name} is no setting: {advice}")
    raise UsageError("\n".join(lines))


def _one_line_each(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        name = PREFIX + str(error["loc"][0]).upper() + " " if error["loc"] else ""
        lines.append(f"{name}{reason}")
    return "\n".join(lines)
