"""The families of models, each a folder of tables, and the language in which they are written."""
