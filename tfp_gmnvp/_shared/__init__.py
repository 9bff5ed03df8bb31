"""Checks of arguments and arrays, seeds and files, for every room. They import nothing of ours."""
