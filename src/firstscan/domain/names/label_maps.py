"""Which file names mean a label map and not a scan: the one rule for index, labels, hand-offs and studies."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

LABEL_WORDS = (
    "segmentations?", "segs?", "(?:d|prob|a)seg", "aparc", "labels?", "labelmaps?", "multilabel", "masks?", "msk", "gt",
    "groundtruth", "annotations?",
)  # fmt: skip
"""Words that make a file a label map wherever they stand in its name (regular expressions, lower case)."""
HINTS = ("rois?", "[gcp]tv[a-z]?", "contours?", "manual", "lesions?", "tumou?rs?", "truth")
"""Words that do so only where a scan is called the same without them: a scan may be called ``tumor_012`` as well."""
FILLERS = ("maps?", "final", "corrected", "merged")
"""Words that belong to a label map's name only beside one of the others (``p1_label_map``)."""
IMAGE_WORDS = ("t1w?", "t2w?", "flair", "pdw", "ct", "mri?", "images?", "img", "imaging", "volumes?", "vol", "scan")
"""Words for the scan itself, which its label map may lack or replace (``volume-3`` and ``segmentation-3``)."""
ANY_WORD = "|".join(LABEL_WORDS + HINTS)
"""All words that may tell a label map from its scan, as one regular expression."""

_STRONG = re.compile(rf"(?:{'|'.join(LABEL_WORDS)})\d*")
_ANY = re.compile(rf"(?:{ANY_WORD})\d*")
_FILLED = re.compile(rf"(?:{ANY_WORD}|{'|'.join(FILLERS)})\d*")
_IMAGE = re.compile("|".join(IMAGE_WORDS))
_NEUTRAL = re.compile(r"tr|ts|train(?:ing)?|test|val(?:idation)?|reader|rater|expert|nii|nifti|all|of|\d+")
_TOKEN = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][a-z]{2})|(?<=[a-z]{3})(?=[A-Z])")
_ENTITY = re.compile(r"^(?:sub|ses)-[A-Za-z0-9]+(?:_|$)")
_GROUND_TRUTH = re.compile(r"ground[ _-]?truth", re.IGNORECASE)


def words_of(stem: str) -> tuple[str, ...]:
    """Return the words of a name: split at whatever is no letter or digit, and at capitals (``labelsTr``)."""
    whole = _GROUND_TRUTH.sub("Groundtruth", _without_subject(stem))
    return tuple(part for token in _TOKEN.findall(whole) for part in _split(token))


def names_labels(stem: str) -> bool:
    """Tell whether a file name without its ending holds a word for label maps, as in ``p1_seg`` or ``p1.seg``."""
    return any(_STRONG.fullmatch(word.lower()) for word in words_of(stem))


def hints_at_labels(stem: str) -> bool:
    """Tell whether a name holds a word that may mean a label map, as in ``p1_lesion``."""
    return any(_ANY.fullmatch(word.lower()) for word in words_of(stem))


def is_label_folder(name: str) -> bool:
    """Tell whether a folder is called after label maps and nothing else, as ``labelsTr``, ``masks`` or ``gt_val``."""
    words = [word.lower() for word in words_of(name)]
    return any(map(_STRONG.fullmatch, words)) and all(_FILLED.fullmatch(w) or _NEUTRAL.fullmatch(w) for w in words)


def without_label_words(stem: str) -> str:
    """Return a name without its words for label maps and what joins them: ``p1_seg`` and ``p1.seg`` → ``p1``."""
    return _without(stem, _FILLED) if hints_at_labels(stem) else stem


def without_image_words(name: str) -> str:
    """Return a name without words for the scan itself: ``sub-1_T1w`` → ``sub-1``, ``volume-3`` → ``3``."""
    return _without(name, _IMAGE)


def core_of(stem: str) -> str:
    """Return what a scan and its label map have in common: the name without words for either."""
    return without_image_words(without_label_words(stem))


def are_labels(stems: Sequence[str], folders: Sequence[Collection[str]]) -> list[bool]:
    """Tell of each file whether its names mean a label map.

    Parameters
    ----------
    stems : names without ending.
    folders : the names of the folders that each file lies in, below the source.

    A hint such as ``lesion`` counts where another file, which is no label map, has the same name without it.
    """
    sure = [names_labels(s) or any(map(is_label_folder, f)) for s, f in zip(stems, folders, strict=True)]
    hinted = [not known and hints_at_labels(stem) for known, stem in zip(sure, stems, strict=True)]
    if not any(hinted):
        return sure
    scans = {
        (tuple(f), core_of(s))
        for s, f, known, maybe in zip(stems, folders, sure, hinted, strict=True)
        if not (known or maybe)
    }
    return [
        known or (maybe and (tuple(f), core_of(s)) in scans)
        for s, f, known, maybe in zip(stems, folders, sure, hinted, strict=True)
    ]


def _split(token: str) -> Iterable[str]:
    return (token,) if _ANY.fullmatch(token.lower()) else _CAMEL.split(token)


def _without_subject(stem: str) -> str:
    while match := _ENTITY.match(stem):
        stem = stem[match.end() :]
    return stem


def _without(name: str, words: re.Pattern[str]) -> str:
    """Take out every word that fits, with one separator beside it."""
    prefix = name[: len(name) - len(_without_subject(name))]
    kept = _GROUND_TRUTH.sub("Groundtruth", name[len(prefix) :])
    pieces = re.split(r"([\W_]+)", kept)
    tokens = [(pieces[i], pieces[i - 1] if i else "") for i in range(0, len(pieces), 2)]
    left = [(t, sep) for token, sep in tokens if (t := _bare(token, words))]
    return (prefix + "".join((sep if i else "") + t for i, (t, sep) in enumerate(left))).rstrip("_-. ")


def _bare(token: str, words: re.Pattern[str]) -> str:
    if words.fullmatch(token.lower()):
        return ""
    return "".join(part for part in _CAMEL.split(token) if not words.fullmatch(part.lower()))
