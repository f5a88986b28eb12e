import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** Statements without rows: executed once, with a count. */
final class Updates {
  private final Connection connection;

  Updates(Connection connection) {
    this.connection = connection;
  }

  void run() {
    Check.that("DDL by executeUpdate, once", this::ddl);
    Check.that("execute tells updates from queries", this::execute);
    Check.that("a prepared update", this::prepared);
    Check.that("preparing executes nothing", this::preparing);
    Check.that("errors of updates", this::errors);
  }

  private void ddl() throws Exception {
    Check.equal(Check.update(connection, "CREATE SCHEMA made"), 0L, "count");
    Check.fails(() -> Check.update(connection, "CREATE SCHEMA made"), "ALREADY_EXISTS");
    Check.update(connection, "CREATE VIEW made.v AS SELECT 7 AS x");
    Check.equal(Check.one(connection, "SELECT x FROM made.v"), "7", "the view");
    try (ResultSet result = connection.getMetaData().getTables(null, "made", null, new String[] {"VIEW"})) {
      Check.equal(Check.column(result, "TABLE_NAME"), java.util.List.of("v"), "views");
    }
    Check.update(connection, "DROP SCHEMA made CASCADE");
    Check.fails(() -> Check.update(connection, "DROP SCHEMA made"), "NOT_FOUND");
  }

  private void execute() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      Check.holds(!statement.execute("CREATE SCHEMA made_too"), "an update");
      Check.equal(statement.getUpdateCount(), 0, "count");
      Check.holds(statement.execute("SELECT 1"), "a query");
      Check.equal(statement.getUpdateCount(), -1, "no count");
      Check.holds(!statement.execute("DROP SCHEMA made_too"), "an update");
    }
  }

  private void prepared() throws SQLException {
    try (java.sql.PreparedStatement statement = connection.prepareStatement("CREATE SCHEMA IF NOT EXISTS made_prepared")) {
      Check.equal(statement.executeUpdate(), 0, "count");
      Check.equal(statement.executeUpdate(), 0, "count of the second");
    }
    Check.update(connection, "DROP SCHEMA made_prepared");
  }

  private void preparing() throws Exception {
    connection.prepareStatement("CREATE SCHEMA never_made").close();
    Check.fails(() -> Check.update(connection, "DROP SCHEMA never_made"), "NOT_FOUND");
  }

  private void errors() throws Exception {
    Check.fails(() -> Check.update(connection, "DROP TABLE tpch.no_such_table"), "NOT_FOUND", "no_such_table");
    Check.fails(() -> Check.update(connection, "CREATE VIEW no_such_schema.v AS SELECT 1"), "NOT_FOUND", "no_such_schema");
    Check.fails(() -> {
      try (Statement statement = connection.createStatement()) {
        statement.executeQuery("CREATE SCHEMA not_a_query");
      }
    });
  }
}
