"""Look up the words that clusters may be called."""

import sys

from pipeline.kept import keep
from pipeline.naming.vocabulary import WHERE, file_of, is_file, path_of, words_of, write_words
from pipeline.params import StageError, read_params
from stages import run


def main(clusters_of: str) -> None:
    """Write the words that stage names may call the clusters of the run CLUSTERS_OF, a word a line.

    names.vocabulary of params.yaml says which. A file is looked at each time; where it is not
    here, as in a second clone, what is there stays."""
    vocabulary, out = read_params("names.vocabulary"), file_of(clusters_of)
    if not isinstance(vocabulary, str) or not vocabulary.strip():
        raise StageError(
            f"{WHERE} is {vocabulary!r}: expected imagenet, wordnet or a file of words"
        )
    if out.exists() and is_file(vocabulary) and not path_of(vocabulary).is_file():
        return keep("vocabulary", "names.vocabulary", vocabulary, out, clusters_of)
    words, notes = words_of(vocabulary)
    for note in notes:
        print(f"vocabulary: {note}", file=sys.stderr)
    write_words(out, words)
    print(f"vocabulary: {len(words)} words of {vocabulary}")


if __name__ == "__main__":
    run(main)
