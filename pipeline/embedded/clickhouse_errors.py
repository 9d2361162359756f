"""ClickHouse's exceptions as its HTTP interface shows them: a code in the text, in a header, and as a status."""

from __future__ import annotations

import re

_CODE = re.compile(r"Code: (\d+)\. DB::")
# The engine wraps an exception in itself once for every layer that it passes.
_NESTED_BEGIN = re.compile(r"(Code: \d+\. DB::\w+: )(?:Code: \d+\. DB::\w+: )+")
_NESTED_END = re.compile(r"( \([A-Z][A-Z_0-9]*\))(?: \(version [^()]*\)|\.| \([A-Z][A-Z_0-9]*\))*\Z")

SYNTAX_ERROR = 62
READONLY = 164
UNKNOWN_SETTING = 115
REQUIRED_PASSWORD = 194
AUTHENTICATION_FAILED = 516
NAMES = {
    36: "BAD_ARGUMENTS",
    48: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    78: "UNKNOWN_TYPE_OF_QUERY",
    89: "UNKNOWN_COMPRESSION_METHOD",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    READONLY: "READONLY",
    REQUIRED_PASSWORD: "REQUIRED_PASSWORD",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    229: "QUERY_IS_TOO_LARGE",
    243: "NOT_ENOUGH_SPACE",
    271: "CANNOT_DECOMPRESS",
    344: "SUPPORT_IS_DISABLED",
    358: "INTO_OUTFILE_NOT_ALLOWED",
    372: "SESSION_NOT_FOUND",
    373: "SESSION_IS_LOCKED",
    374: "INVALID_SESSION_TIMEOUT",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    1001: "STD_EXCEPTION",
}

# As the server maps them; every other code is a 500.
_STATUS: dict[int, int] = {
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321), 400),
    **dict.fromkeys((376, 427, 441, 675, 676), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    **dict.fromkeys((76, 209, 439), 503),
    48: 501,
    159: 408,
    REQUIRED_PASSWORD: 401,
    229: 413,
    381: 411,
    779: 415,
}


class EngineError(Exception):
    """An exception of the engine, or one that the server would raise before its engine: code and sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, 500)


def refused(code: int, sentence: str) -> EngineError:
    """An exception of the interface itself, worded as the server words its own."""
    return EngineError(code, f"Code: {code}. DB::Exception: {sentence} ({NAMES[code]})")


def from_engine(error: Exception) -> EngineError:
    """What the engine raised, with its code taken from its text; 1001 where it is no exception of ClickHouse."""
    # A message that quotes bytes of the data arrives as the failure to read it as text.
    said = error.object.decode("utf-8", "replace") if isinstance(error, UnicodeDecodeError) else str(error)
    text = _NESTED_END.sub(r"\1", _NESTED_BEGIN.sub(r"\1", said.strip()))
    found = _CODE.search(text)
    if found is None:
        return EngineError(1001, f"Code: 1001. DB::Exception: {text} (STD_EXCEPTION)")
    return EngineError(int(found[1]), text[found.start() :])


def as_text(error: EngineError, version: str) -> str:
    """The body of an answer that failed."""
    return f"{error} (version {version})\n"
