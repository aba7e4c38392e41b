"""What a person should look at: typical and doubtful images, merges, splits, what to ask next."""
