"""Errors, sorted by what happens next. Each says where and what to do; none carries a payload or a secret."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command line. 2 is also what the argument parser uses for a wrong call."""

    OK = 0
    FOUND_NOTHING = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    FAILED = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class QorganError(Exception):
    """One sentence for a person: what is wrong, where, and what to do."""

    exit = Exit.FAILED


class RefusedError(QorganError):
    """Configuration, rules, feeds or arguments that must be mended before anything starts."""

    exit = Exit.REFUSED


class UnreachableError(QorganError):
    """A broker or store that does not answer, or not to us. Retrying may help."""

    exit = Exit.UNREACHABLE


class UnparsableError(Exception):
    """This record cannot be parsed: it goes to the dead letters with `reason`, a word of a closed list.

    Raised by parsers only. `reason` is a metric label, so it never holds data of the record.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HaltError(QorganError):
    """Storing of one partition cannot go on without losing or doubling records. Detection is not concerned."""
