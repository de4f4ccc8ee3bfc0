"""What is asked of an outside company exactly once: an intent, one row per attempt at it.

The rule, for every table of intents:

1. The row is there before anything is sent, under a reference that is computed, never chosen
   (`Names`): any number of racers get the same row (`Book.place`).
2. One UPDATE claims it, for one of any number of callers (`Book.claim`). Only that one may post,
   once, and for no longer than the claim holds.
3. What was surely not sent is given back (`Book.release`). What may have been is left `sending`
   (`Book.doubt`) and is looked up by its reference; so is what is refused or said to be used, if it
   was ever sent before.
4. It may be sent again, under the same reference, only after two looks that found nothing, begun
   after the claim ran out and a minute apart (`Book.missed`).
5. What the company says is adopted by an UPDATE that names the states it may follow (`Book.adopt`).

A process may die between any two of these. Each leaves a row of `due` in its own transaction, so
that somebody looks again. What an answer has to be like to be believed is each ledger's own matter.
"""

from tause_mcp.intents.book import APART, CLAIM, LEAD, POST_WITHIN, SOON, Book
from tause_mcp.intents.directory import Directory
from tause_mcp.intents.names import Names, new_id
from tause_mcp.intents.statements import Statements, page_after

__all__ = [
    "APART",
    "CLAIM",
    "LEAD",
    "POST_WITHIN",
    "SOON",
    "Book",
    "Directory",
    "Names",
    "Statements",
    "new_id",
    "page_after",
]
