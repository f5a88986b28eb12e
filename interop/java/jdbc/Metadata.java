import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/** Catalogs, schemas, tables, columns, keys and types, as trees of tools read them. */
final class Metadata {
  private static final List<String> TABLES =
      List.of("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier");

  private final Connection connection;
  private final DatabaseMetaData metadata;

  Metadata(Connection connection) throws SQLException {
    this.connection = connection;
    this.metadata = connection.getMetaData();
  }

  void run() {
    Check.that("catalogs", () -> Check.equal(column(metadata.getCatalogs(), "TABLE_CAT"), List.of("quarry"), "catalogs"));
    Check.that("schemas", this::schemas);
    Check.that("table types", () ->
        Check.equal(column(metadata.getTableTypes(), "TABLE_TYPE"), List.of("SYSTEM TABLE", "TABLE", "VIEW"), "table types"));
    Check.that("tables", this::tables);
    Check.that("tables by pattern and type", this::filtered);
    Check.that("columns", this::columns);
    Check.that("columns by pattern", this::someColumns);
    Check.that("keys are empty", this::keys);
    Check.that("what the driver answers alone", this::alone);
    Check.that("columns of a result", this::resultColumns);
  }

  private static List<String> column(ResultSet result, String name) throws SQLException {
    try (result) {
      return Check.column(result, name);
    }
  }

  private void schemas() throws SQLException {
    List<String> all = column(metadata.getSchemas(), "TABLE_SCHEM");
    Check.holds(all.containsAll(List.of("default", "information_schema", "system", "tpch")), "schemas " + all);
    Check.equal(column(metadata.getSchemas("quarry", "t_c%"), "TABLE_SCHEM"), List.of("tpch"), "schemas by pattern");
    Check.equal(column(metadata.getSchemas("nowhere", null), "TABLE_SCHEM"), List.of(), "schemas of no catalog");
  }

  private void tables() throws SQLException {
    try (ResultSet result = metadata.getTables(null, "tpch", null, null)) {
      Check.equal(Check.column(result, "TABLE_NAME"), TABLES, "tables");
    }
    try (ResultSet result = metadata.getTables("quarry", "tpch", "nation", new String[] {"TABLE"})) {
      Check.holds(result.next(), "a row");
      Check.equal(result.getString("TABLE_CAT"), "quarry", "catalog");
      Check.equal(result.getString("TABLE_SCHEM"), "tpch", "schema");
      Check.equal(result.getString("TABLE_TYPE"), "TABLE", "type");
      Check.holds(!result.next(), "one row");
    }
  }

  private void filtered() throws SQLException {
    Check.equal(column(metadata.getTables(null, "tpch", "part%", null), "TABLE_NAME"), List.of("part", "partsupp"), "part%");
    Check.equal(column(metadata.getTables(null, "tpch", "%s", null), "TABLE_NAME"), List.of("orders"), "%s");
    Check.equal(column(metadata.getTables(null, "tpch", "_art", null), "TABLE_NAME"), List.of("part"), "_art");
    Check.equal(column(metadata.getTables(null, "tpch", "line\\item", null), "TABLE_NAME"), List.of("lineitem"), "an escape");
    Check.equal(column(metadata.getTables(null, "tpch", null, new String[] {"VIEW"}), "TABLE_NAME"), List.of(), "views");
    Check.equal(column(metadata.getTables("nowhere", null, null, null), "TABLE_NAME"), List.of(), "another catalog");
    List<String> system = column(metadata.getTables(null, "system", null, new String[] {"SYSTEM TABLE"}), "TABLE_NAME");
    Check.holds(system.contains("queries"), "system tables " + system);
  }

  private void columns() throws SQLException {
    List<String> names = new ArrayList<>();
    try (ResultSet result = metadata.getColumns(null, "tpch", "lineitem", null)) {
      while (result.next()) {
        names.add(result.getString("COLUMN_NAME"));
        Check.equal(result.getInt("ORDINAL_POSITION"), names.size(), "position");
        Check.equal(result.getString("TABLE_SCHEM"), "tpch", "schema");
        if (result.getString("COLUMN_NAME").equals("l_extendedprice")) {
          Check.equal(result.getInt("DATA_TYPE"), java.sql.Types.DECIMAL, "type");
          Check.equal(result.getString("TYPE_NAME"), "DECIMAL", "name of the type");
          Check.equal(result.getInt("COLUMN_SIZE"), 15, "precision");
          Check.equal(result.getInt("DECIMAL_DIGITS"), 2, "scale");
        }
        if (result.getString("COLUMN_NAME").equals("l_shipdate")) {
          Check.equal(result.getInt("DATA_TYPE"), java.sql.Types.DATE, "type");
        }
        if (result.getString("COLUMN_NAME").equals("l_comment")) {
          Check.equal(result.getInt("DATA_TYPE"), java.sql.Types.VARCHAR, "type");
          Check.equal(result.getString("TYPE_NAME"), "VARCHAR", "name of the type");
        }
      }
    }
    Check.equal(names.size(), 16, "columns of lineitem");
    Check.equal(names.get(0), "l_orderkey", "the first column");
    // Every table there is, also those of the server itself: each type must be one that the driver knows.
    try (ResultSet result = metadata.getColumns(null, null, null, null)) {
      Check.holds(Check.rows(result).size() > 100, "columns of all tables");
    }
  }

  private void someColumns() throws SQLException {
    Check.equal(column(metadata.getColumns("quarry", "tpch", "nation", "n_n%"), "COLUMN_NAME"), List.of("n_nationkey", "n_name"), "n_n%");
    Check.equal(column(metadata.getColumns(null, "tpch", "%", "%_regionkey"), "TABLE_NAME"), List.of("nation", "region"), "%_regionkey");
    Check.equal(column(metadata.getColumns(null, "tpch", "nothing", null), "COLUMN_NAME"), List.of(), "of no table");
  }

  private void keys() throws SQLException {
    try (ResultSet result = metadata.getPrimaryKeys(null, "tpch", "nation")) {
      Check.equal(Check.column(result, "COLUMN_NAME"), List.of(), "primary keys");
    }
    for (ResultSet result : List.of(
        metadata.getImportedKeys(null, "tpch", "nation"),
        metadata.getExportedKeys(null, "tpch", "nation"),
        metadata.getCrossReference(null, "tpch", "nation", null, "tpch", "region"))) {
      try (result) {
        Check.equal(Check.column(result, "FKCOLUMN_NAME"), List.of(), "foreign keys");
      }
    }
  }

  private void alone() throws SQLException {
    for (ResultSet result : List.of(
        metadata.getTypeInfo(),
        metadata.getFunctions(null, null, "%"),
        metadata.getProcedures(null, null, "%"),
        metadata.getIndexInfo(null, "tpch", "nation", false, true),
        metadata.getVersionColumns(null, "tpch", "nation"),
        metadata.getColumnPrivileges(null, "tpch", "nation", "%"),
        metadata.getTablePrivileges(null, "tpch", "nation"),
        metadata.getUDTs(null, null, "%", null))) {
      try (result) {
        Check.rows(result);
      }
    }
  }

  private void resultColumns() throws SQLException {
    String sql = "SELECT a.l_orderkey, a.l_extendedprice AS price, a.l_shipdate, a.l_comment, b.l_comment FROM lineitem a, lineitem b LIMIT 1";
    try (ResultSet result = connection.createStatement().executeQuery(sql)) {
      ResultSetMetaData columns = result.getMetaData();
      Check.equal(columns.getColumnCount(), 5, "columns, of which two have one name");
      Check.equal(columns.getColumnLabel(2), "price", "label");
      Check.equal(columns.getColumnType(2), java.sql.Types.DECIMAL, "type");
      Check.equal(columns.getPrecision(2), 15, "precision");
      Check.equal(columns.getScale(2), 2, "scale");
      Check.equal(columns.getColumnTypeName(1), "BIGINT", "name of the type");
      Check.equal(columns.getColumnName(4), columns.getColumnName(5), "one name twice");
      Check.holds(result.next(), "a row");
    }
  }
}
