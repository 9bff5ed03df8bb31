"""Helpers for all rooms: checks of arguments, seeds and files. They import no other room."""
