"""The headlines as tables of markdown: of which splits there are some."""

from pages.report.markdown import markdown
from pages.report.tables.settings import Setting
from pages.report.tables.table import COLUMNS


def setting(split: str, labelled: int, acc: float) -> Setting:
    mean = {c.score: float("nan") for c in COLUMNS} | {"acc": acc, "live": 3.0, "silhouette": 0.25}
    sd = dict.fromkeys(mean, 0.0)
    values = {name: [value] * 2 for name, value in mean.items()}
    return Setting(
        "d", "b", "kmeans", "d", 0, 3, 0, 8, 40, labelled, split, (0, 1), values, mean, sd
    )


def test_where_train_has_no_labels_a_split_that_has_some_has_a_table():
    nan = float("nan")
    found = markdown([setting("train", 0, nan), setting("test", 40, 0.5)], [], {}, {})
    train, test = found.split("d, test, 2 seeds, mean ± sd. ACC is one-to-one")
    assert "ACC" not in train
    assert "50.0 ± 0.0" in test


def test_where_train_has_labels_it_has_the_only_table():
    found = markdown([setting("train", 9, 0.75), setting("test", 40, 0.5)], [], {}, {})
    assert "75.0 ± 0.0" in found
    assert "test" not in found
