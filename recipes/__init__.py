"""The experiments of the papers, one file a dataset: what to put into params.yaml for each.

A recipe says no more of a run of `adapted` than where it differs from the settings of its
objective, which are in objectives.yaml.
"""


class RecipeError(Exception):
    """The recipe cannot be followed; the message says what to do."""
