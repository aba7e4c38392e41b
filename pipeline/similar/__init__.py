"""What stage similar reads and writes: near-duplicates, groups to balance over, tables, links."""
