"""Finds secrets that have a form: e-mail addresses, phone numbers, payment cards and keys.

E-mail addresses are found by their pattern. The others are found by libraries of the extra ``pii``, which run without
a model and without a network: phonenumbers (Google's libphonenumber), python-stdnum (check digits) and detect-secrets
(Yelp), of which only the detectors of a fixed format are used, as a high entropy alone is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from pytest_kdmem.base.versions import installed_version

# First character of a secret and the one behind its last, in a text.
Span = tuple[int, int]
Finder = Callable[[str], Iterator[Span]]

# Of each class: module and distribution of the library that finds it.
LIBRARIES = {
    "phone": ("phonenumbers", "phonenumbers"),
    "card": ("stdnum", "python-stdnum"),
    "key": ("detect_secrets", "detect-secrets"),
}
EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]+@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,}")
# 13 to 19 digits in one piece, or grouped as cards are printed, from an issuer's first digits on.
CARD = re.compile(
    r"(?<![\w.-])(?=[3-6]|2[2-7])"
    r"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})(?![\w-])"
)
PRIVATE_KEY = re.compile(r"(?s)BEGIN (?:\w+ )*PRIVATE KEY.*?(?:END (?:\w+ )*PRIVATE KEY|$)|PuTTY-User-Key-File-2.*")
# Detectors of detect-secrets that go by entropy or by a word beside the secret, or that look for no key.
NOT_OF_A_FORMAT = {"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector", "KeywordDetector"}


def missing_library(secret_class: str) -> str:
    """Return the distribution that finds a class and is not installed, or an empty string."""
    module, distribution = LIBRARIES.get(secret_class, ("re", ""))
    return distribution if find_spec(module) is None else ""


def library_version(secret_class: str) -> str:
    """Return name and version of the library that finds a class; empty where that is none."""
    if secret_class not in LIBRARIES:
        return ""
    distribution = LIBRARIES[secret_class][1]
    return f"{distribution} {installed_version(distribution)}"


def pattern_finders(regions: tuple[str, ...]) -> dict[str, Finder]:
    """Return what finds each class of secrets whose library is installed.

    Args:
        regions: Regions whose national phone numbers are looked for.
    """
    finders: dict[str, Finder] = {
        "email": find_emails,
        "phone": lambda text: find_phones(text, regions),
        "card": find_cards,
        "key": find_keys,
    }
    return {name: finder for name, finder in finders.items() if not missing_library(name)}


def find_emails(text: str) -> Iterator[Span]:
    """Yield the e-mail addresses of a text."""
    return (match.span() for match in EMAIL.finditer(text))


def find_phones(text: str, regions: tuple[str, ...]) -> Iterator[Span]:
    """Yield the valid phone numbers of a text: international ones, and national ones of some regions."""
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in (None, *regions):
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            yield match.start, match.end


def find_cards(text: str) -> Iterator[Span]:
    """Yield the numbers of payment cards in a text: in their form, with a check digit by Luhn's algorithm."""
    from stdnum import luhn

    for match in CARD.finditer(text):
        if luhn.is_valid(re.sub("[ -]", "", match.group())):
            yield match.span()


def find_keys(text: str) -> Iterator[Span]:
    """Yield the keys, tokens and passwords in addresses of a text, and private keys from header to footer."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    yield from (match.span() for match in PRIVATE_KEY.finditer(text))
    detectors: dict[str, Any] = get_mapping_from_secret_type_to_class()
    for plugin in detectors.values():
        if plugin.__name__ in NOT_OF_A_FORMAT:
            continue
        for pattern in plugin.denylist:
            yield from (match.span(match.lastindex or 0) for match in pattern.finditer(text))
