"""Commands that speak of Qorgan itself: `qorgan version`, `qorgan settings`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pipeline import __version__
from pipeline.cli.screen import AsJson, show


def version(as_json: AsJson = False) -> None:
    """Print the version; with --json also those of what it stands on."""
    if not as_json:
        print(__version__)
        return
    import platform
    from importlib.metadata import version as installed

    parts = (
        "faust-streaming",
        "aiokafka",
        "confluent-kafka",
        "clickhouse-connect",
        "chdb-core",
        "pysigma",
        "hyperscan",
    )
    row = {"qorgan": __version__, "python": platform.python_version()}
    show([row | {part: installed(part) for part in parts}], (), as_json=True)


def settings(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="the reference page, without current values")] = False,
) -> None:
    """List every setting: its environment name, what it is now, its default and its meaning."""
    from pipeline.settings import Settings, load
    from schemas.errors import RefusedError

    if markdown:
        from pipeline.documents import settings_page

        print(settings_page(), end="")
        return
    wrong: RefusedError | None = None
    current: Settings | None = None
    try:
        current = load()
    except RefusedError as error:
        wrong = error
    show(setting_rows(current), ("setting", "now", "default", "meaning"), as_json, "Settings")
    if wrong is not None:
        raise wrong


def setting_rows(current: Any = None) -> list[dict[str, str]]:
    """Every setting as a row. `now` is its value in `current`, a secret's only whether it is set."""
    from pydantic import SecretStr

    from pipeline.settings import Settings

    rows = []
    for name, field in Settings.model_fields.items():
        secret = isinstance(field.default, SecretStr)
        row = {
            "setting": f"QORGAN_{name.upper()}",
            "file": name,
            "default": _value(field.default),
            "meaning": field.description or "",
        }
        if current is not None:
            row["now"] = _masked(name, current) if secret else _value(getattr(current, name))
        rows.append(row)
    return rows


def _value(value: Any) -> str:
    from pydantic import BaseModel, SecretStr

    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(_value(member) for member in value)
    if isinstance(value, BaseModel):
        return value.model_dump_json(exclude_defaults=True)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _masked(name: str, current: Any) -> str:
    if name == "clickhouse":
        # The address without its password; `store` would read the password's file, which may be missing.
        from urllib.parse import urlsplit

        url = urlsplit(current.clickhouse.get_secret_value())
        return f"{url.scheme}://{url.username or 'default'}@{url.hostname}:{url.port or ''}".rstrip(":")
    return "(set)" if getattr(current, name).get_secret_value() else ""
