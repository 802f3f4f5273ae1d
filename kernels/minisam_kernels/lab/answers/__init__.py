"""Somebody's own code, run where it can do no harm to the judge.

    judge (lesson check, kernel check)                          process of its own
    cases, expected values, comparison    -- Call, pickled -->   the file, imported; the function, called
                                          <-- Outcome, bytes --  arrays and words

The process holds neither cases nor expected values, and the judge takes nothing from it but numbers: what the code
patches, prints, leaves running or sends back changes no verdict.  It has a limit on time and on memory, and it is
killed with all that it has started.

    source.py     the text of a .py file, or of a notebook what its functions need
    call.py       one call, and all that came of it
    words.py      an exception in one line
    borrowing.py  imports that would hand over the answer
    wire.py       calls and outcomes as bytes
    worker.py     the process
    process.py    the judge's end of it
"""
