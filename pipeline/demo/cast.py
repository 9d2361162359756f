"""Who works in the simulated bank and on what: the same people and machines for the same seed.

Names are ordinary Kazakh and Russian ones put together by chance; the addresses are private or reserved for
documentation, the domains end in `.example` or `.local`, so nothing here is anyone's.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, Literal

DOMAIN: Final = "ALATAU"
REALM: Final = "alatau.local"
DOMAIN_SID: Final = "S-1-5-21-2841639215-1187640312-3390781126"
USERS: Final = 500
WORKSTATIONS: Final = 150

Role = Literal["workstation", "dc", "server", "mail", "core", "payment", "proxy", "vpn", "linux"]
Shape = Literal["evtx", "nxlog", "winlogbeat", "rfc5424", "rfc3164"]

#: (transliterated, Cyrillic); account names are ASCII, display names are not.
_GIVEN: Final = (
    ("aigerim", "Айгерім"), ("nurlan", "Нұрлан"), ("dinara", "Динара"), ("yerlan", "Ерлан"), ("aliya", "Әлия"),
    ("marat", "Марат"), ("saule", "Сәуле"), ("timur", "Тимур"), ("zhanna", "Жанна"), ("daulet", "Дәулет"),
    ("gulnara", "Гүлнара"), ("askar", "Асқар"), ("olga", "Ольга"), ("sergey", "Сергей"), ("irina", "Ирина"),
    ("andrey", "Андрей"), ("natalya", "Наталья"), ("viktor", "Виктор"), ("madina", "Мадина"), ("arman", "Арман"),
)  # fmt: skip
_FAMILY: Final = (
    ("nurgaliyev", "Нұрғалиев"), ("akhmetov", "Ахметов"), ("omarov", "Омаров"), ("suleimenov", "Сүлейменов"),
    ("iskakov", "Ысқақов"), ("zhumabayev", "Жұмабаев"), ("kim", "Ким"), ("ivanov", "Иванов"), ("petrov", "Петров"),
    ("smagulov", "Смағұлов"), ("bekov", "Беков"), ("tulegenov", "Төлегенов"), ("sidorov", "Сидоров"),
    ("abdrakhmanov", "Абдрахманов"), ("kuznetsov", "Кузнецов"), ("seitkali", "Сейтқали"), ("orazov", "Оразов"),
    ("popov", "Попов"), ("kassymov", "Қасымов"), ("dzhaksybekov", "Жақсыбеков"), ("li", "Ли"), ("sattarov", "Саттаров"),
    ("volkov", "Волков"), ("yessenov", "Есенов"), ("baimukhamedov", "Баймұхамедов"),
)  # fmt: skip
_DEPARTMENTS: Final = (
    ("payments", 70), ("retail", 190), ("accounting", 60), ("lending", 80), ("treasury", 25), ("hr", 20),
    ("it", 40), ("security", 15),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Person:
    """One employee. `account` is the SAM account name, `workstation` an index into `Cast.workstations`."""

    account: str
    display: str
    department: str
    sid: str
    workstation: int


@dataclass(frozen=True, slots=True)
class Host:
    """One machine and the format in which its events are shipped."""

    name: str
    ip: str
    role: Role
    shape: Shape

    @property
    def fqdn(self) -> str:
        """The name in the bank's domain."""
        return f"{self.name}.{REALM}"


@dataclass(frozen=True, slots=True)
class Cast:
    """Everyone and everything of the bank."""

    people: tuple[Person, ...]
    hosts: tuple[Host, ...]

    def host(self, name: str) -> Host:
        """The host of that name; KeyError when there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def of(self, *roles: Role) -> tuple[Host, ...]:
        """The hosts of these roles, in order."""
        return tuple(host for host in self.hosts if host.role in roles)

    def department(self, name: str) -> tuple[Person, ...]:
        """The people of one department."""
        return tuple(person for person in self.people if person.department == name)


def cast(seed: int) -> Cast:
    """The bank's people (500) and hosts (about 200) for a seed."""
    rng = Random(f"cast/{seed}")  # noqa: S311 (a simulation must be repeatable)
    return Cast(people=_people(rng), hosts=_hosts())


def _people(rng: Random) -> tuple[Person, ...]:
    departments = [name for name, size in _DEPARTMENTS for _ in range(size)]
    taken: dict[str, int] = {}
    people = []
    for number, department in enumerate(departments):
        given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
        account = f"{given[0][0]}.{family[0]}"
        taken[account] = taken.get(account, 0) + 1
        if taken[account] > 1:
            account += str(taken[account])
        people.append(
            Person(
                account, f"{family[1]} {given[1]}", department, f"{DOMAIN_SID}-{1104 + number}", number % WORKSTATIONS
            )
        )
    return tuple(people)


def _hosts() -> tuple[Host, ...]:
    hosts = [Host(f"ws-{n:03}", f"10.20.{n // 100}.{n % 100 + 10}", "workstation", "winlogbeat") for n in range(1, 151)]
    hosts += [Host(f"dc-{n:02}", f"10.30.1.{n}", "dc", "evtx") for n in range(1, 4)]
    hosts += [Host(f"srv-app-{n:02}", f"10.30.2.{n}", "server", "nxlog") for n in range(1, 13)]
    hosts += [Host(f"srv-fs-{n:02}", f"10.30.3.{n}", "server", "nxlog") for n in range(1, 5)]
    hosts += [Host(f"srv-sql-{n:02}", f"10.30.4.{n}", "server", "evtx") for n in range(1, 5)]
    hosts += [Host(f"mail-{n:02}", f"10.30.5.{n}", "mail", "nxlog") for n in range(1, 3)]
    hosts += [Host(f"abs-core-{n:02}", f"10.40.1.{n}", "core", "rfc5424") for n in range(1, 7)]
    hosts += [Host(f"pay-gw-{n:02}", f"10.40.2.{n}", "payment", "rfc5424") for n in range(1, 3)]
    hosts += [Host(f"proxy-{n:02}", f"10.50.1.{n}", "proxy", "rfc3164") for n in range(1, 3)]
    hosts += [Host(f"vpn-{n:02}", f"10.50.2.{n}", "vpn", "rfc3164") for n in range(1, 3)]
    hosts += [Host(f"lnx-{n:02}", f"10.40.3.{n}", "linux", "rfc3164") for n in range(1, 16)]
    return tuple(hosts)
