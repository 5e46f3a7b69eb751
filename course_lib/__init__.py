"""The library behind the BERT course: the model, its training, the shape explainer and the model graphs.

Importing this package imports nothing else; each module imports what it needs when it is used.
"""

__version__ = "0.1.0"
