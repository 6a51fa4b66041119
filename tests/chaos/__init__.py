"""
Real processes and real clients under real faults (L3).

Each fault strikes once; C{STREAMLINE_CHAOS_ROUNDS=20} has each strike so often.  The longer and mixed kind is
C{python -m streamline.testing.chaos}.
"""
