"""Begins a plugin in Python. `pace plugin build` writes this file beside what it makes."""

import sys

# Files have no times by which to tell that something was compiled for an earlier build.
sys.dont_write_bytecode = True
sys.pycache_prefix = "/nowhere"

from plugin import *


class _Late:
    """Is asked for a module that nothing else has found."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        raise ModuleNotFoundError(
            f"{name} cannot be imported now: a plugin has no files once it is made. "
            "Import it at the beginning of plugin.py, outside of functions",
            name=name,
        )


sys.meta_path.append(_Late)
