"""A feed of indicators: where it is fetched, what it may cost, and what counts where its entries say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAY_S: Final = 86_400
MIB: Final = 1 << 20

Kind = Literal["files", "taxii", "misp", "csv", "list"]
Level = Literal["informational", "low", "medium", "high", "critical"]
Tlp = Literal["clear", "green", "amber", "amber+strict", "red"]
#: Where a column stands: its name in the header, or its number from 1.
Place = Annotated[str, Field(max_length=80)] | Annotated[int, Field(ge=1, le=200)]
#: What a column may be: the names of `Columns`.
Column = Literal[
    "type",
    "value",
    "id",
    "title",
    "level",
    "confidence",
    "valid_from",
    "valid_until",
    "first_seen",
    "source",
    "tlp",
    "tags",
    "phases",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(_Strict):
    """What one reading may cost. Each is named in the error of what exceeds it."""

    bytes: int = Field(default=4096 * MIB, ge=1, description="bytes of one reading, unpacked")
    entries: int = Field(default=2_000_000, ge=1, description="indicators of one reading")
    entry_bytes: int = Field(default=MIB, ge=256, description="bytes of one object, attribute or line")
    pattern: int = Field(default=65_536, ge=16, description="characters of one STIX pattern")
    values: int = Field(default=10_000, ge=1, description="values (rows) of one STIX pattern")
    pages: int = Field(default=20_000, ge=1, description="requests of one poll")
    seconds: float = Field(default=900.0, gt=0, description="seconds of one poll, as a whole")


class Defaults(_Strict):
    """What counts where an entry says nothing."""

    type: str = Field(default="", description="type of values that name none; empty: told by the value")
    level: Level = Field(default="high", description="Sigma level of a match")
    confidence: int = Field(default=50, ge=0, le=100, description="0 to 100")
    tlp: Tlp = Field(default="amber+strict", description="traffic light colour")
    valid_days: int = Field(default=0, ge=0, le=36_500, description="days from valid_from until it ends; 0: open")
    tags: tuple[str, ...] = Field(default=(), max_length=16, description="tags of every entry")


class Reading(_Strict):
    """How the bytes of one source are read. `own`: the file is ours, so it may say whose an entry is."""

    source: str = Field(min_length=1, max_length=80)
    format: Literal["auto", "stix", "misp", "csv", "list"] = "auto"
    own: bool = False
    at_ms: int = Field(default=0, ge=0, description="when it is read: valid_days count from that day, if from nothing")
    first: bool = Field(default=False, description="nothing was read before: what is no indicator is not withdrawn")
    authority: Literal["", "regulator", "sectoral"] = ""
    defaults: Defaults = Defaults()
    columns: dict[Column, Place] = {}
    delimiter: str = ""
    limits: Limits = Limits()


class FeedSettings(_Strict):
    """One feed of QORGAN_FEEDS."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="the source of all its indicators; never reused"
    )
    kind: Kind = Field(description="what is there: taxii, misp, csv, list, or files of any of their formats")
    url: str = Field(default="", description="https://... of a collection (taxii), a server or feed (misp), a file")
    path: Path | None = Field(default=None, description="instead of url: a file or folder")
    owner: str = Field(
        default="", max_length=120, description="who answers for this feed: a person's or unit's address"
    )
    authority: Literal["", "regulator", "sectoral"] = Field(
        default="", description="regulator or sectoral: never decayed, held or hidden"
    )
    enabled: bool = Field(default=True, description="false: not polled; what it gave stays")
    defaults: Defaults = Field(default=Defaults(), description="what counts where an entry says nothing")
    columns: dict[Column, Place] = Field(
        default={}, description="csv: our column → theirs, by name or by number from 1 (then there is no header)"
    )
    delimiter: str = Field(
        default="", max_length=1, description="csv: what parts columns; empty: , ; tab or | by header"
    )
    interval: float = Field(default=3600.0, ge=30, description="seconds between two polls")
    user: str = Field(default="", description="user of HTTP basic authentication; empty: the secret is a token")
    secret_file: Path | None = Field(default=None, description="file of the password, token or MISP key")
    ca: Path | None = Field(default=None, description="file of the authority that signed the server's certificate")
    limits: Limits = Field(default=Limits(), description="what one poll may cost")
    snapshot: bool = Field(default=False, description="each reading is the whole: what is missing is withdrawn")
    floor: float = Field(
        default=0.0, ge=0, le=1, description="precision below which an indicator is proposed to be switched off"
    )

    @model_validator(mode="after")
    def _consistent(self) -> FeedSettings:
        if bool(self.url) == bool(self.path):
            raise ValueError(f"feed {self.name}: give either url or path")
        if self.kind == "taxii" and not self.url:
            raise ValueError(f"feed {self.name}: taxii needs a url")
        if self.url:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"feed {self.name}: url must look like https://host/path")
            if parts.username or parts.password:
                raise ValueError(f"feed {self.name}: no secret in the url; use user and secret_file")
            if parts.scheme == "http" and self.secret_file and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
                raise ValueError(f"feed {self.name}: a secret is not sent in the open; the url must be https")
        return self

    def reading(self, at_ms: int = 0, *, first: bool = False) -> Reading:
        """How its bytes are read, and when."""
        forms: dict[Kind, Literal["auto", "stix", "misp", "csv", "list"]] = {
            "files": "auto",
            "taxii": "stix",
            "misp": "misp",
            "csv": "csv",
            "list": "list",
        }
        return Reading(
            source=self.name,
            at_ms=at_ms,
            first=first,
            format=forms[self.kind],
            authority=self.authority,
            defaults=self.defaults,
            columns=self.columns,
            delimiter=self.delimiter,
            limits=self.limits,
        )


class FeedFile(_Strict):
    """The file that QORGAN_FEEDS names."""

    feeds: Annotated[tuple[FeedSettings, ...], Field(max_length=1_000)]

    @model_validator(mode="after")
    def _distinct(self) -> FeedFile:
        names = [feed.name for feed in self.feeds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two feeds are called {twice[0]}")
        return self
