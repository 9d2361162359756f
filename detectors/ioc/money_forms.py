"""Normal forms of fraud indicators: account numbers (IBAN) and the first digits of cards, never a whole card's number.

The same contract as `network_forms`.
"""

from __future__ import annotations

from typing import Final

from schemas.event import Observable

#: ISO 13616: how long the IBANs of a country are. An unknown country has none.
_COUNTRIES: Final = {
    15: "NO", 16: "BE", 18: "DK FK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTHS: Final = {country: length for length, some in _COUNTRIES.items() for country in some.split()}
_CARD_DIGITS: Final = range(12, 20)
_BINS: Final = (6, 8)


def iban(text: str) -> Observable | None:
    """An IBAN without blanks, upper case, of its country's length and with the right check digits (mod 97)."""
    text = "".join(text.split()).upper() if len(text) <= 64 else ""
    if len(text) != _LENGTHS.get(text[:2]) or not (text.isascii() and text.isalnum() and text[2:4].isdigit()):
        return None
    number = "".join(str(int(sign, 36)) for sign in text[4:] + text[:4])
    return Observable("iban", text) if int(number) % 97 == 1 else None


def card_bin(text: str) -> Observable | None:
    """The first six or eight digits of a card, written alone."""
    text = "".join(text.split()) if len(text) <= 16 else ""
    return Observable("card_bin", text) if len(text) in _BINS and text.isascii() and text.isdigit() else None


def bins_of(text: str) -> tuple[Observable, ...]:
    """Of a whole card's number, with blanks or hyphens or none, its first six and eight digits; () where it is none."""
    text = "".join(text.replace("-", " ").split()) if len(text) <= 40 else ""
    if len(text) not in _CARD_DIGITS or not (text.isascii() and text.isdigit()) or not _luhn(text):
        return ()
    return tuple(Observable("card_bin", text[:size]) for size in _BINS)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return bool(digits.strip("0")) and (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
