"""The store's one user and its password: from a file, or a random one written where only its owner can read it."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from schemas.errors import RefusedError

USER = "qorgan"


class Credentials(NamedTuple):
    """What a request says about itself; neither is verified."""

    user: str
    password: str


def read_or_make(directory: Path, password_file: Path | None) -> tuple[Path, str]:
    """The password and the file it stands in. Raises RefusedError if a named file is missing, unreadable or empty."""
    file = password_file or directory / "password"
    try:
        if password_file is None and not file.exists():
            # Created with its mode, so that no moment exists in which others could read it.
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
                new.write(secrets.token_urlsafe(24) + "\n")
        password = file.read_text().strip()
    except OSError as error:
        raise RefusedError(f"The store's password file {file} cannot be used ({error.strerror}).") from None
    if not password:
        raise RefusedError(f"The store's password file {file} is empty: write a password into it.")
    return file, password


def given(headers: Mapping[str, str], parameters: Mapping[str, str]) -> Credentials | None:
    """The credentials of a request, by ClickHouse's headers, else HTTP's, else the URL's; None: it has none."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return Credentials(headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", ""))
    kind, _, value = headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Credentials("", "")
        return Credentials(user, password)
    if "user" in parameters or "password" in parameters:
        return Credentials(parameters.get("user", ""), parameters.get("password", ""))
    return None


def accepted(credentials: Credentials, password: str) -> bool:
    """Whether these are our user's, in the same time whatever is wrong about them."""
    user_fits = hmac.compare_digest(credentials.user.encode(), USER.encode())
    password_fits = hmac.compare_digest(credentials.password.encode(), password.encode())
    return user_fits and password_fits
