"""A cluster of several machines in network namespaces of one, built from the files of deploy/, and what breaks it."""
