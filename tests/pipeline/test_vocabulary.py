"""The words that clusters may be called: of a file, of WordNet, of ImageNet."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.naming import vocabulary
from pipeline.naming.vocabulary import read_words, words_of, write_words
from pipeline.params import StageError


def test_a_file_has_a_word_or_phrase_a_line(tmp_path: Path):
    path = tmp_path / "words.txt"
    path.write_text("﻿# birds\nblack  grouse\n\n  ruff \nCafe\u0301\nhawk; or falcon\n", "utf-8")
    assert words_of(str(path)) == (["black grouse", "ruff", "Café", "hawk; or falcon"], [])
    write_words(tmp_path / "kept.txt", words_of(str(path))[0])
    assert read_words(tmp_path / "kept.txt") == words_of(str(path))[0]


def test_a_word_that_stands_twice_counts_once_and_that_is_said(tmp_path: Path):
    (tmp_path / "words.txt").write_text("ruff\nhawk\nruff\n ruff\n")
    words, notes = words_of(str(tmp_path / "words.txt"))
    assert words == ["ruff", "hawk"]
    assert notes == ["2 words stand there more than once, and count once"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "words.txt holds no word: write one a line$"),
        (b"# nothing\n \n", "words.txt holds no word"),
        ("Häher\n".encode("latin-1"), r"words.txt is not UTF-8 \(byte 1\): save it as UTF-8$"),
        (None, "no file .*words.txt; expected imagenet, wordnet or a text of words, one a line$"),
    ],
)
def test_a_file_of_no_words_is_refused_in_one_line(
    content: bytes | None, message: str, tmp_path: Path
):
    if content is not None:
        (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(StageError, match=rf"^params.yaml: names.vocabulary: .*{message}") as error:
        words_of(str(tmp_path / "words.txt"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [".", "~nobody_here/words.txt", "\x00", "a\nb"])
def test_what_is_no_file_is_refused(name: str):
    with pytest.raises(StageError, match=r"no file"):
        words_of(name)


def test_wordnet_gives_the_first_word_of_each_noun(monkeypatch: pytest.MonkeyPatch):
    import nltk.corpus

    asked = []

    def synset(*names: str) -> SimpleNamespace:
        return SimpleNamespace(lemma_names=lambda: list(names))

    def all_synsets(pos: str) -> list[SimpleNamespace]:
        asked.append(pos)
        return [synset("great_auk", "Pinguinus_impennis"), synset("ruff"), synset("ruff", "ruffe")]

    monkeypatch.setattr(nltk.corpus, "wordnet", SimpleNamespace(all_synsets=all_synsets))
    words, notes = words_of("wordnet")
    assert (words, asked, len(notes)) == (["great auk", "ruff"], ["n"], 1)


def test_wordnet_is_never_downloaded_but_one_line_says_how(monkeypatch: pytest.MonkeyPatch):
    import nltk.corpus
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", ["/nowhere"])
    reader = nltk.corpus.util.LazyCorpusLoader(
        "wordnet", nltk.corpus.reader.WordNetCorpusReader, None
    )
    monkeypatch.setattr(nltk.corpus, "wordnet", reader)
    with pytest.raises(StageError, match=r"`python -m nltk.downloader wordnet` gets it") as error:
        words_of("wordnet")
    assert "\n" not in str(error.value)


def test_imagenet_is_a_thousand_words():
    assert len(words_of("imagenet")[0]) == 1000
    assert not vocabulary.is_file("imagenet")
    assert not vocabulary.is_file("wordnet")
    assert vocabulary.is_file("words.txt")


def test_words_that_were_not_looked_up_say_how(tmp_path: Path):
    with pytest.raises(StageError, match=r"is not there: run `dvc repro vocabulary`"):
        read_words(tmp_path / "kmeans.txt")
