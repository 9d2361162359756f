"""The feeds that QORGAN_FEEDS names: YAML, checked whole, every fault named at once."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from pipeline.settings import Settings
from schemas.errors import RefusedError
from schemas.feed import FeedFile, FeedSettings

MAX_BYTES = 1 << 20


def load_feeds(settings: Settings) -> tuple[FeedSettings, ...]:
    """The configured feeds; none where no file is named. Raises RefusedError with every fault."""
    path = settings.feeds
    if path is None:
        return ()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RefusedError(f"feeds: {path} is larger than {MAX_BYTES:,} bytes. Make it shorter.")
        said = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise RefusedError(f"feeds: {path} cannot be read ({error.strerror}). Check QORGAN_FEEDS.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise RefusedError(f"feeds: {path} is no YAML{where}. Mend it.") from None
    try:
        feeds = FeedFile.model_validate(said if isinstance(said, dict) else {"feeds": said})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_input=False, include_context=False, include_url=False)[:20]
        )
        raise RefusedError(f"feeds: {path} is wrong: {faults}. deploy/docs/feeds.md explains each.") from None
    return tuple(feed.model_copy(update=_absolute(feed, path.parent)) for feed in feeds.feeds)


def _absolute(feed: FeedSettings, folder: Path) -> dict[str, Path]:
    """Paths in the file are as seen from the file."""
    named = {name: getattr(feed, name) for name in ("path", "secret_file", "ca")}
    return {name: folder / path for name, path in named.items() if path is not None}
