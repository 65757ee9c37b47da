"""What is wanted (manifest), what that is to the byte (lock, digest), and whether a directory is it (verify).

Values only: nothing here opens a socket or loads a model.
"""
