"""Secrets are found in the forms in which text has them, and what only looks like one is none."""

from __future__ import annotations

import pytest

from pytest_kdmem.secrets.patterns import find_cards, find_emails, find_keys, find_phones

# Built here, so that no scanner takes this file for one that holds secrets.
GITHUB = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
AWS = "AKIA" + "ABCDEFGHIJKLMNOP"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
PRIVATE = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"


def pieces(finder, text: str, *arguments: object) -> list[str]:
    return [text[start:end] for start, end in finder(text, *arguments)]


def is_luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812, written out."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number // 10 + number % 10 for number in doubled) % 10 == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ada.l+x@mail.example-site.org, or", ["ada.l+x@mail.example-site.org"]),
        ("<ada@example.com>; bob_2@example.co.uk.", ["ada@example.com", "bob_2@example.co.uk"]),
        ("müller@bücher.example", ["müller@bücher.example"]),
        ("at 10 @.@ 5 %, @user, a@b, x @ y.com, 5@6.7", []),
    ],
)
def test_emails(text: str, expected: list[str]) -> None:
    assert pieces(find_emails, text) == expected


@pytest.mark.parametrize(
    ("text", "regions", "expected"),
    [
        ("call (212) 736-5000 now", ("US",), {"(212) 736-5000"}),
        ("call (212) 736-5000 now", (), set()),
        ("call +44 20 7946 0958 now", (), {"+44 20 7946 0958"}),
        ("ruf 030 12345678 an", ("US", "DE"), {"030 12345678"}),
        ("from 1998-2004, ISBN 978-3-16-148410-0, 10,000,000 of 1914", ("US",), set()),
    ],
)
def test_phones(text: str, regions: tuple[str, ...], expected: set[str]) -> None:
    assert set(pieces(find_phones, text, regions)) == expected


@pytest.mark.parametrize(
    "number", ["4111111111111111", "4111 1111 1111 1111", "5500-0000-0000-0004", "3782 822463 10005"]
)
def test_cards(number: str) -> None:
    assert is_luhn("".join(filter(str.isdigit, number)))
    assert pieces(find_cards, f"paid by {number}, thanks") == [number]


@pytest.mark.parametrize(
    "text", ["4111111111111112", "id-4111111111111111", "9780306406157", "41 11 11 11 11 11 11 11", "0000000000000000"]
)
def test_other_numbers_are_no_cards(text: str) -> None:
    assert pieces(find_cards, f"paid by {text}, thanks") == []


def test_every_digit_of_a_card_counts() -> None:
    numbers = [f"411111111111{last:04d}" for last in range(400)]
    found = [number for number in numbers if pieces(find_cards, number)]
    assert found == list(filter(is_luhn, numbers))
    assert found


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token {GITHUB} of", GITHUB),
        (f"id {AWS} of", AWS),
        ("see https://ada:hunter2x@example.com/x", "hunter2x"),
        (f"so:\n{PRIVATE}\nend", PRIVATE.strip("-")),
        (f"so:\n{PRIVATE[:60]}", PRIVATE[:60].strip("-")),
    ],
)
def test_keys(text: str, secret: str) -> None:
    assert secret in pieces(find_keys, text)


@pytest.mark.parametrize(
    "text", ["the private key to success", "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709", "password = swordfish"]
)
def test_words_and_digests_are_no_keys(text: str) -> None:
    assert pieces(find_keys, text) == []
