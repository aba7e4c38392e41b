"""What tests ask of a listing of images."""

from images import Listing


def splits_of(listing: Listing) -> list[str]:
    """[image] The split of each image."""
    return [listing.splits[number] for number in listing.split.tolist()]
