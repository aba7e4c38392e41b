"""The kinds of file that stages make from one another; `store.kinds` has all."""

from store.kinds.kind import Array, Kind

FOR_STAGES: dict[str, Kind] = {
    "absent": Kind(
        1, "in place of any other, where a dataset cannot be had by a backbone", {}, ("reason",)
    ),
    "index": Kind(
        1,
        "data/{dataset}/images.h5",
        {
            "name": Array("str", "image", "name of the image below the dataset's root"),
            "digest": Array("uint8", "image 16", "BLAKE2b-128 of the image's bytes"),
            "split": Array("uint8", "image", "which of `splits` the image is in"),
        },
        ("dataset", "splits", "n_classes"),
    ),
    "seen": Kind(
        1,
        "data/{dataset}/images.seen.h5",
        {
            "first": Array(
                "uint64",
                "file",
                "8 bytes of a hash of a file's name, size, times and inode, rising",
            ),
            "second": Array("uint64", "file", "8 more bytes of it"),
            "digest": Array("uint8", "file 16", "BLAKE2b-128 of the file's bytes"),
        },
        ("spec",),
    ),
    "labels": Kind(
        1,
        "data/{dataset}/labels.h5",
        {"label": Array("int32", "image", "class of the image, -1 where none is known")},
        ("dataset", "classes"),
    ),
    "known": Kind(
        1,
        "data/{dataset}/known.h5",
        {
            "label": Array("int32", "image", "known class of a labelled image, else -1"),
            "class": Array("int32", "class", "each known class in the labels, -1: not there"),
        },
        ("dataset", "old"),
    ),
    "features": Kind(
        1,
        "data/{dataset}/{backbone}/features/shard-*.h5",
        {
            "features": Array(
                "float16 or float32", "image dim", "the vectors, contiguous, uncompressed"
            ),
            "id": Array("uint8", "image 16", "digest of the image that the vector belongs to"),
            "row": Array("int64", "image", "row of the image in the index"),
            "split": Array("uint8", "image", "which of `splits` the image is in"),
            "readable": Array("uint8", "image", "0 where the image could not be read"),
            "done": Array("uint8", "block", "1 once a block of rows is stored"),
            "crc32": Array("uint32", "block", "of each block: its features, then its readable"),
        },
        ("dataset", "backbone", "encoder", "dim", "splits", "shard", "block"),
    ),
    "store": Kind(
        1,
        "data/{dataset}/{backbone}/features/features.h5",
        {
            "shard_rows": Array("int64", "shard", "number of rows in each shard"),
            "shard_crc32": Array("uint32", "shard", "checksum over a shard's checksums"),
        },
        ("dataset", "backbone", "encoder", "dim", "splits"),
    ),
    "pca": Kind(
        1,
        "data/{dataset}/{backbone}/pca.h5",
        {
            "mean": Array("float64", "dim", "mean of the images that were fitted on"),
            "components": Array("float64", "component dim", "unit rows, by falling variance"),
            "variance": Array("float64", "component", "variance along each component"),
        },
        ("dataset", "backbone", "normalize", "whiten", "images"),
    ),
    "neighbors": Kind(
        1,
        "data/{dataset}/{backbone}/neighbors.h5",
        {
            "row": Array("int64", "image", "row of the image in the index"),
            "split": Array("uint8", "image", "which of `splits` the image is in"),
            "neighbor": Array("int32", "image neighbor", "rows in the index, nearest first"),
            "similarity": Array("float32", "image neighbor", "of each; minus a distance"),
        },
        ("dataset", "backbone", "metric", "splits", "dim", "recall"),
    ),
    "map": Kind(
        1,
        "data/{dataset}/{backbone}/map.h5",
        {
            "row": Array("int64", "image", "row of the image in the index"),
            "split": Array("uint8", "image", "which of `splits` the image is in"),
            "dims": Array("int32", "setting", "number of axes"),
            "*/place": Array("float32", "image axis", "of each image, near its neighbours"),
        },
        ("dataset", "backbone", "metric", "splits", "neighbors", "min_dist", "seed"),
    ),
    "duplicates": Kind(
        1,
        "data/{dataset}/{backbone}/duplicates.h5",
        {
            "row": Array("int64", "image", "row of the image in the index"),
            "leader": Array("int64", "image", "row of the image that stands for its group"),
        },
        ("dataset", "backbone", "threshold"),
    ),
    "similar": Kind(
        1,
        "data/{dataset}/{backbone}/similar/{among}/found.h5",
        {
            "target": Array("int64", "target", "row of each image that asked in the index"),
            "found": Array("int64", "target neighbor", "rows in the other index, nearest first"),
            "similarity": Array("float32", "target neighbor", "cosine of the two images"),
        },
        ("target", "among", "backbone", "k", "minimum"),
    ),
    "learned": Kind(
        1,
        "data/backbones/{backbone}/learned.h5",
        {
            "row": Array("int64", "image", "rows in the index of the images whose class was known"),
            "label": Array("int32", "image", "the known class of each"),
            "*/weight": Array(
                "float32", "cluster dim", "of a linear head, learned with the backbone"
            ),
            "*/bias": Array("float32", "cluster", "of the same"),
        },
        ("dataset", "backbone", "encoder", "heads", "unit", "old", "seed"),
    ),
    "clusters": Kind(
        2,
        "data/{dataset}/{backbone}/clusters/{run}.h5",
        {
            "row": Array("int64", "image", "row of the image in the index"),
            "split": Array("uint8", "image", "which of `splits` the image is in"),
            "k": Array("int32", "setting", "number of clusters"),
            "dims": Array("int32", "setting", "number of leading components; 0: no projection"),
            "mean": Array("float64", "dim", "of the PCA that the clusters were fitted in"),
            "components": Array("float64", "component dim", "the leading ones that are needed"),
            "variance": Array("float64", "component", "variance along each"),
            "*/assignment": Array("int32", "seed image", "cluster of each image"),
            "*/loss": Array("float64", "seed", "what was minimised; of k-means the inertia"),
            "*/distance": Array("float32", "seed image", "distance to the own cluster's centroid"),
            "*/probability": Array("float32", "seed image", "of the own cluster"),
            "*/iterations": Array("int32", "seed", "Lloyd iterations of the kept start"),
            # How other images are assigned: by the nearest centroid,
            "*/centroids": Array("float32", "seed cluster dim", "the centroids"),
            # by the largest output of a linear head,
            "*/weight": Array("float32", "seed cluster dim", "of a linear head"),
            "*/bias": Array("float32", "seed cluster", "of a linear head"),
            # or of Linear, GELU, Linear, L2-normalise, Linear without bias.
            "*/hidden_weight": Array("float32", "seed hidden dim", "first layer"),
            "*/hidden_bias": Array("float32", "seed hidden", "first layer"),
            "*/bottleneck_weight": Array("float32", "seed bottleneck hidden", "second layer"),
            "*/bottleneck_bias": Array("float32", "seed bottleneck", "second layer"),
            "*/prototypes": Array("float32", "seed cluster bottleneck", "last layer"),
            # or by this many nearest of the fitted images.
            "*/voters": Array("int32", "seed", "neighbours that vote on another image"),
            # Of runs that reject images, the distance being that to the centroid:
            "*/rejected": Array("uint8", "seed image", "1: the image belongs to no cluster"),
            "*/reject_beyond": Array("float32", "seed", "the distance beyond which it is so"),
            "*/watched": Array("int64", "watched", "rows of the images whose clusters are kept"),
            "*/watched_assignment": Array("int32", "seed epoch watched", "after each epoch"),
        },
        (
            *("dataset", "backbone", "run", "fitted_on", "how"),
            *("metric", "normalize", "whiten", "seeds", "splits"),
        ),
    ),
    "curated": Kind(
        1,
        "data/{dataset}/{backbone}/curated/{run}.h5",
        {
            "row": Array("int64", "image", "row in the index, of the images of train"),
            "reason": Array("uint8", "image", "which of `reasons`; 0: the image is chosen"),
            "leader": Array("int64", "image", "row of the image that is kept for it, or its own"),
            "outlier": Array("float32", "image", "how strange it is, in robust deviations"),
            "k": Array("int32", "level", "number of clusters, the finest level first"),
            "*/cluster": Array("int32", "image", "cluster of each image at a level"),
        },
        ("dataset", "backbone", "run", "reasons"),
    ),
}
