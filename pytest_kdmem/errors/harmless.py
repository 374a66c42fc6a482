"""Makes foreign text harmless before anyone sees it: names, keys and addresses, and what other libraries say of them.

Every error of this package and every field of a report passes through here. What comes out is one line, holds no
secret, gives no command to a terminal or a CI runner, and is no document that was given where a name belongs.
"""

from __future__ import annotations

import os
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from urllib.parse import unquote

# Unicode categories of control characters, format characters (which can reverse the direction of text), surrogates,
# line separators and paragraph separators.
CONTROL_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
REPLACEMENT = "\ufffd"
MASK = "***"
MAX_LENGTH = 2000
SENTENCE_END = 600  # characters at the end of a sentence that is cut: there it says what to do
# What is longer, or holds more blanks, is no name or path.
LONGEST_NAME, LONGEST_PATH = 120, 500
MOST_BLANKS_IN_NAME, MOST_BLANKS_IN_PATH = 3, 6
MOST_NAMES = 20

# The marks of an address, plain or percent-encoded once or several times.
COLON, SLASH, AT, EQUALS = "(?::|%(?:25)*3a)", r"(?:[/\\]|%(?:25)*2f)", "(?:@|%(?:25)*40)", "(?:=|%(?:25)*3d)"
SCHEME = rf"(?<![a-z0-9])[a-z][a-z0-9+.-]+{COLON}{SLASH}+"
WITH_USER = re.compile(rf"(?i)({SCHEME}|(?<![\w:.%/\\-]){SLASH}{SLASH}+)([^\s'\"<>`]{{1,1000}})(?={AT})")
USER_ALONE = re.compile(
    rf"(?i)(?<![\w.+-])[\w.+-]{{1,100}}{COLON}(?!{COLON}|{SLASH})[^\s/:@'\"<>`]{{1,500}}?(?={AT}[\w[])"
)
CONTAINER = re.compile(r"(?i)abfss?://[a-z0-9$-]+$")  # of abfs://container@account, which is no secret
PASSWORD = re.compile(r":(?!\d*(?:/|$))")
SECRET_KEY = (
    r"[\w.-]*(?:token|secret|signature|passw(?:or)?d|passphrase|pwd|(?:api|access|account|secret)[_-]?key(?:[_-]?id)?"
    r"|credentials?|authorization)|sig|x-(?:amz|goog|ms)-[\w-]+"
)
PARAMETER = re.compile(
    rf"(?i)((?:(?<![\w.-])|%(?:25)*(?:3f|26|23|3b))(?:{SECRET_KEY}){EQUALS})((?!%(?:25)*26)[^\s&;'\"<>`)])+"
)
QUERY = re.compile(rf"(?i)({SCHEME}[^\s?'\"<>`]{{0,1000}}\?)([^\s'\"<>`]+)")
HARMLESS_PARAMETERS = ("region", "scheme", "endpoint_override", "revision")
KEY_SHAPES = re.compile(
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{20,}|sk-[\w-]{20,}|AIza[\w-]{30,}|xox[abprs]-[\w-]{10,}|eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*)"
)
# Quotation marks that begin and end a value, and no apostrophe; an escaped one ends none.
OPENING = re.compile(r"(?<![\w\\])b?(['\"])")
CLOSING = {mark: re.compile(rf"(?<!\\){mark}(?!\w)") for mark in "'\""}
# A runner reads a command where a line begins with two colons, or blanks and two colons, and where "##[" stands
# anywhere in a line. A carriage return ends a line too. Other services read "##name[".
COLONS = re.compile(r"((?:^|[\r\n])[^\S\r\n]*:)(?=:)")
BRACKET = re.compile(r"##(?=\w{0,20}\[)")


def harmless(text: str) -> str:
    """Return a sentence with foreign parts as one line without secrets and commands, cut in its middle if too long."""
    sentence = without_commands(one_line(without_secrets(without_documents(text)), len(text)))
    if len(sentence) <= MAX_LENGTH:
        return sentence
    left_out = f"… ({len(sentence) - MAX_LENGTH} characters are left out) …"
    start = MAX_LENGTH - SENTENCE_END - len(left_out)
    return f"{sentence[:start]}{left_out}{sentence[-SENTENCE_END:]}"


def one_line(text: str, max_length: int = MAX_LENGTH) -> str:
    """Return the text as one line of valid Unicode without control characters.

    Longer text is cut, and its length is appended.
    """
    start = text[:max_length]
    if not start.isprintable():
        start = "".join(
            REPLACEMENT if unicodedata.category(character) in CONTROL_CATEGORIES else character for character in start
        )
    return start if len(text) <= max_length else f"{start}… ({_count(len(text))} characters)"


def without_secrets(text: str) -> str:
    """Return the text without user names and passwords of addresses, secret parameters, and keys of known shapes."""
    if len(text) < 4 or text.isalnum():
        return text
    shown = KEY_SHAPES.sub(MASK, text)
    if not re.search("[@=%]", shown):
        return shown
    shown = USER_ALONE.sub(MASK, WITH_USER.sub(_without_user, shown))
    return PARAMETER.sub(rf"\1{MASK}", QUERY.sub(_without_values, shown))


def without_documents(text: str) -> str:
    """Return a sentence in which whatever stands in quotes and is no name is told by its length.

    Where a message quotes a value by ``repr`` and not by `quoted`, the value may be a training text all the same.
    """
    kept, position = [], 0
    closings = {mark: [closing.start() for closing in pattern.finditer(text)] for mark, pattern in CLOSING.items()}
    for opening in OPENING.finditer(text):
        start, ends = opening.start(), closings[opening[1]]
        following = bisect_right(ends, opening.end() - 1)
        if start < position or following == len(ends):
            continue
        quote = text[opening.end() : ends[following]]
        kept += [text[position:start], text[start : ends[following] + 1] if is_name(quote) else named(quote)]
        position = ends[following] + 1
    return "".join([*kept, text[position:]])


def without_commands(text: str) -> str:
    """Return log text in which a CI runner reads no command, because a blank splits the start of each."""
    return BRACKET.sub("# #", COLONS.sub(r"\1 ", text))


def quoted(value: object) -> str:
    """Return a value that was given where another was expected: as Python writes it, or what kind of value it is.

    A text is quoted only if it can be a name or a path, because a training text may stand in its place.
    """
    if isinstance(value, str | bytes | os.PathLike):
        text = os.fsdecode(value)
        return repr(value) if isinstance(value, bytes) and is_name(text) else named(text, repr(text))
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 128 else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, list | tuple | set | dict):
        is_short = not isinstance(value, dict) and len(value) <= MOST_NAMES and all(map(_is_plain, value))
        shown = repr(value) if is_short else ""
        return shown if 0 < len(shown) <= LONGEST_NAME else f"a {type(value).__name__} of {_count(len(value))} values"
    return f"a {type(value).__name__}"


def named(text: str, shown: str | None = None) -> str:
    """Return a name or path as it is (or as ``shown``), and of any other text only how long it is."""
    return (text if shown is None else shown) if is_name(text) else f"a text of {_count(len(text))} characters"


def listed(names: Iterable[object]) -> str:
    """Return names, such as the columns of a file, separated by commas; ``none`` if there is none."""
    all_names = [named(str(name)) for name in names]
    rest = [f"{_count(len(all_names) - MOST_NAMES)} more"] * (len(all_names) > MOST_NAMES)
    return ", ".join(all_names[:MOST_NAMES] + rest) or "none"


def is_name(text: str) -> bool:
    """Whether a text can be a name, a path or an address, by its length, its blanks and its characters."""
    parts = re.split(r"[/\\]", text) if len(text) <= LONGEST_PATH else [text]
    return (
        text.isprintable()
        and text.count(" ") <= MOST_BLANKS_IN_PATH
        and all(len(part) <= LONGEST_NAME and part.count(" ") <= MOST_BLANKS_IN_NAME for part in parts)
    )


def _is_plain(value: object) -> bool:
    return is_name(value) if isinstance(value, str) else isinstance(value, float) or type(value) in (int, bool)


def _without_user(address: re.Match[str]) -> str:
    start, user = address[1], address[2]
    for _ in range(5):
        user = unquote(user)
    in_path = "/" in user and PASSWORD.search(user) is None
    return address[0] if in_path or CONTAINER.match(address[0]) else f"{start}{MASK}"


def _without_values(address: re.Match[str]) -> str:
    parameters = [parameter.partition("=") for parameter in address[2].split("&")]
    shown = [
        f"{key}{equals}{value if key.lower() in HARMLESS_PARAMETERS else value and MASK}"
        for key, equals, value in parameters
    ]
    return address[1] + "&".join(shown)


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")
