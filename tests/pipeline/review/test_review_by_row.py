"""The labels that the page computes after each decision are those of `label_images`."""

from hypothesis import given
from hypothesis import strategies as st
from reviewed import D, clustering

from pipeline.review.by_row import ByRow
from pipeline.review.decisions import Audit, Cluster, Decision, Name, Place, Redo, Rename, Undo
from pipeline.review.labels import label_images
from pipeline.review.replay import replay

IMAGE = st.sampled_from(D)
CATEGORY = st.sampled_from(["cat", "dog", "ape"])
WITH = st.sampled_from(["decided", "cluster"])
WITHOUT = st.sampled_from(["unknown", "junk", "undecided"])
IMAGES = st.lists(IMAGE, max_size=4).map(tuple)
CLUSTERS = st.builds(
    Cluster, of=st.sampled_from(["f", "g"]), number=st.integers(0, 4), typical=IMAGES
)
DECISION: st.SearchStrategy[Decision] = st.one_of(
    st.builds(Place, images=IMAGES, status=WITH, category=CATEGORY),
    st.builds(Place, images=IMAGES, status=WITHOUT),
    st.builds(Name, clusters=st.lists(CLUSTERS, max_size=2).map(tuple), category=CATEGORY),
    st.builds(Rename, category=CATEGORY, to=CATEGORY),
    st.builds(Audit, image=IMAGE, called=CATEGORY, status=st.just("decided"), category=CATEGORY),
    st.builds(Undo),
    st.builds(Redo),
)


@given(st.lists(DECISION, max_size=12), st.lists(st.integers(0, 3), max_size=8))
def test_labels_by_row_are_those_of_all_images(said: list[Decision], assignment: list[int]):
    of = clustering(assignment, names={0: "cat"} if 0 in assignment else {})
    by_row = ByRow(of)
    for end in range(len(said) + 1):
        found, summary = by_row.labels(said[:end])
        expected = label_images(replay(said[:end]), of)
        assert found.categories == expected.categories
        assert found.label.tolist() == expected.label.tolist()
        assert found.status.tolist() == expected.status.tolist()
        assert found.of_cluster == expected.of_cluster
        whole = replay(said[:end])
        assert summary._replace(placed={}) == whole._replace(placed={})


def test_images_with_the_same_bytes_get_the_same_label():
    of = clustering([0, 1, 1])._replace(digest=[D[0], D[1], D[0]])
    said = [Place(images=(D[0],), status="decided", category="cat")]
    assert ByRow(of).labels(said)[0].label.tolist() == [0, -1, 0]
    assert label_images(replay(said), of).label.tolist() == [0, -1, 0]
