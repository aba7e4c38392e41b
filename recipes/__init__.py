"""The experiments of the papers, one file a dataset: what to put into params.yaml for each.

A recipe says no more of a run than where it differs from a template of `objectives` (`like: gcd`).
"""


class RecipeError(Exception):
    """The recipe cannot be followed; the message says what to do."""
