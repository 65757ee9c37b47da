"""Who vouches for a lock: signatures over it, and the keys that a user trusts.

:mod:`~hardtack.trust.sign` signs and checks, :mod:`~hardtack.trust.keys` reads keys, :mod:`~hardtack.trust.sshsig` is
the form of a signature in a file: OpenSSH's. The arithmetic is the `cryptography` package's, extra ``[sign]``.
"""
