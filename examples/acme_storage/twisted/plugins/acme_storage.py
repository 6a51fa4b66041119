"""Tells Streamline that there is a storage called acme."""

from streamline.interfaces import IStorage
from streamline.plugins import Backend

acme = Backend(IStorage, "acme", "Records in a SQLite file.", "acme_storage.AcmeStorage")
