"""Turn running English text into sentences of words that a speech recogniser can write.

Words keep only a-z and the apostrophe. Numbers are spelled out where their reading is certain
("1914", "21st", "12,000"); a sentence with any other digit or a foreign letter is dropped, so
that the language model never learns a text that nobody says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

_TITLES = {
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "messrs": "messieurs",
    "st": "saint",
    "esq": "esquire",
    "etc": "et cetera",
    "viz": "namely",
}
_TITLE = re.compile(r"\b(" + "|".join(_TITLES) + r")\.(?=\W|$)")
# Words whose apostrophe at the edge belongs to them and is not a quotation mark.
_CLIPPED = {
    "'tis",
    "'twas",
    "'twere",
    "'twill",
    "'twould",
    "'tisn't",
    "'twasn't",
    "'em",
    "'im",
    "'er",
    "'ere",
    "'ere's",
    "'til",
    "'cause",
    "'bout",
    "o'",
    "an'",
    "th'",
    "wi'",
    "ha'",
}
_CHARACTERS = str.maketrans(
    {
        "’": "'",
        "‘": "'",
        "‛": "'",
        "`": "'",
        "´": "'",
        "&": " and ",
        "æ": "ae",
        "œ": "oe",
        "ß": "ss",
        "ø": "o",
        "đ": "d",
        "ł": "l",
        "_": " ",
        "*": " ",
    }
)
_SENTENCE_END = re.compile(r"[.?!]+['\")\]”»]*(?=\s|$)|\n\s*\n")
_NUMBER = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(st|nd|rd|th)?(?![\w]|[.,]\d)")
_UNREADABLE = re.compile(r"[$£€¥%°⁄]|\d\s*[/:+=x]\s*\d")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def sentences(text: str) -> Iterator[list[str]]:
    """Sentences of ``text`` as lists of lower-case words; unusable sentences are left out."""
    folded = _fold(text)
    folded = _TITLE.sub(lambda match: _TITLES[match[1]] + " ", folded)
    for sentence in _SENTENCE_END.split(folded):
        words = _words(sentence)
        if words:
            yield words


def words_of_sentence(sentence: str) -> list[str] | None:
    """Words of one sentence, None if it holds digits or letters that cannot be spelled."""
    return _words(_fold(sentence))


def _words(folded: str) -> list[str] | None:
    if any(character.isdigit() for character in folded):
        if _UNREADABLE.search(folded):
            return None
        folded = _NUMBER.sub(_spell_match, folded)
    words = []
    for raw in re.split(r"[^\w']+", folded):
        word = _trim(raw)
        if not word:
            continue
        if not all("a" <= character <= "z" or character == "'" for character in word):
            return None
        words.append(word)
    return words


def normalised_lines(lines: Iterable[str]) -> Iterator[list[str]]:
    """Sentences of a file whose every line is a paragraph or a sentence."""
    for line in lines:
        yield from sentences(line)


def _fold(text: str) -> str:
    """Lower case, plain apostrophes, no accents."""
    text = unicodedata.normalize("NFKD", text.lower().translate(_CHARACTERS))
    return "".join(character for character in text if not unicodedata.combining(character))


def _trim(word: str) -> str:
    """Drop quotation marks at the edges, keep the apostrophes of clipped words."""
    core = word.strip("'")
    if core == word:
        return word
    opened = f"'{core}" if word.startswith("'") else core
    closed = f"{core}'" if word.endswith("'") else core
    return next((clipped for clipped in (opened, closed) if clipped in _CLIPPED), core)


def _spell_match(match: re.Match[str]) -> str:
    digits, suffix = match[1], match[2]
    value = int(digits.replace(",", ""))
    if value >= 1_000_000 or (len(digits) > 1 and digits[0] == "0"):
        return match[0]
    if suffix:
        return f" {_ordinal(value)} "
    year = len(digits) == 4 and 1100 <= value < 2000
    return f" {_year(value) if year else spell_cardinal(value)} "


def spell_cardinal(value: int) -> str:
    """English words of 0 <= value < 1,000,000."""
    if value < 20:
        return _ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return _TENS[tens] + (f" {_ONES[ones]}" if ones else "")
    unit, size = ("hundred", 100) if value < 1000 else ("thousand", 1000)
    high, low = divmod(value, size)
    joined = " and " if low < 100 else " "
    return f"{spell_cardinal(high)} {unit}" + (joined + spell_cardinal(low) if low else "")


def _ordinal(value: int) -> str:
    *front, last = spell_cardinal(value).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = (last[:-1] + "ie" if last.endswith("y") else last) + "th"
    return " ".join([*front, last])


def _year(value: int) -> str:
    century, rest = divmod(value, 100)
    if rest == 0:
        return f"{spell_cardinal(century)} hundred"
    ones = f"oh {_ONES[rest]}" if rest < 10 else spell_cardinal(rest)
    return f"{spell_cardinal(century)} {ones}"
