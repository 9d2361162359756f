"""The child's side of `children`: run one part, say its address as one line of JSON on standard output."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from pipeline.embedded.tether import Ready
from schemas.errors import QorganError


def main() -> int:
    arguments = _parser().parse_args()
    try:
        if arguments.part == "store":
            from pipeline.embedded.store import run_store  # here: the engine is 500 MB of library

            return run_store(
                arguments.port,
                arguments.path,
                arguments.password_file,
                parent=arguments.parent,
                announce=_announce,
            )
        from pipeline.embedded.broker import run_broker

        return run_broker(
            arguments.port,
            arguments.kafka_home,
            arguments.path,
            extra=arguments.extra,
            parent=arguments.parent,
            announce=_announce,
        )
    except QorganError as error:
        _say({"error": str(error), "exit": int(error.exit)})
        return error.exit


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.embedded")
    parser.add_argument("part", choices=["broker", "store"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parent", type=int)
    for name in ("--path", "--kafka-home", "--password-file", "--extra"):
        parser.add_argument(name, type=Path)
    return parser


def _announce(ready: Ready) -> None:
    _say(asdict(ready))


def _say(what: dict[str, Any]) -> None:
    try:
        sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the parent is gone; the watch on it ends us
        return


if __name__ == "__main__":
    sys.exit(main())
