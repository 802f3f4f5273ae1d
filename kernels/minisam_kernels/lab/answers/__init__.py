"""Runs a user's code where it cannot affect the judge.

    judge (lesson check, kernel check)                          separate process
    cases, expected values, comparison    -- Call, pickled -->   the file, imported; the function, called
                                          <-- Outcome, bytes --  arrays and text

The process holds neither cases nor expected values, and the judge accepts only numbers from it. Nothing that the code
patches, prints, leaves running or sends back can change a verdict. The process has limits on time and memory, and is
killed together with all processes that it started.

    source.py     the text of a .py file, or the part of a notebook that its functions need
    outcome.py    one call, and what is recorded of it
    call.py       runs it
    operations.py  which of torch's operations a function performs
    words.py      an exception in one line
    absent.py     a placeholder for Triton where it cannot be installed
    borrowing.py  blocks imports that would give away the answer
    wire.py       calls and outcomes as bytes
    worker.py     the process
    process.py    the judge's side of it
"""
