"""Slides from the notebooks: the same text, code, figures and exercises, cut for a screen that a room looks at.

blocks.py   a cell of a built notebook -> pieces of a slide, and what the speaker says about them
deck.py     cells -> sections of slides with notes and minutes; pieces are packed by their estimated height
page.py     a deck -> one page for reveal.js, whose files come from an installed package; the index of all decks
command.py  python -m course_lib slides

On a slide stand the first sentence of each paragraph, lists, tables, formulas, code and outputs; the whole text goes into
the speaker's notes. The page needs no network: figures are inside, and formulas are MathML.
"""
