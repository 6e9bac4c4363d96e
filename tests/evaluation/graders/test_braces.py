"""Which braces close which."""

from __future__ import annotations

from safetax.evaluation.graders.braces import closing_braces


def test_braces_are_paired_from_within() -> None:
    assert closing_braces("a{b{c}d}{e") == {3: 5, 1: 7}
    assert closing_braces("}}{}") == {2: 3}


def test_what_is_escaped_is_no_brace_where_that_is_said() -> None:
    text = r"{\{\}\\}"
    assert closing_braces(text, r"\\.|[{}]") == {0: len(text) - 1}
    assert closing_braces(text)[2] == 4
