"""What a worker asks of its memory, tried in processes of their own: it holds for a whole process."""

from __future__ import annotations

import subprocess
import sys

#: Makes a column of a list, which is when pyarrow looks for pandas.
COLUMN = """
import sys
from pipeline import memory
{first}
import pyarrow as pa
assert pa.array(["a"], pa.string()).to_pylist() == ["a"]
print("pandas" in sys.modules)
"""


def _with_pandas(first: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", COLUMN.format(first=first)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def test_a_worker_does_without_pandas_which_arrow_would_load() -> None:
    assert _with_pandas("pass"), "pyarrow no longer loads pandas by itself: the care can go"
    assert not _with_pandas("memory.arrow_too(); memory.arrow_too()")
