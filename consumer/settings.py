"""Settings: `STRANDLINE_…` in the environment, or in the file that `STRANDLINE_SETTINGS_FILE` names.

The file has lines `NAME=value`; the environment wins.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Literal, Self

import psycopg
from dotenv.parser import parse_stream
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from strandline.journal.errors import UsageError

PREFIX = "STRANDLINE_"
SETTINGS_FILE = "STRANDLINE_SETTINGS_FILE"
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
    """All settings, checked; an empty value means "not set".

    Of the worker: `stream` is the Kinesis stream's name; `application` names KCL's lease tables; `worker_id` stays the
    same when a worker starts again; `listen` is where health and metrics are; `drain_seconds` is the time for what is
    in hand at SIGTERM; `patience_seconds` how long a store that is down is waited for; a stream that was not heard of
    for `silent_seconds` is called silent.

    Of redaction: one that is open for longer than `redaction_seconds` degrades health; `rejected_days` is how long
    `redactions expunge` leaves the bytes of refused records; `expunge_window` (`HH:MM-HH:MM`, UTC) is when the worker
    does that each day, to the level physical with `expunge_physical`; `subject_fields` name people (`email`, or
    `Contact.email` for one table) besides those that the projections declare.

    Of `serve`: `serve_token` is what requests must bear; `wallet_profiles` the DynamoDB table of the wallet's profiles.

    `retention` is the rules that `redact --due` goes by (ledger/retention.py).

    Of OpenSearch: `opensearch_user` and `opensearch_password`; `opensearch_ca`, a file of certificates to trust; with
    `opensearch_region`, requests are signed by AWS SigV4 for `opensearch_service`, with the credentials boto3 finds;
    `opensearch_prefix` begins the names of indexes and aliases, for several stores in one OpenSearch.

    The URLs may hold passwords: they are left out of the representation, and errors never quote a value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: str | None = Field(default=None, repr=False)
    home: Path = Field(default_factory=_default_home)
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
    worker_id: str = Field(default_factory=socket.gethostname, pattern=r"^[a-zA-Z0-9_.-]{1,128}$")
    listen: str = Field(default="127.0.0.1:8080", pattern=r"^(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9.-]+):[0-9]{1,5}$")
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

    @field_validator("database_url")
    @classmethod
    def _is_libpq(cls, url: str | None) -> str | None:
        try:
            conninfo_to_dict(url or "")
        except psycopg.ProgrammingError:
            # libpq's own text quotes the URL, and that may hold a password.
            raise ValueError("is not a PostgreSQL URL such as postgresql://user@host:5432/database") from None
        return url

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

    @property
    def hang_seconds(self) -> int:
        """After how long what neither goes on nor fails is given up."""
        return self.patience_seconds + HANG_SECONDS

    @property
    def shown_opensearch_url(self) -> str:
        """The URL without a login that may stand in it."""
        scheme, _, rest = (self.opensearch_url or "").partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].rstrip('/')}"

    @field_validator("home")
    @classmethod
    def _is_absolute(cls, home: Path) -> Path:
        try:
            return home.expanduser().absolute()
        except RuntimeError:
            raise ValueError("begins with ~, but this account has no home folder") from None

    @field_validator("projections", "subject_fields", mode="before")
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
    """The settings of this process; raises `UsageError` with one line for each that is wrong."""
    file = os.environ.get(SETTINGS_FILE) or None
    if file is not None and not Path(file).is_file():
        raise UsageError(f"{SETTINGS_FILE}: there is no file {file}")
    try:
        if file is not None:
            _check_lines(Path(file))
        return Settings(_env_file=file)  # type: ignore[call-arg]  # seen only by pydantic's mypy plugin
    except ValidationError as exc:
        raise UsageError(_one_line_each(exc)) from None
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{SETTINGS_FILE}: {file} cannot be read as UTF-8 text") from None


def _check_lines(file: Path) -> None:
    """pydantic's reader, dotenv, only warns of a line that it cannot read, and would go on without that setting."""
    with file.open(encoding="utf-8") as lines:
        wrong = [one.original for one in parse_stream(lines) if one.error]
    if wrong:
        blank = wrong[0].string[: -len(wrong[0].string.lstrip())].count("\n")  # lines before it
        raise UsageError(f"{SETTINGS_FILE}: {file}, line {wrong[0].line + blank}, is not NAME=value")


def _one_line_each(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        name = PREFIX + str(error["loc"][0]).upper() + " " if error["loc"] else ""
        lines.append(f"{name}{reason}")
    return "\n".join(lines)
