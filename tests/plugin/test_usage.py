"""What wrong settings quote is made harmless, as in every other error."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.usage import usage_error


def test_a_quoted_value_is_one_line_without_controls_or_secrets():
    error = usage_error("--kdmem-form must be one of documents, blocks; found 'a\x1b[31m\nb' of s3://k:hunter2@b/x")
    assert isinstance(error, pytest.UsageError)
    assert "hunter2" not in str(error)
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
