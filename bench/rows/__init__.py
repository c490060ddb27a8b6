"""The measurements: a module for each family of figures, each with one coroutine that takes a Run."""
