"""Matrices of blocks of rows: the bytes of scipy's, whatever the blocks and wherever they lie."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array, diags_array, random_array

from cluster import ClusterError, scratch
from cluster.spectral import distinct_points, row_blocks, snn_graph, spectral
from cluster.spectral.distinct_points import weighted_graph
from cluster.spectral.row_blocks import part
from cluster.spectral.snn_graph import jaccard_graph, shared_neighbor_graph
from cluster.spectral.spectral import leading_eigenvectors, unit_rows


def lists(images: int = 500, k: int = 8) -> np.ndarray:
    """Neighbours drawn from the images nearby, so that many share some."""
    rng = np.random.default_rng(0)
    steps = np.stack([rng.permutation(25)[:k] + 1 for _ in range(images)])
    return ((np.arange(images)[:, None] + steps) % images).astype(np.int32)


def same(one: csr_array, other: csr_array) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("data", "indices", "indptr")]
    return one.shape == other.shape and all(
        left.dtype == right.dtype and left.tobytes() == right.tobytes() for left, right in pairs
    )


@pytest.fixture(params=[(7, 0), (100, 0), (7, 10**9)], ids=["7 mapped", "100 mapped", "7"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Makes what is computed next go by small blocks, of files or of memory."""
    rows, limit = request.param

    def begin() -> None:
        for module in (row_blocks, snn_graph, distinct_points, spectral):
            monkeypatch.setattr(module, "ROWS", rows)
        monkeypatch.setattr(snn_graph, "COST", 40 * rows)
        monkeypatch.setattr(scratch, "LIMIT", limit)

    return begin


def test_graphs_have_the_same_bytes(small_blocks: Callable):
    expected = [shared_neighbor_graph(lists()), jaccard_graph(lists())]
    small_blocks()
    assert same(shared_neighbor_graph(lists()), expected[0])
    assert same(jaccard_graph(lists()), expected[1])


def test_graphs_are_what_scipy_makes_at_once(small_blocks: Callable):
    """Of whole matrices: the product of the lists, where either image is in the other's list."""
    near = lists()
    begin = np.arange(0, near.size + len(near) + 1, near.shape[1] + 1)
    member = np.sort(np.column_stack([np.arange(len(near)), near]), axis=1).ravel()
    listed = csr_array((np.ones(member.size), member, begin))
    shared = (listed @ listed.T).multiply(((listed + listed.T) > 0).astype(float)).tocsr()
    shared.setdiag(0)
    shared.eliminate_zeros()
    small_blocks()
    found = shared_neighbor_graph(near)
    np.testing.assert_array_equal(found.toarray(), shared.toarray() / (near.shape[1] + 1))
    assert found.has_sorted_indices


def test_copies_weigh_as_in_scipys_sum(small_blocks: Callable):
    graph = shared_neighbor_graph(lists())
    copies = np.random.default_rng(1).integers(1, 4, graph.shape[0])
    weight = np.repeat(copies, np.diff(graph.indptr)) * graph.data * copies[graph.indices]
    joined = csr_array((weight, graph.indices, graph.indptr), graph.shape)
    expected = csr_array(joined + diags_array(copies * (copies - 1.0)))
    small_blocks()
    assert same(weighted_graph(graph, copies), expected)


def test_a_part_is_scipys_rows_and_columns(small_blocks: Callable):
    block = random_array((300, 300), density=0.05, rng=np.random.default_rng(2), format="csr")
    images = np.sort(np.random.default_rng(3).permutation(700)[:300])
    whole = np.zeros((700, 700))
    whole[np.ix_(images, images)] = block.toarray()
    matrix = csr_array(whole)
    expected = matrix[images][:, images]
    small_blocks()
    assert same(part(matrix, images), expected)


@pytest.mark.parametrize("m", [4, 40])
def test_eigenvectors_have_the_same_bytes(m: int, small_blocks: Callable):
    """Also of more components than eigenvectors."""
    near = lists(900) % 450
    own = np.arange(900)[:, None]
    near = np.where(own < 450, near, near + 450).astype(np.int32)
    near[450:] = near[:450] + 450
    graph = shared_neighbor_graph(near)
    parts = csr_array(np.kron(np.eye(12), 1 - np.eye(5)))
    expected = [leading_eigenvectors(graph, m), leading_eigenvectors(parts, m)]
    small_blocks()
    found = [leading_eigenvectors(graph, m), leading_eigenvectors(parts, m)]
    for one, other in zip(found, expected, strict=True):
        assert [each.tobytes() for each in one] == [each.tobytes() for each in other]


def test_rows_of_length_1_have_the_same_bytes(small_blocks: Callable):
    vectors = np.random.default_rng(4).normal(size=(300, 9))
    vectors[5], scale = 0, np.linspace(1, 0, 9)
    expected = [unit_rows(vectors[:, :4]), unit_rows(vectors * scale), unit_rows(vectors[:, :0])]
    small_blocks()
    found = [unit_rows(vectors[:, :4]), unit_rows(vectors, scale), unit_rows(vectors[:, :0])]
    assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]


def test_more_edges_than_an_index_of_32_bits_has_are_refused_before_anything_is_read():
    lists = np.broadcast_to(np.int32(0), (2**24, 64))
    with pytest.raises(ClusterError, match=r"16777216 images with 64 .* ask for 63 neighbours or"):
        shared_neighbor_graph(lists)
