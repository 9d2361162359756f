"""Every setting, declared once. The only place that reads the environment.

Order of precedence: environment, settings file (`--settings FILE` or QORGAN_SETTINGS, TOML, the names below without
QORGAN_ in lower case), default. `qorgan settings` prints this table.
"""

from __future__ import annotations

import os
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from detectors.ioc.lookback import parse_days
from schemas.errors import RefusedError

MIB = 1 << 20
DAY_S = 86_400


Column = Literal[
    "time", "host", "user", "src_ip", "dst_ip", "process", "command_line", "domain", "product", "category", "service"
]


class TopicSettings(BaseModel):
    """What is known of one raw topic; a name may end in `*`. The first entry that fits counts."""

    model_config = ConfigDict(extra="forbid")

    topic: str
    format: str = Field(default="detect", description="a format's name, or `detect`: by record")
    product: str = Field(default="", description="default log source of records that do not say it themselves")
    category: str = ""
    service: str = ""
    mapping: str = Field(
        default="", description="how fields stand for those of rules: a mapping's name, or a pySigma pipeline (*.yml)"
    )
    lateness: float = Field(default=600.0, gt=0, description="seconds after which an event counts as late")
    timezone: str = Field(default="", description="zone of times that name none; none: the bank's (`timezone`)")
    fields: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="names of separated values (csv, zeek_tsv), in order, by commas: a file's header"
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="what separates them in csv")
    columns: dict[Column, str] = Field(
        default={}, description="column, or word of the log source → the path of the field that holds it, with dots"
    )
    observables: Literal["fields", "text"] = Field(
        default="fields", description="`text`: indicators are looked for in the record's whole text too"
    )

    @property
    def headed(self) -> bool:
        """Whether the first line of a file of such records names the values of the others."""
        return self.format == "csv" and not self.fields

    @field_validator("fields", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class Settings(BaseSettings):
    """The settings of one Qorgan process tree."""

    model_config = SettingsConfigDict(env_prefix="QORGAN_", extra="forbid", frozen=True, hide_input_in_errors=True)

    kafka: str = Field(default="127.0.0.1:9092", description="bootstrap servers, host:port, separated by commas")
    kafka_security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = Field(
        default="plaintext", description="how to speak to Kafka"
    )
    kafka_ca: Path | None = Field(default=None, description="file of the authority that signed Kafka's certificates")
    kafka_cert: Path | None = Field(default=None, description="our client certificate for Kafka (PEM)")
    kafka_cert_key: Path | None = Field(default=None, description="the key of kafka_cert (PEM)")
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="SASL mechanism, with kafka_security sasl_*"
    )
    kafka_user: str = Field(default="", description="SASL user")
    kafka_password: SecretStr = Field(default=SecretStr(""), description="SASL password")
    kafka_password_file: Path | None = Field(default=None, description="file that holds the SASL password")
    clickhouse: SecretStr = Field(
        default=SecretStr("http://qorgan@127.0.0.1:8123"),
        description="ClickHouse's URL, http[s]://user:password@host:port",
    )
    clickhouse_password_file: Path | None = Field(
        default=None,
        description="file that holds ClickHouse's password; none, on loopback: the embedded store's in state_dir",
    )
    clickhouse_ca: Path | None = Field(default=None, description="file of the authority of ClickHouse's certificate")
    clickhouse_timeout: float = Field(default=30.0, gt=0, description="seconds until a request to ClickHouse fails")
    events_days: int = Field(
        default=100, ge=93, description="days that events stay searchable; the law wants three months"
    )
    database: str = Field(default="qorgan", pattern=r"^[a-zA-Z_]\w{0,62}$", description="ClickHouse database")

    raw_topics: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("raw.events",), description="raw topics to read, by commas or JSON"
    )
    topics: tuple[TopicSettings, ...] = Field(
        default=(), description="format, log source, zone, columns by raw topic (JSON); see formats.md"
    )
    raw_partitions: int = Field(default=4, ge=1, description="partitions of a raw topic that we create")
    replication: int = Field(default=1, ge=1, description="replication factor of topics that we create")
    raw_retention: int = Field(
        default=7 * DAY_S, ge=DAY_S, description="seconds that raw topics keep records: the longest outage survived"
    )
    create: bool = Field(default=True, description="create the topics and tables that are missing")
    group: str = Field(default="qorgan", description="prefix of the consumer groups")

    rules: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="files or folders of Sigma rules; none: those we ship"
    )
    stages: Path | None = Field(
        default=None, description="file of the rules' stages: test, shadow, production; none: all in production"
    )
    rules_watch: float = Field(
        default=5.0, ge=0, description="seconds between two looks whether rules have changed; 0: only on SIGHUP"
    )
    rules_trial: float = Field(
        default=300.0, ge=0, description="seconds in which a new set of rules may be rolled back; 0: never"
    )
    rules_trial_factor: float = Field(
        default=10.0, gt=1, description="a new set goes when it finds so many times as much per event as the one before"
    )
    rules_trial_failures: int = Field(
        default=20, ge=1, description="or when its rules raise so often (one rule is off after 10)"
    )
    indicators: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="files or folders of indicators (STIX 2.1, MISP, CSV, lists)"
    )
    indicators_wait: float = Field(
        default=30.0, ge=0, description="seconds that a starting ingest waits at most for indicators to be in force"
    )
    gate_hosts: int = Field(
        default=25, ge=1, description="an indicator seen on more hosts in three months is held until it is released"
    )
    own_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="the bank's own networks (198.51.100.0/24): an indicator that meets one is held"
    )
    warning_lists: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="MISP's warning lists by name; none: those we chose"
    )
    warning_files: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description="the bank's own warning lists: a value a line, or MISP's JSON"
    )
    feeds: Path | None = Field(default=None, description="file of the feeds of indicators that are polled (YAML)")
    lookback: Annotated[dict[str, int], NoDecode] = Field(
        default_factory=dict,
        description="days before its first sighting that a hunt still finds an indicator, by type, e.g. "
        "`domain=365 ipv4=60`; 0: everything. Else 30 for addresses, all for digests, 180 for most",
    )
    correlation_entries: int = Field(
        default=500_000, ge=1_000, description="contributions that one correlation holds of one partition"
    )
    correlation_bytes: int = Field(
        default=64 * MIB, ge=MIB, description="bytes that one correlation's state of one partition may take, about"
    )
    event_list: Path | None = Field(default=None, description="the mandated event list; none: the one we ship")
    suppressions: Path | None = Field(default=None, description="file of disabled rules: who, why, until when")
    placeholders: Path | None = Field(
        default=None, description="file or folder of the values of rules' placeholders (%name%)"
    )
    assets: Path | None = Field(default=None, description="list of assets (CSV) that placeholders may take values from")
    geo: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="files of networks and their places, or kinds vpn, mobile (CSV, MaxMind), for impossible travel",
    )
    identities: Path | None = Field(
        default=None, description="folder of who is who, kept by `qorgan identities import`; none: names are folded"
    )
    timezone: str = Field(default="Asia/Almaty", description="the bank's time zone, for people and for RFC 3164")

    state_dir: Path = Field(default=Path("var"), description="folder of the journal, caches and private temporaries")
    listen: str = Field(default="127.0.0.1", description="address that metrics and health listen on")
    metrics_port: int = Field(
        default=9464,
        ge=0,
        le=65_532,
        description="port of ingest's metrics; correlate + 1, respond + 2, curate + 3; 0: none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="least level logged")
    log_format: Literal["auto", "json", "text"] = Field(default="auto", description="auto: text on a terminal")

    block_rows: int = Field(default=50_000, ge=1, description="a block closes at so many records")
    block_bytes: int = Field(default=16 * MIB, ge=MIB, description="or at so many bytes")
    block_age: float = Field(default=2.0, gt=0, description="or at this age, seconds")
    blocks_bytes: int = Field(default=64 * MIB, ge=MIB, description="what all open blocks of a process may hold")
    fetch_bytes: int = Field(default=4 * MIB, ge=64 << 10, description="most bytes fetched of a partition at once")
    batch_records: int = Field(default=5_000, ge=1, description="most records in one batch")
    session_timeout: float = Field(default=45.0, ge=1, description="seconds until a silent worker loses its partitions")
    start_timeout: float = Field(default=60.0, gt=0, description="seconds that a starting worker waits for Kafka")
    stop_timeout: float = Field(default=10.0, gt=0, description="seconds that a stop may take")
    broker_limit: int = Field(
        default=2048 * MIB, ge=16 * MIB, description="bytes the embedded broker may hold before `up` stops"
    )
    journal: Literal["auto", "files", "topic"] = Field(
        default="auto", description="where the journal's truth lies; auto: files on the embedded broker, else the topic"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the settings file."""
        file = os.environ.get("QORGAN_SETTINGS")
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, toml_file=file)) if file else sources

    @field_validator(
        "raw_topics", "rules", "indicators", "geo", "own_networks", "warning_lists", "warning_files", mode="before"
    )
    @classmethod
    def _by_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value.lstrip().startswith("["):
                return tuple(orjson.loads(value))
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("lookback", mode="before")
    @classmethod
    def _days(cls, value: Any) -> Any:
        said = " ".join(f"{kind}={days}" for kind, days in value.items()) if isinstance(value, dict) else value
        return parse_days(said) if isinstance(said, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if not self.raw_topics:
            raise ValueError("raw_topics is empty: name at least one topic to read")
        if self.kafka_security.startswith("sasl") and not self.kafka_user:
            raise ValueError(f"kafka_security is {self.kafka_security} but kafka_user is empty")
        if bool(self.kafka_cert) != bool(self.kafka_cert_key):
            raise ValueError("kafka_cert and kafka_cert_key go together; one of them is missing")
        url = urlsplit(self.clickhouse.get_secret_value())
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError("clickhouse must look like http://user:password@host:port (or https)")
        return self

    @cached_property
    def store(self) -> StoreAddress:
        """ClickHouse's URL taken apart, with the password from its file where one is named."""
        url = urlsplit(self.clickhouse.get_secret_value())
        password = unquote(url.password or "")
        own = self.state_dir / "store" / "password"
        if self.clickhouse_password_file is not None:
            password = _secret(self.clickhouse_password_file, "clickhouse_password_file")
        elif not password and url.hostname in ("127.0.0.1", "localhost") and own.is_file():
            password = _secret(own, "state_dir")
        port = url.port or (8443 if url.scheme == "https" else 8123)
        return StoreAddress(
            secure=url.scheme == "https",
            host=url.hostname or "",
            port=port,
            user=unquote(url.username or "default"),
            password=SecretStr(password),
        )

    @cached_property
    def sasl_password(self) -> SecretStr:
        """Kafka's SASL password, from its file where one is named."""
        if self.kafka_password_file is not None:
            return SecretStr(_secret(self.kafka_password_file, "kafka_password_file"))
        return self.kafka_password

    def for_topic(self, topic: str) -> TopicSettings:
        """The entry that counts for a raw topic, or the defaults."""
        for entry in self.topics:
            if entry.topic == topic or (entry.topic.endswith("*") and topic.startswith(entry.topic[:-1])):
                return entry
        return TopicSettings(topic=topic)


class StoreAddress(BaseModel):
    """Where ClickHouse's HTTP interface is."""

    secure: bool
    host: str
    port: int
    user: str
    password: SecretStr

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.user}@{self.host}:{self.port}"


def load(**overrides: Any) -> Settings:
    """Read the settings. Raises RefusedError with every fault named, and no value of a secret."""
    file = os.environ.get("QORGAN_SETTINGS")
    if file and not Path(file).is_file():  # pydantic-settings would go on with the defaults, without a word
        raise RefusedError(f"The settings file {file} does not exist.")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(p) for p in fault['loc']) or 'settings'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_input=False, include_context=False, include_url=False)
        )
        raise RefusedError(f"Settings are wrong: {faults}. `qorgan settings` explains each.") from None
    except SettingsError as error:
        raise RefusedError(f"Settings are wrong: {error}. `qorgan settings` explains each.") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RefusedError(f"The settings file cannot be read: {error}.") from None


def debugging() -> bool:
    """Whether errors show where they come from; asked also when the settings themselves are wrong."""
    return os.environ.get("QORGAN_LOG_LEVEL", "").lower() == "debug"


def use_file(path: Path) -> None:
    """Make `path` the settings file of this process and of those it starts."""
    os.environ["QORGAN_SETTINGS"] = str(path)


def _secret(path: Path, setting: str) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise RefusedError(f"{setting}: {path} cannot be read ({error.strerror}).") from None
