"""One run, live: `RunView`, what feeds it, and what it can do.

`feed` reads the run's records; `live` folds them into `head` and `rows`, and `details`
tells more of one row. `showing` and `hub` send them, in the messages of `protocol`, at
the `pace` that the page keeps up with. `run_view.js` with the modules of the folder
`script` draws them, sent as one text; `commands` does what it asks for.
"""
