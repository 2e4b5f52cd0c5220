"""The fixed tables' history: ``common`` (shared, admin) once a database, ``district`` once a district schema."""
