"""Reads mutated files through the commands, in processes with limits of time and memory.

``make fuzz`` (``python -m fuzz`` with ``tests`` on the path) tries 2,000 mutations and prints how they ended:

clean: read as before, refused in one line, or read as other values where the format carries no checksums.
traceback: an exception that is none of ours.
silent: a file of our own gave another result, and nothing said so.
hang, crash: longer than the limit, or the end of the process.
"""
