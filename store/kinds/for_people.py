"""The kinds of file that pages and tables are made from; `store.kinds` has all."""

from store.kinds.kind import Array, Kind

FOR_PEOPLE: dict[str, Kind] = {
    "examples": Kind(
        2,
        "metrics/{dataset}/{backbone}/examples.h5",
        {
            "size": Array("int64", "cluster", "images of train in each cluster"),
            "name": Array("str", "image", "of the images that the report shows, by cluster"),
            "digest": Array("uint8", "image 16", "BLAKE2b-128 of the image's bytes"),
            "cluster": Array("int32", "image", "cluster that the image is shown for"),
            "typical": Array("uint8", "image", "1: most typical of its cluster, 0: least so"),
        },
        (
            *("dataset", "backbone", "run", "setting", "k", "dims", "seed", "seeds"),
            *("rank", "among", "images", "old"),
        ),
    ),
    "map_examples": Kind(
        1,
        "metrics/{dataset}/{backbone}/map_examples.h5",
        {
            "place": Array("float32", "image axis", "on the map, whose longer side is 1"),
            "cluster": Array("int32", "image", "cluster of each"),
            "center": Array("float32", "cluster axis", "median of its places; nan: no image"),
            "picture": Array("int32", "picture", "which of the images are shown as pictures"),
            "name": Array("str", "picture", "name of each of these"),
            "digest": Array("uint8", "picture 16", "BLAKE2b-128 of the image's bytes"),
        },
        ("dataset", "backbone", "run", "setting", "k", "seed", "images", "across"),
    ),
    "similar_examples": Kind(
        1,
        "metrics/{dataset}/{backbone}/similar_{among}.h5",
        {
            "edge": Array("float64", "edge", "cosines between which pairs are counted"),
            "nearest": Array("int64", "bin", "targets by the cosine of what they found first"),
            "every": Array("int64", "bin", "pairs of a target and what it found by their cosine"),
            "name": Array("str", "target", "of the targets that the report shows, best first"),
            "digest": Array("uint8", "target 16", "BLAKE2b-128 of the image's bytes"),
            "most": Array("float32", "target", "cosine of the first that is similar enough"),
            "least": Array("float32", "target", "of the last one; nan: none is"),
            "found_target": Array("int32", "found", "place of the target of a found image"),
            "found_name": Array("str", "found", "of the images that these found, nearest first"),
            "found_digest": Array("uint8", "found 16", "BLAKE2b-128 of the image's bytes"),
            "found_similarity": Array("float32", "found", "cosine to the target"),
        },
        (
            *("target", "among", "backbone", "k", "minimum", "images", "targets", "found"),
            *("median_nearest", "median_every", "below"),
        ),
    ),
    "candidates": Kind(
        1,
        "candidates/{dataset}/{backbone}.h5",
        {
            "row": Array("int64", "image", "row of each image of train in the index"),
            "neighbor": Array("int32", "image neighbor", "places among these, nearest first"),
            "run": Array("str", "setting", "run of each setting that is compared"),
            "setting": Array("int32", "setting", "its number in the run"),
            "k": Array("int32", "setting", "number of clusters"),
            "dims": Array("int32", "setting", "number of leading components; 0: no projection"),
            "*/seed": Array("int64", "seed", "of each clustering"),
            "*/silhouette": Array("float64", "seed", "among the vectors of the cell"),
            "*/assignment": Array("int32", "seed image", "cluster of each image"),
        },
        ("dataset", "backbone"),
    ),
    "reviewed": Kind(
        1,
        "data/{dataset}/{backbone}/reviewed/{run}.h5",
        {
            "row": Array("int64", "image", "row of the image in the index"),
            "split": Array("uint8", "image", "which of `splits` the image is in"),
            "cluster": Array("int32", "image", "cluster of the image in the run"),
            "label": Array("int32", "image", "which of `categories` the image is in, -1: none"),
            "status": Array("uint8", "image", "which of `statuses`: who said so"),
            "confidence": Array("float32", "image", "1 where a person said so, 0 without label"),
        },
        ("dataset", "backbone", "run", "splits", "categories", "statuses", "decisions"),
    ),
    "curated_examples": Kind(
        1,
        "metrics/{dataset}/{backbone}/curated_{run}.h5",
        {
            "name": Array("str", "group", "of kept images that have near-duplicates"),
            "digest": Array("uint8", "group 16", "BLAKE2b-128 of the image's bytes"),
            "size": Array("int64", "group", "images that were dropped for each"),
            "dropped_group": Array("int32", "dropped", "place of the group of a dropped image"),
            "dropped_name": Array("str", "dropped", "of these, the least similar first"),
            "dropped_digest": Array("uint8", "dropped 16", "BLAKE2b-128 of the image's bytes"),
            "dropped_similarity": Array("float32", "dropped", "cosine to the kept image"),
            "strange_name": Array("str", "strange", "of the strangest images, strangest first"),
            "strange_digest": Array("uint8", "strange 16", "BLAKE2b-128 of the image's bytes"),
            "strange_score": Array("float32", "strange", "deviations, as in the kind curated"),
        },
        ("dataset", "backbone", "run", "images"),
    ),
}
