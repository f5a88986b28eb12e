import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Every getter of DatabaseMetaData that takes no argument. */
final class Getters {
  private final DatabaseMetaData metadata;

  Getters(Connection connection) throws Exception {
    this.metadata = connection.getMetaData();
  }

  void run() {
    Check.that("every getter without arguments answers", this::all);
    Check.that("what the server is", this::server);
    Check.that("what the server can do", this::abilities);
    Check.that("functions and keywords", this::words);
  }

  private void all() throws Exception {
    List<String> broken = new ArrayList<>();
    int asked = 0;
    for (Method method : DatabaseMetaData.class.getMethods()) {
      if (method.getParameterCount() != 0 || method.getDeclaringClass() != DatabaseMetaData.class) {
        continue;
      }
      asked++;
      try {
        Object answer = method.invoke(metadata);
        if (answer instanceof ResultSet) {
          Check.rows((ResultSet) answer);
        }
      } catch (InvocationTargetException failure) {
        broken.add(method.getName() + ": " + failure.getCause());
      }
    }
    System.out.println("   asked " + asked + " getters");
    Check.holds(asked >= 140, "there are some 150 getters, not " + asked);
    // What the driver itself does not implement, whatever the server says.
    broken.removeIf(text -> text.contains("UnsupportedOperationException") || text.contains("SQLFeatureNotSupportedException"));
    Check.equal(broken, List.of(), "getters that failed");
  }

  private void server() throws Exception {
    Check.equal(metadata.getDatabaseProductName(), "Quarry", "product");
    Check.holds(metadata.getDatabaseProductVersion().matches("\\d+\\.\\d+\\.\\d+"), "version " + metadata.getDatabaseProductVersion());
    Check.equal(metadata.getIdentifierQuoteString(), "\"", "quote");
    Check.equal(metadata.getSearchStringEscape(), "\\", "escape");
    Check.equal(metadata.getCatalogTerm(), "catalog", "catalog term");
    Check.equal(metadata.getSchemaTerm(), "schema", "schema term");
  }

  private void abilities() throws Exception {
    Check.holds(metadata.supportsGroupBy(), "GROUP BY");
    Check.holds(metadata.supportsFullOuterJoins(), "full outer joins");
    Check.holds(metadata.supportsUnionAll(), "UNION ALL");
    Check.holds(metadata.supportsCorrelatedSubqueries(), "correlated subqueries");
    Check.holds(metadata.supportsANSI92EntryLevelSQL(), "SQL-92 entry level");
    Check.holds(metadata.supportsColumnAliasing(), "aliases");
    Check.holds(metadata.isCatalogAtStart(), "catalog at start");
    Check.holds(metadata.supportsBatchUpdates(), "batches");
    Check.holds(!metadata.supportsTransactions(), "no transactions");
    Check.equal(metadata.getMaxConnections(), 0, "no known limit of connections");
    Check.equal(metadata.getDefaultTransactionIsolation(), Connection.TRANSACTION_NONE, "isolation");
  }

  private void words() throws Exception {
    Check.holds(Arrays.asList(metadata.getNumericFunctions().split(", ")).contains("abs"), "abs is a numeric function");
    Check.holds(Arrays.asList(metadata.getStringFunctions().split(", ")).contains("upper"), "upper is a string function");
    Check.holds(Arrays.asList(metadata.getTimeDateFunctions().split(", ")).contains("date_trunc"), "date_trunc is a time function");
    Check.holds(metadata.getSQLKeywords().contains("LIMIT"), "LIMIT is a keyword");
  }
}
