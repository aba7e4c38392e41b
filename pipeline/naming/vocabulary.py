"""Words that clusters may be called: of a file, of WordNet or of ImageNet, one list for all."""

import unicodedata
from pathlib import Path

from backbones.imagenet_classes import imagenet_classes
from pipeline.io.whole import whole_text
from pipeline.params import PARAMS, StageError

VOCABULARY = Path("data/vocabulary")  # a text for each run that is named
WHERE = f"{PARAMS}: names.vocabulary"


def file_of(run: str) -> Path:
    """The words that the clusters of RUN may be called."""
    return VOCABULARY / f"{run}.txt"


def path_of(vocabulary: str) -> Path:
    """The file that is named, ~ and all."""
    try:
        return Path(vocabulary).expanduser()
    except RuntimeError:  # the home of somebody who is not known here
        return Path(vocabulary)


def is_file(vocabulary: str) -> bool:
    """Whether it is a file of the user's, and none of those that libraries bring."""
    return vocabulary not in ("imagenet", "wordnet")


def words_of(vocabulary: str) -> tuple[list[str], list[str]]:
    """The words, each once, and notes on what was left out. Raises StageError in one line."""
    if vocabulary == "imagenet":
        return imagenet_classes(), []
    found = wordnet_nouns() if vocabulary == "wordnet" else _lines(path_of(vocabulary))
    words = list(dict.fromkeys(found))
    if not words:
        raise StageError(f"{WHERE}: {vocabulary} holds no word: write one a line")
    again = len(found) - len(words)
    return words, [f"{again} words stand there more than once, and count once"] if again else []


def wordnet_nouns() -> list[str]:
    """The first word of each set of nouns that mean the same, as TAC has them."""
    try:
        from nltk.corpus import wordnet

        return [s.lemma_names()[0].replace("_", " ") for s in wordnet.all_synsets("n")]
    except ImportError:
        raise StageError(f"{WHERE}: wordnet is read by NLTK: pip install nltk") from None
    except LookupError:
        raise StageError(
            f"{WHERE}: NLTK has no WordNet on this machine: `python -m nltk.downloader wordnet` "
            "gets it (11 MB), or name a file of words"
        ) from None


def write_words(path: Path, words: list[str]) -> None:
    """UTF-8, a word a line."""
    with whole_text(path) as file:
        file.writelines(f"{word}\n" for word in words)


def read_words(path: Path) -> list[str]:
    """What write_words wrote."""
    if not path.is_file():
        raise StageError(f"{path} is not there: run `dvc repro vocabulary`")
    return path.read_text(encoding="utf-8").splitlines()


def _lines(path: Path) -> list[str]:
    """The words of a file, without blanks around them, empty lines and lines that begin with #."""
    if not path.is_file():
        raise StageError(
            f"{WHERE}: no file {path}; expected imagenet, wordnet or a text of words, one a line"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StageError(
            f"{WHERE}: {path} is not UTF-8 (byte {error.start}): save it as UTF-8"
        ) from None
    lines = (" ".join(unicodedata.normalize("NFC", line).split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
