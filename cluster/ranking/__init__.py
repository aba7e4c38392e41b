"""Which of many clusterings of the same images is best, without labels."""
