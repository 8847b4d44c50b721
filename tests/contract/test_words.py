"""One word, one meaning: the terms that docs/house.md and CONTRIBUTING.md give are the ones that are used."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "vebi").rglob("*.py"))
TEMPLATES = sorted((ROOT / "src" / "vebi").rglob("*.j2"))
SCRIPTS = sorted(path for folder in ("benchmarks", "docs", "examples") for path in (ROOT / folder).glob("*.py"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / ".github").rglob("*.y*ml")),
]

#: What must not be read in code, pages and docs -> what the field says.
WORDS = {
    r"\bpictures?\b": "image (or figure, for what is drawn)",
    r"\b(led|lead|leads) back\b": "backpropagated",
    r"\btap(s|ped)?\b": "recorded layer",
    r"\bbackward rules?\b": "backprop rule",
    r"\bstand-ins?\b": "correlated features",
    r"\bhalf samples?\b": "subsamples",
    r"\b(selected|chosen) again\b": "selection probability",
    r"\bexplained variance\b": "R²",
    r"(?<!coefficient of )\bagreement\b": "fidelity",
    r"\bcontests?\b": "benchmark",
    r"\bgo(es)? on where it was\b": "resumes",
    r"\bthe seed's\b": "the paper's",
    r"\bpreparation\b": "preprocessing",
    r"\bPictures a pass\b": "batch size",
    r"\b(one|features|number|heatmap|images?|seconds?|score|row|map) a (class|image|feature|layer|fold)\b": "per",
}

#: What reads files of earlier formats knows their words.
EARLIER = ("earlier_format.py", "benchmark_report/result.py")

#: Names that were private poetry.
NAMES = frozenset(
    [
        "again",
        "along",
        "beginnings",
        "goes_on",
        "stand_ins",
        "Repetition",
        "select_again",
        "halves",
        "sum_up",
        "sum_up_parts",
        "deal",
        "judge",
        "within_one_error",
        "pull_back",
        "lead_back",
        "back_from",
        "passing",
        "UNKNOWN",
        "evenly",
        "listed",
        "of_stage",
        "vivid",
        "contributors",
        "tapped",
        "LedBack",
        "CombinedMaps",
        "one_of_each",
        "Contest",
        "of_the_seed",
        "Survey",
        "guarded",
        "Sums",
        "owners",
        "enters",
        "found",
        "told",
        "some",
    ]
)


@pytest.mark.parametrize(
    "path",
    [p for p in (*SOURCES, *SCRIPTS, *TEMPLATES, *PAGES) if not p.as_posix().endswith(EARLIER)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_terms_of_the_field(path):
    text = path.read_text(encoding="utf-8")
    used = {
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}, say {term}"
        for word, term in WORDS.items()
        for match in re.finditer(word, text, re.IGNORECASE)
    }
    assert not used


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_nouns(path):
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    assert {token.string for token in tokens if token.type == tokenize.NAME} & NAMES == set()
