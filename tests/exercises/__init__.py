# A package, so that a test may be called as one of tests/ is: a module of checks often shares its name with a module of
# the library (heads).
