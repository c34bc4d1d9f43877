"""What the person who runs Strandline may set: `STRANDLINE_…` in the environment, or in the file that
`STRANDLINE_SETTINGS_FILE` names (`NAME=value` lines; the environment wins)."""

import os
from pathlib import Path
from typing import Annotated

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from journal.errors import UsageError

PREFIX = "STRANDLINE_"
SETTINGS_FILE = "STRANDLINE_SETTINGS_FILE"
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

    The URLs may hold passwords: they are left out of the representation, and errors never quote a value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    database_url: str | None = Field(default=None, repr=False)
    home: Path = Field(default_factory=_default_home)
    opensearch_url: str | None = Field(default=None, repr=False)
    projections: Annotated[tuple[str, ...], NoDecode] = ("projections",)
    origin: int = Field(default=0, ge=0)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)

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

    @field_validator("home")
    @classmethod
    def _is_absolute(cls, home: Path) -> Path:
        try:
            return home.expanduser().absolute()
        except RuntimeError:
            raise ValueError("begins with ~, but this account has no home folder") from None

    @field_validator("projections", mode="before")
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
        return Settings(_env_file=file)  # type: ignore[call-arg]  # seen only by pydantic's mypy plugin
    except ValidationError as exc:
        raise UsageError(_one_line_each(exc)) from None
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{SETTINGS_FILE}: {file} cannot be read as UTF-8 text") from None


def _one_line_each(exc: ValidationError) -> str:
    lines = []
    for error in exc.errors(include_url=False, include_input=False, include_context=False):
        name = PREFIX + str(error["loc"][0]).upper()
        reason = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        lines.append(f"{name} {reason}")
    return "\n".join(lines)
