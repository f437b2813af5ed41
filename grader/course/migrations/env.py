"""How Alembic runs: on the connection that it is given, over our own tables only (DBOS's stand beside them)."""

from alembic import context

from grader.course.store import VERSIONS, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table only by copying it
    include_name=lambda name, kind, _parents: kind != "table" or name in metadata.tables,
    version_table=VERSIONS,
)
context.run_migrations()
