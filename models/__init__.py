"""The zoo: networks, training, evaluation, export, catalog and shipped weights."""
