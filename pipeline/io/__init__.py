"""The files that several stages read or write, each in a module of its own."""
