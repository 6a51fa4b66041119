"""Tells Streamline that there is an acks policy called never_alone."""

from streamline.interfaces import IAcksPolicy
from streamline.plugins import Backend

never_alone = Backend(IAcksPolicy, "never_alone", "Nothing is taken by a lone leader.", "never_alone.NeverAlone")
