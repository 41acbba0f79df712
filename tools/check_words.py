# SPDX-License-Identifier: Apache-2.0
"""Fail when a text of the project uses a word that CONTRIBUTING.md ("How we write") rules out.

usage: check_words.py [PATH...]    files and folders; by default package, engine, tools and documentation
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOTS = ["pydarknet", "darknet", "docs", "tools", "benchmarks", *Path().glob("*.md")]
WHOLE, CODE = {".md", ".txt", ".html"}, {".py", ".js", ".cpp", ".hpp", ".h", ".cu", ".cuh"}

#: Pattern -> alternative. Identifiers, options, paths and names in backticks do not count.
WORDS = {
    "films?": "video",
    "pictures?": "image",
    "told|tells?|telling": "report, state, explain",
    "(?:go|goes|going|gone|went) on": "continue, resume",
    "anew": "again, from scratch",
    "whoever|nobody|somebody|anybody|everybody": "the actor, or the passive",
    "mend(?:s|ed|ing)?": "fix",
    r"(?<!there\s)is no(?!\s(?:longer|more|less|larger|smaller))": "is not a",
    "so many": "N",
    "modest": "underconfident",
    "said aloud": "reported",
    "looked at|looks at": "viewed, checked, read",
    "wish(?:es)?": "options",
}
_WORDS = {rf"(?<![-\w./{{`])(?:{word})(?![-\w/(=])": hint for word, hint in WORDS.items()}
_WORDS[r'(?-i:"""What )'] = "a noun or a verb"
#: Comments and string literals of C++ and JavaScript.
_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_TOKENS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def texts(path: Path, source: str) -> Iterator[tuple[int, str]]:
    """Line and contents of everything in a file that people read."""
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        yield from ((token.start[0], token.string) for token in tokens if token.type in _TOKENS)
    elif path.suffix in CODE:
        yield from ((source.count("\n", 0, m.start()) + 1, m.group()) for m in _TEXT.finditer(source))
    else:
        yield 1, source


def findings(path: Path) -> Iterator[str]:
    """Words to replace in a file, a line each."""
    for first, text in texts(path, path.read_text(encoding="utf-8")):
        for pattern, hint in _WORDS.items():
            for match in re.finditer(pattern.replace(" ", r"\s+"), text, re.IGNORECASE):
                yield f"{path}:{first + text.count(chr(10), 0, match.start())}: {match.group()!r}: use {hint}"


if __name__ == "__main__":
    roots = [Path(place) for place in sys.argv[1:] or ROOTS]
    files = [path for root in roots for path in (sorted(root.rglob("*")) if root.is_dir() else [root])]
    wanted = [path for path in files if path.suffix in WHOLE | CODE and path.name != Path(__file__).name]
    found = [line for path in wanted for line in findings(path)]
    print("\n".join(found))
    sys.exit(bool(found))
