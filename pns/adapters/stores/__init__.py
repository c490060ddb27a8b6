"""The stores: `sqlite` and `postgres` keep the same contract, in files of the same names.

The modules beside the two folders are shared by both engines: group commit, drafts, due pushes, schema
checks. SQL stands in named statements, in a folder's .sql files. A line here may not change a notification's
meaning.
"""
