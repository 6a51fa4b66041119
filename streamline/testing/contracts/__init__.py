"""
What each interface of C{streamline.interfaces} promises, as tests that an implementation can run.

Import the module, not the class, so that test loaders do not run the suite for nobody::

    from streamline.testing.contracts import disk

    class MyDiskTests(disk.DiskContract):
        ...
"""
