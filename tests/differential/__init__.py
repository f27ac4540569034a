"""Answers compared: random SQL from a seed, and a collection by category, run here, in DuckDB and in PostgreSQL.

A wrong number without an error is the worst fault this program can have. Other engines were built by other people, so
where two of them agree and this program does not, one of its answers is wrong. `scripts/differential --help` says how to run
it. The modules, in the order of the data:

    tables      the columns, the fixed tables, and tables made from the seed
    tree        a query as a tree that can be written for each engine, and made smaller
    dialects    the one place that knows how engines spell the same thing
    expressions, sources, queries   the generator: typed expressions, FROM clauses, whole queries
    engines     this program, DuckDB and PostgreSQL: a query in, rows or an error out
    compare     rows as multisets
    known       differences that are listed with a reason (known.yaml)
    judge       what the three answers of one query mean
    shrink      a difference made as small as it gets
    run         many queries in several processes, and the report
    collection  queries with expected rows, by category
    cuts        queries as views of a job, with messages cut in every way
"""
