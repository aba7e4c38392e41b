"""HDF5 in files of known kinds: one writer and one reader for features, one pair for the rest."""

from store.errors import StoreError
from store.features import Features
from store.files import File, read, save
from store.kinds import KINDS, place
from store.shard import DTYPES, Plan
from store.shard_writer import Lent, ShardWriter
from store.text import Strings, Text
from store.writer import FeatureWriter

__all__ = [
    "DTYPES",
    "KINDS",
    "FeatureWriter",
    "Features",
    "File",
    "Lent",
    "Plan",
    "ShardWriter",
    "StoreError",
    "Strings",
    "Text",
    "place",
    "read",
    "save",
]
