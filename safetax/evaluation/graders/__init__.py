"""Graders of reasoning: what a response's final answer is, and whether it is the right one.

A problem is a document with ``problem``, ``answer`` (the right one, called gold here), ``kind`` (``integer``, ``math``
or ``choice``) and, for a choice, ``choices``: the texts of A, B, C and D, of which ``answer`` is the letter.
"""

LONGEST_ANSWER = 2000
"""Characters beyond which a text is no answer that can be compared; the work on longer ones would have no bound."""
LONGEST_NUMBER = 1000
"""Characters beyond which a number equals no other: Python refuses to read much longer ones, and no answer is one."""
SOUND_VERSION = 4
"""Raised when the sound grader's rule changes, so that no verdict of an older one is taken for one of the new."""
