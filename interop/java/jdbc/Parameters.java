import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Timestamp;
import java.util.List;

/** Values for `?`: by every setter, in every place where a client would put one. */
final class Parameters {
  private interface Setter {
    void set(PreparedStatement statement) throws SQLException;
  }

  private final Connection connection;

  Parameters(Connection connection) {
    this.connection = connection;
  }

  void run() {
    setters();
    places();
    Check.that("NULL in every type", this::nulls);
    Check.that("a statement again and again", this::again);
    Check.that("what is known of parameters", this::known);
    Check.that("question marks that are none", this::quoted);
    Check.that("a value that does not fit", () ->
        Check.fails(() -> value("SELECT CAST(? AS VARCHAR)::INTEGER", s -> s.setString(1, "many")), "many"));
    Check.that("a long text and many parameters", this::many);
  }

  private String value(String sql, Setter setter) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      setter.set(statement);
      try (ResultSet result = statement.executeQuery()) {
        List<List<String>> rows = Check.rows(result);
        Check.equal(rows.size(), 1, "rows");
        return rows.get(0).get(0);
      }
    }
  }

  private void gives(String sql, Setter setter, String expected) {
    Check.that("parameters of " + sql, () -> Check.equal(value(sql, setter), expected, "value"));
  }

  private void setters() {
    gives("SELECT CAST(? AS TINYINT) + 0", s -> s.setByte(1, (byte) 5), "5");
    gives("SELECT CAST(? AS SMALLINT)", s -> s.setShort(1, (short) -5), "-5");
    gives("SELECT CAST(? AS INTEGER)", s -> s.setInt(1, 42), "42");
    gives("SELECT CAST(? AS BIGINT)", s -> s.setLong(1, 1L << 40), Long.toString(1L << 40));
    gives("SELECT CAST(? AS BIGINT)", s -> s.setInt(1, 3), "3");
    gives("SELECT CAST(? AS REAL)", s -> s.setFloat(1, 1.5f), "1.5");
    gives("SELECT CAST(? AS DOUBLE)", s -> s.setDouble(1, 2.25), "2.25");
    gives("SELECT CAST(? AS BOOLEAN)", s -> s.setBoolean(1, true), "true");
    gives("SELECT CAST(? AS DECIMAL(10, 2))", s -> s.setBigDecimal(1, new BigDecimal("12.34")), "12.34");
    gives("SELECT CAST(? AS VARCHAR)", s -> s.setString(1, "Grüße, 世界"), "Grüße, 世界");
    gives("SELECT CAST(? AS VARCHAR)", s -> s.setObject(1, "as an object"), "as an object");
    gives("SELECT CAST(? AS DATE)", s -> s.setDate(1, Date.valueOf("2024-02-29")), "2024-02-29");
    gives("SELECT CAST(CAST(? AS TIMESTAMP) AS VARCHAR)", s -> s.setTimestamp(1, Timestamp.valueOf("2024-02-29 12:34:56.789")),
        "2024-02-29T12:34:56.789");
    gives("SELECT CAST(CAST(? AS TIME) AS VARCHAR)", s -> s.setTime(1, Time.valueOf("12:34:56")), "12:34:56");
    gives("SELECT encode(CAST(? AS BYTEA), 'hex')", s -> s.setBytes(1, new byte[] {0, (byte) 0xff}), "00ff");
    gives("SELECT ?", s -> s.setString(1, "text where the type is unknown"), "text where the type is unknown");
    gives("SELECT CAST($2 AS VARCHAR) || CAST($1 AS VARCHAR)", s -> {
      s.setString(1, "a");
      s.setString(2, "b");
    }, "ba");
  }

  /** Places where the type must be found out: a driver that shows another type refuses the value. */
  private void places() {
    gives("SELECT count(*) FROM orders WHERE o_orderkey < ?", s -> s.setInt(1, 8), "7");
    gives("SELECT count(*) FROM orders WHERE ? > o_orderkey", s -> s.setInt(1, 8), "7");
    gives("SELECT count(*) FROM orders WHERE o_orderkey BETWEEN ? AND ?", s -> {
      s.setInt(1, 1);
      s.setLong(2, 3);
    }, "3");
    gives("SELECT count(*) FROM nation WHERE n_nationkey IN (?, ?, 3)", s -> {
      s.setInt(1, 1);
      s.setInt(2, 2);
    }, "3");
    gives("SELECT count(*) FROM nation WHERE n_name LIKE ?", s -> s.setString(1, "UNITED%"), "2");
    gives("SELECT count(*) FROM nation WHERE upper(n_name) = ?", s -> s.setString(1, "FRANCE"), "1");
    gives("SELECT count(*) FROM lineitem WHERE l_shipdate < ? AND l_shipdate >= ?", s -> {
      s.setDate(1, Date.valueOf("1992-01-02"));
      s.setDate(2, Date.valueOf("1992-01-01"));
    }, "0");
    gives("SELECT count(*) FROM lineitem WHERE l_quantity > ?", s -> s.setBigDecimal(1, new BigDecimal("50.00")), "0");
    gives("SELECT count(*) FROM (SELECT * FROM nation LIMIT ?)", s -> s.setInt(1, 7), "7");
    gives("SELECT count(*) FROM (SELECT * FROM nation LIMIT ? OFFSET ?)", s -> {
      s.setInt(1, 100);
      s.setInt(2, 20);
    }, "5");
    gives("SELECT n_nationkey + ? FROM nation WHERE n_name = 'FRANCE'", s -> s.setInt(1, 100), "106");
    gives("SELECT substr('abcdef', ?, ?)", s -> {
      s.setInt(1, 2);
      s.setInt(2, 3);
    }, "bcd");
    gives("SELECT round(?, 1)", s -> s.setDouble(1, 2.26), "2.3");
    gives("SELECT sum(CASE WHEN n_nationkey > ? THEN 1 ELSE 0 END) FROM nation", s -> s.setInt(1, 19), "5");
    gives("SELECT coalesce(n_name, ?) FROM nation WHERE n_nationkey = ?", s -> {
      s.setString(1, "none");
      s.setInt(2, 6);
    }, "FRANCE");
    gives("SELECT count(*) FROM nation JOIN region ON n_regionkey = r_regionkey AND r_name = ?", s -> s.setString(1, "ASIA"), "5");
    gives("SELECT count(*) FROM (SELECT n_regionkey, count(*) c FROM nation GROUP BY 1 HAVING count(*) >= ?)", s -> s.setInt(1, 5), "5");
    gives("SELECT count(*) FROM nation WHERE n_nationkey = (SELECT max(n_nationkey) FROM nation WHERE n_regionkey = ?)", s -> s.setInt(1, 1), "1");
    gives("WITH few AS (SELECT * FROM nation WHERE n_nationkey < ?) SELECT count(*) FROM few", s -> s.setInt(1, 4), "4");
    gives("SELECT count(*) FROM nation WHERE (n_nationkey = ? OR ? = 1) AND n_name <> ?", s -> {
      s.setInt(1, 1);
      s.setInt(2, 1);
      s.setString(3, "FRANCE");
    }, "24");
    gives("SELECT count(*) FROM nation WHERE n_nationkey = -?", s -> s.setInt(1, 5), "0");
    gives("SELECT count(*) FROM nation WHERE date_part('year', CAST(? AS DATE)) = 2024 AND n_nationkey < 3",
        s -> s.setDate(1, Date.valueOf("2024-06-01")), "3");
  }

  private void nulls() throws SQLException {
    for (String type : List.of("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "REAL", "DOUBLE", "BOOLEAN", "DECIMAL(10, 2)", "VARCHAR",
        "BYTEA", "DATE", "TIME", "TIMESTAMP")) {
      String sql = "SELECT CAST(? AS " + type + ") IS NULL";
      Check.equal(value(sql, s -> s.setNull(1, java.sql.Types.NULL)), "true", sql);
      Check.equal(value(sql, s -> s.setObject(1, null)), "true", sql);
    }
    Check.equal(value("SELECT count(*) FROM nation WHERE n_nationkey = ?", s -> s.setNull(1, java.sql.Types.BIGINT)), "0", "= NULL");
  }

  private void again() throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM nation WHERE n_nationkey < ?")) {
      for (int limit : new int[] {1, 7, 20, 7}) {
        statement.setInt(1, limit);
        try (ResultSet result = statement.executeQuery()) {
          Check.equal(Check.rows(result), List.of(List.of(Integer.toString(limit))), "rows below " + limit);
        }
      }
    }
  }

  private void known() throws SQLException {
    String sql = "SELECT n_name FROM nation WHERE n_nationkey = ? AND n_name > ?";
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      ParameterMetaData parameters = statement.getParameterMetaData();
      Check.equal(parameters.getParameterCount(), 2, "count");
      Check.equal(parameters.getParameterType(1), java.sql.Types.BIGINT, "the first type");
      Check.equal(parameters.getParameterType(2), java.sql.Types.VARCHAR, "the second type");
      Check.equal(statement.getMetaData().getColumnCount(), 1, "columns");
      Check.equal(statement.getMetaData().getColumnLabel(1), "n_name", "label");
    }
  }

  private void quoted() throws SQLException {
    String sql = "SELECT '?' || ? AS \"a?\" -- ?\n /* ? */ WHERE 1 = ?";
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      statement.setString(1, "!");
      statement.setInt(2, 1);
      try (ResultSet result = statement.executeQuery()) {
        Check.equal(result.getMetaData().getColumnLabel(1), "a?", "label");
        Check.equal(Check.rows(result), List.of(List.of("?!")), "rows");
      }
    }
  }

  private void many() throws SQLException {
    StringBuilder sql = new StringBuilder("SELECT count(*) FROM nation WHERE n_nationkey IN (?");
    sql.append(", ?".repeat(999)).append(')');
    try (PreparedStatement statement = connection.prepareStatement(sql.toString())) {
      for (int at = 1; at <= 1000; at++) {
        statement.setInt(at, at % 30);
      }
      try (ResultSet result = statement.executeQuery()) {
        Check.equal(Check.rows(result), List.of(List.of("25")), "nations");
      }
    }
    String text = "x".repeat(5_000_000);
    Check.equal(value("SELECT length(CAST(? AS VARCHAR))", s -> s.setString(1, text)), "5000000", "length");
  }
}
