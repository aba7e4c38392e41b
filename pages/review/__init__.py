"""The review page: people look at clusters, decide, and what they decided is kept."""
