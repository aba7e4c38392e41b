"""What stage similar reads and writes: two collections, groups to balance over, tables."""
