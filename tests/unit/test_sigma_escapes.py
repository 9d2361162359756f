r"""An escape with a choice of spelling (\u, \/) sends a record to its decoded values; an escaped backslash does not."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from detectors.sigma.prefilter import has_escape

PLAINLY = re.compile(rb"(?<!\\)(?:\\\\)*\\[u/]")


@given(st.lists(st.sampled_from([b"\\", b"u", b"/", b"a"]), max_size=24).map(b"".join))
def test_an_escape_is_seen_exactly_where_the_backslash_is_not_escaped_itself(record: bytes) -> None:
    assert has_escape(record) == (PLAINLY.search(record) is not None)
