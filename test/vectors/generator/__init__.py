"""The cases of the test vectors, one module for each directory of files."""
