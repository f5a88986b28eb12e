import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.Date;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.util.List;
import java.util.Map;

/** Every type a result can have: what the driver says of it, and the value by the getters that tools use. */
final class Types {
  private interface Value {
    void check(ResultSet result) throws SQLException;
  }

  /** A type that drivers do not agree on. */
  private static final int ANY = Integer.MIN_VALUE;

  private final Connection connection;

  Types(Connection connection) {
    this.connection = connection;
  }

  void run() {
    numbers();
    texts();
    times();
    nested();
    Check.that("NULL of every type", this::nulls);
    Check.that("extremes", this::extremes);
    Check.that("rows wider than a message", this::wide);
  }

  /** One expression with its JDBC type and checks of its value; the same expression as NULL must be null. */
  private void type(String expression, int type, Value value) {
    Check.that("type of " + expression, () -> {
      try (Statement statement = connection.createStatement();
          ResultSet result = statement.executeQuery("SELECT " + expression + " AS c")) {
        Check.holds(type == ANY || result.getMetaData().getColumnType(1) == type, "type " + result.getMetaData().getColumnType(1));
        Check.holds(result.next(), "a row");
        value.check(result);
        Check.holds(!result.wasNull(), "not null");
        Check.holds(result.getObject("c") != null, "by name");
        Check.holds(!result.next(), "one row");
      }
    });
  }

  private static Value integer(long expected) {
    return result -> {
      Check.equal(result.getLong(1), expected, "long");
      Check.equal(result.getInt(1), (int) expected, "int");
      Check.equal(result.getDouble(1), (double) expected, "double");
      Check.equal(result.getString(1), Long.toString(expected), "text");
      Check.equal(result.getBigDecimal(1).longValueExact(), expected, "decimal");
    };
  }

  private static Value text(String expected) {
    return result -> Check.equal(result.getString(1), expected, "text");
  }

  private static Value bytes(int... expected) {
    byte[] bytes = new byte[expected.length];
    for (int at = 0; at < bytes.length; at++) {
      bytes[at] = (byte) expected[at];
    }
    return result -> Check.equal(result.getBytes(1), bytes, "bytes");
  }

  private void numbers() {
    type("CAST(-7 AS TINYINT)", java.sql.Types.TINYINT, integer(-7));
    type("CAST(300 AS SMALLINT)", java.sql.Types.SMALLINT, integer(300));
    type("CAST(70000 AS INTEGER)", java.sql.Types.INTEGER, integer(70000));
    type("CAST(7 AS BIGINT)", java.sql.Types.BIGINT, integer(7));
    // The driver reads an unsigned byte beyond 127 as a negative one.
    type("CAST(100 AS TINYINT UNSIGNED)", java.sql.Types.TINYINT, integer(100));
    type("CAST(60000 AS SMALLINT UNSIGNED)", java.sql.Types.SMALLINT, integer(60000));
    type("CAST(70000 AS INTEGER UNSIGNED)", java.sql.Types.INTEGER, integer(70000));
    type("CAST(7 AS BIGINT UNSIGNED)", java.sql.Types.BIGINT, integer(7));
    type("CAST(1.5 AS REAL)", java.sql.Types.FLOAT, result -> Check.equal(result.getFloat(1), 1.5f, "float"));
    type("arrow_cast(1.5, 'Float16')", java.sql.Types.FLOAT, result -> Check.equal(result.getFloat(1), 1.5f, "float"));
    type("CAST(2.25 AS DOUBLE)", java.sql.Types.DOUBLE, result -> Check.equal(result.getDouble(1), 2.25, "double"));
    type("true", java.sql.Types.BOOLEAN, result -> Check.equal(result.getBoolean(1), true, "boolean"));
    Value price = result -> Check.equal(result.getBigDecimal(1), new BigDecimal("12.34"), "decimal");
    type("CAST(12.34 AS DECIMAL(10, 2))", java.sql.Types.DECIMAL, price);
    type("arrow_cast(12.34, 'Decimal32(9, 2)')", java.sql.Types.DECIMAL, price);
    type("arrow_cast(12.34, 'Decimal64(18, 2)')", java.sql.Types.DECIMAL, price);
    type("arrow_cast(12.34, 'Decimal256(50, 2)')", java.sql.Types.DECIMAL, price);
  }

  private void texts() {
    type("'text'", java.sql.Types.VARCHAR, text("text"));
    type("'Grüße, 世界 🌍'", java.sql.Types.VARCHAR, text("Grüße, 世界 🌍"));
    type("''", java.sql.Types.VARCHAR, text(""));
    type("arrow_cast('large', 'LargeUtf8')", java.sql.Types.LONGVARCHAR, text("large"));
    type("arrow_cast('view', 'Utf8View')", java.sql.Types.VARCHAR, text("view"));
    type("arrow_cast('word', 'Dictionary(Int32, Utf8)')", java.sql.Types.VARCHAR, text("word"));
    type("X'00ff80'", java.sql.Types.VARBINARY, bytes(0x00, 0xff, 0x80));
    type("arrow_cast(X'0102', 'LargeBinary')", java.sql.Types.LONGVARBINARY, bytes(1, 2));
    type("arrow_cast(X'0102', 'BinaryView')", java.sql.Types.VARBINARY, bytes(1, 2));
    type("arrow_cast(X'010203', 'FixedSizeBinary(3)')", java.sql.Types.BINARY, bytes(1, 2, 3));
  }

  private void times() {
    Value day = result -> {
      Check.equal(result.getDate(1).toString(), "2024-02-29", "date");
      Check.equal(result.getString(1), "2024-02-29", "text");
    };
    type("DATE '2024-02-29'", java.sql.Types.DATE, day);
    type("arrow_cast(DATE '2024-02-29', 'Date64')", java.sql.Types.DATE, day);
    Value time = result -> Check.equal(result.getTime(1).toString(), "12:34:56", "time");
    type("TIME '12:34:56'", java.sql.Types.TIME, time);
    for (String unit : List.of("Time32(Second)", "Time32(Millisecond)", "Time64(Microsecond)", "Time64(Nanosecond)")) {
      type("arrow_cast(TIME '12:34:56', '" + unit + "')", java.sql.Types.TIME, time);
    }
    type("TIMESTAMP '2024-02-29 12:34:56.789'", java.sql.Types.TIMESTAMP, result ->
        Check.equal(result.getTimestamp(1), Timestamp.valueOf("2024-02-29 12:34:56.789"), "timestamp"));
    for (String unit : List.of("Second", "Millisecond", "Microsecond", "Nanosecond")) {
      type("arrow_cast(TIMESTAMP '2024-02-29 12:34:56', 'Timestamp(" + unit + ", None)')", java.sql.Types.TIMESTAMP, result ->
          Check.equal(result.getTimestamp(1), Timestamp.valueOf("2024-02-29 12:34:56"), "timestamp"));
    }
    // Drivers before 18 say TIMESTAMP.
    type("arrow_cast(TIMESTAMP '2024-02-29 12:34:56', 'Timestamp(Microsecond, Some(\"+00:00\"))')", ANY, result ->
        Check.equal(result.getTimestamp(1).toInstant().toString(), "2024-02-29T12:34:56Z", "instant"));
    type("INTERVAL '2 months 3 days'", java.sql.Types.JAVA_OBJECT, result -> Check.holds(result.getString(1) != null, "text"));
    type("arrow_cast(5, 'Duration(Second)')", java.sql.Types.JAVA_OBJECT, result ->
        Check.equal(result.getObject(1), java.time.Duration.ofSeconds(5), "duration"));
  }

  private void nested() {
    Value list = result -> {
      Array array = result.getArray(1);
      Check.equal(array.getArray(), new Object[] {1L, 2L, null}, "items");
      try (ResultSet items = array.getResultSet()) {
        Check.holds(items.next(), "an item");
      }
    };
    type("[1, 2, NULL]", java.sql.Types.ARRAY, list);
    type("arrow_cast([1, 2, NULL], 'LargeList(Int64)')", java.sql.Types.ARRAY, list);
    type("arrow_cast([1, 2, NULL], 'FixedSizeList(3, Int64)')", java.sql.Types.ARRAY, list);
    type("[arrow_cast('a', 'Utf8View'), 'b']", java.sql.Types.ARRAY, result ->
        Check.equal(result.getArray(1).getArray().toString().isEmpty(), false, "items"));
    type("named_struct('a', 1, 'b', 'x')", java.sql.Types.JAVA_OBJECT, result -> {
      Map<?, ?> struct = (Map<?, ?>) result.getObject(1);
      Check.equal(struct.get("a"), 1L, "field a");
      Check.equal(struct.get("b").toString(), "x", "field b");
    });
    type("map(['k'], [1])", java.sql.Types.JAVA_OBJECT, result ->
        Check.equal(((Map<?, ?>) result.getObject(1)).size(), 1, "entries"));
  }

  private void nulls() throws SQLException {
    List<String> types = List.of("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "BIGINT UNSIGNED", "REAL", "DOUBLE", "BOOLEAN",
        "DECIMAL(10, 2)", "VARCHAR", "BYTEA", "DATE", "TIME", "TIMESTAMP");
    StringBuilder sql = new StringBuilder("SELECT NULL AS nothing");
    for (String type : types) {
      sql.append(", CAST(NULL AS ").append(type).append(") AS c").append(sql.length());
    }
    try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql.toString())) {
      Check.equal(result.getMetaData().getColumnType(1), java.sql.Types.NULL, "type of NULL");
      Check.holds(result.next(), "a row");
      for (int column = 1; column <= types.size() + 1; column++) {
        Check.equal(result.getObject(column), null, "column " + column);
        Check.holds(result.wasNull(), "column " + column + " was null");
        Check.equal(result.getString(column), null, "text of column " + column);
      }
      Check.equal(result.getInt(4), 0, "a null number");
    }
  }

  private void extremes() throws SQLException {
    String sql = "SELECT 9223372036854775807, -9223372036854775807 - 1, CAST('NaN' AS DOUBLE), CAST('-inf' AS DOUBLE), "
        + "CAST('99999999999999999999999999999999999.999' AS DECIMAL(38, 3)), DATE '0001-01-01', TIMESTAMP '2262-01-01 00:00:00'";
    try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
      Check.holds(result.next(), "a row");
      Check.equal(result.getLong(1), Long.MAX_VALUE, "the largest");
      Check.equal(result.getLong(2), Long.MIN_VALUE, "the smallest");
      Check.holds(Double.isNaN(result.getDouble(3)), "not a number");
      Check.equal(result.getDouble(4), Double.NEGATIVE_INFINITY, "infinity");
      Check.equal(result.getBigDecimal(5), new BigDecimal("99999999999999999999999999999999999.999"), "38 digits");
      Check.holds(result.getObject(6) instanceof Date, "an old day");
      Check.holds(result.getObject(7) instanceof Timestamp, "a late time");
    }
  }

  private void wide() throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery("SELECT repeat('x', 3000000) FROM generate_series(1, 12)")) {
      int rows = 0;
      while (result.next()) {
        Check.equal(result.getString(1).length(), 3_000_000, "length");
        rows++;
      }
      Check.equal(rows, 12, "rows");
    }
  }
}
