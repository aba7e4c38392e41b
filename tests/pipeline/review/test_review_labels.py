"""The label of every image, by hand; and names that go along to another clustering."""

import pytest
from reviewed import D, clustering

from pipeline.review.clustering import Clustering
from pipeline.review.decisions import Cluster, Decision, Name, Place, Rename
from pipeline.review.labels import CLUSTER, DECIDED, JUNK, NONE, UNKNOWN, label_images
from pipeline.review.replay import replay


def name(number: int, category: str, typical: list[int], of: str = "f") -> Name:
    found = Cluster(of=of, number=number, typical=tuple(D[i] for i in typical))
    return Name(clusters=(found,), category=category)


def place(images: list[int], status: str, category: str = "") -> Place:
    return Place(images=tuple(D[i] for i in images), status=status, category=category)  # type: ignore[arg-type]


def labelled(said: list[Decision], of: Clustering) -> list[str]:
    found = label_images(replay(said), of)
    return [found.categories[i] if i >= 0 else "" for i in found.label.tolist()]


def test_what_was_said_of_an_image_goes_before_the_name_of_its_cluster():
    said = [
        name(0, "cat", [0, 1]), place([1], "decided", "dog"), place([2], "junk"),
        place([3], "unknown"), place([4], "cluster", "ape"),
    ]  # fmt: skip
    found = label_images(replay(said), clustering([0, 0, 0, 1, 1, 1]))
    assert found.categories == ["ape", "cat", "dog"]
    assert found.label.tolist() == [1, 2, -1, -1, 0, -1]
    assert found.status.tolist() == [CLUSTER, DECIDED, JUNK, UNKNOWN, CLUSTER, NONE]
    assert found.of_cluster == {0: "cat"}


def test_nothing_said_is_no_label():
    found = label_images(replay([]), clustering([0, 1]))
    assert (found.label == -1).all()
    assert (found.status == NONE).all()
    assert found.categories == []


def test_clusters_of_one_name_are_merged_and_a_name_can_be_taken_away():
    of = clustering([0, 0, 1, 1])
    both = [name(0, "cat", [0]), name(1, "cat", [2])]
    assert labelled(both, of) == ["cat"] * 4
    assert labelled([*both, name(0, "", [0])], of) == ["", "", "cat", "cat"]


def test_a_name_goes_to_the_cluster_with_most_of_its_typical_images():
    said = [name(0, "cat", [0, 1, 2])]
    assert labelled(said, clustering([1, 1, 0, 0], "other")) == ["cat", "cat", "", ""]


def test_a_name_whose_images_are_torn_apart_goes_nowhere():
    said = [name(0, "cat", [0, 1])]
    assert labelled(said, clustering([0, 1], "other")) == ["", ""]
    gone = [name(0, "cat", [6, 7])]
    assert labelled(gone, clustering([0, 1], "other")) == ["", ""]


def test_of_two_names_for_one_cluster_that_of_more_images_wins_then_the_later():
    of = clustering([0, 0, 0, 1], "other")
    assert labelled([name(0, "cat", [0, 1]), name(1, "dog", [2])], of)[0] == "cat"
    assert labelled([name(0, "cat", [0]), name(1, "dog", [2])], of)[0] == "dog"


def test_a_name_of_this_clustering_goes_before_one_from_another():
    said = [name(0, "own", [0]), name(3, "carried", [0, 1], of="other")]
    assert labelled(said, clustering([0, 0])) == ["own", "own"]


def test_known_classes_have_their_names_until_they_are_renamed():
    of = clustering([0, 1], names={0: "cat"})
    assert labelled([], of) == ["cat", ""]
    assert labelled([Rename(category="cat", to="pet")], of) == ["pet", ""]
    assert labelled([name(0, "dog", [0])], of) == ["dog", ""]


def test_images_that_are_not_there_any_more_are_passed_over():
    assert labelled([place([7], "decided", "cat")], clustering([0, 0])) == ["", ""]


@pytest.mark.parametrize("many", [0, 1])
def test_few_images_are_no_trouble(many: int):
    found = label_images(replay([name(0, "cat", [0])]), clustering([0] * many))
    assert len(found.label) == len(found.status) == many
