"""The page on which people look at clusters, name them and correct them: a server on this machine.

`python -m pages.review DATASET`. What was decided lies in review/DATASET.jsonl (pipeline.review).
"""
