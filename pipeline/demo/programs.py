"""What runs on the bank's Windows machines, what it is called, and what names it looks up.

Among it the near-misses, things that attackers use too and that here are work: an administrator's PowerShell script,
Word printing, a mirror copied by robocopy.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.demo.cast import REALM

S32: Final = "C:\\Windows\\System32\\"
OFFICE: Final = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
EXPLORER: Final = "C:\\Windows\\explorer.exe"
SERVICES: Final = S32 + "services.exe"
SVCHOST: Final = S32 + "svchost.exe"
CHROME: Final = "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe"
SCANNER: Final = "C:\\Program Files (x86)\\Kaspersky Lab\\KES.12.6.0\\avp.exe"
POWERSHELL: Final = S32 + "WindowsPowerShell\\v1.0\\powershell.exe"
ABS: Final = "C:\\Program Files\\ABS Colvir Client\\abs.exe"


class Program(NamedTuple):
    """One program as people start it; `{file}` in the command line becomes a document's name."""

    image: str
    parent: str
    command: str
    company: str
    description: str


DESK: Final = (
    Program(CHROME, EXPLORER, f'"{CHROME}"', "Google LLC", "Google Chrome"),
    Program(CHROME, CHROME, f'"{CHROME}" --type=renderer --lang=ru', "Google LLC", "Google Chrome"),
    Program(ABS, EXPLORER, f'"{ABS}" /profile:operator', "Alatau Bank", "АБС, рабочее место"),
    Program(OFFICE + "OUTLOOK.EXE", EXPLORER, f'"{OFFICE}OUTLOOK.EXE"', "Microsoft Corporation", "Outlook"),
    Program(
        OFFICE + "WINWORD.EXE", EXPLORER, f'"{OFFICE}WINWORD.EXE" /n "{{file}}.docx" /o ""',
        "Microsoft Corporation", "Microsoft Word",
    ),
    Program(
        OFFICE + "EXCEL.EXE", OFFICE + "OUTLOOK.EXE", f'"{OFFICE}EXCEL.EXE" "{{file}}.xlsx"',
        "Microsoft Corporation", "Microsoft Excel",
    ),
    Program(
        "C:\\Program Files\\Adobe\\Acrobat DC\\Acrobat\\Acrobat.exe", OFFICE + "OUTLOOK.EXE",
        '"C:\\Program Files\\Adobe\\Acrobat DC\\Acrobat\\Acrobat.exe" "{file}.pdf"', "Adobe Inc.", "Adobe Acrobat",
    ),
    Program("C:\\Windows\\splwow64.exe", OFFICE + "WINWORD.EXE", "C:\\Windows\\splwow64.exe 12288",
            "Microsoft Corporation", "Print driver host for applications"),
    Program(S32 + "notepad.exe", EXPLORER, f'"{S32}notepad.exe" {{file}}.txt', "Microsoft Corporation", "Notepad"),
    Program(S32 + "calc.exe", EXPLORER, f'"{S32}calc.exe"', "Microsoft Corporation", "Windows Calculator"),
)  # fmt: skip

SYSTEM: Final = (
    Program(SVCHOST, SERVICES, f"{SVCHOST} -k netsvcs -p -s Schedule", "Microsoft Corporation", "Host Process"),
    Program(S32 + "taskhostw.exe", SVCHOST, "taskhostw.exe Install $(Arg0)", "Microsoft Corporation", "Host Process"),
    Program(S32 + "wbem\\WmiPrvSE.exe", SVCHOST, f"{S32}wbem\\wmiprvse.exe -secured -Embedding",
            "Microsoft Corporation", "WMI Provider Host"),
    Program(SCANNER, SERVICES, f'"{SCANNER}" -r', "AO Kaspersky Lab", "Kaspersky Endpoint Security"),
    Program(S32 + "gpupdate.exe", SVCHOST, "gpupdate.exe /target:computer", "Microsoft Corporation", "Group Policy"),
    Program(S32 + "SearchIndexer.exe", SERVICES, f"{S32}SearchIndexer.exe /Embedding",
            "Microsoft Corporation", "Microsoft Windows Search Indexer"),
)  # fmt: skip

#: What administrators do that looks like trouble and is none.
ADMIN: Final = (
    Program(POWERSHELL, EXPLORER, f'"{POWERSHELL}" -File "C:\\Admin\\Scripts\\Inventory.ps1" -Department Кассы',
            "Microsoft Corporation", "Windows PowerShell"),
    Program(POWERSHELL, S32 + "cmd.exe", f'"{POWERSHELL}" -Command Get-ADUser -Filter * -Properties Enabled',
            "Microsoft Corporation", "Windows PowerShell"),
    Program(S32 + "schtasks.exe", S32 + "cmd.exe", "schtasks /query /fo LIST", "Microsoft Corporation",
            "Task Scheduler Configuration Tool"),
    Program(S32 + "ipconfig.exe", S32 + "cmd.exe", "ipconfig /all", "Microsoft Corporation", "IP Configuration"),
    Program(S32 + "mstsc.exe", EXPLORER, f'"{S32}mstsc.exe" /v:srv-app-05', "Microsoft Corporation",
            "Remote Desktop Connection"),
    Program(S32 + "sc.exe", S32 + "cmd.exe", "sc query klnagent", "Microsoft Corporation", "Service Control Manager"),
    Program(S32 + "robocopy.exe", S32 + "cmd.exe", "robocopy D:\\Отчеты \\\\srv-fs-02\\backup\\reports /MIR /R:2",
            "Microsoft Corporation", "Microsoft Robocopy"),
)  # fmt: skip

FILES: Final = (
    "Платёжное поручение №{n}", "Договор банковского вклада {n}", "Отчёт за неделю {n}", "Сверка остатков {n}",
    "Төлем тапсырмасы {n}", "Есеп {n}", "invoice_{n}", "Реестр кассовых операций {n}", "report-{n}",
)  # fmt: skip
NAMES: Final = (
    "egov.kz", "www.nationalbank.kz", "outlook.office365.com", "login.microsoftonline.com", "ocsp.digicert.com",
    "www.google.com", "kisc.kz", "update.kaspersky.com", "cdn.jsdelivr.net", "salyk.kz", "wpad." + REALM,
    "fonts.gstatic.com", "mail-01." + REALM, "srv-fs-01." + REALM, "settings-win.data.microsoft.com",
    "d3ag4hukkh62yn.cloudfront.net", "1c.kz", "adilet.zan.kz", "wsus." + REALM, "kase.kz",
)  # fmt: skip
LIBRARIES: Final = (
    "ntdll.dll",
    "kernel32.dll",
    "crypt32.dll",
    "winhttp.dll",
    "amsi.dll",
    "wintrust.dll",
    "dnsapi.dll",
)
