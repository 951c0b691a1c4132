"""The live page: see it, search it, correct it."""
