import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Properties;

/** What every check needs: connections, rows as text, expectations. */
final class Check {
  /** One check. */
  interface Body {
    void run() throws Exception;
  }

  private static final List<String> FAILED = new ArrayList<>();
  private static int passed;

  private Check() {}

  /** Runs one check; a failing one does not keep the others from running. */
  static void that(String name, Body body) {
    try {
      body.run();
      passed++;
      System.out.println("ok " + name);
    } catch (Throwable failure) {
      FAILED.add(name);
      System.out.println("FAILED " + name + ": " + failure);
      failure.printStackTrace(System.out);
    }
  }

  /** Ends the program: in success if all went well. */
  static void finish() {
    System.out.println(passed + " passed, " + FAILED.size() + " failed");
    FAILED.forEach(name -> System.out.println("failed: " + name));
    System.exit(FAILED.isEmpty() && passed > 0 ? 0 : 1);
  }

  static void equal(Object found, Object expected, String what) {
    if (!Objects.deepEquals(found, expected)) {
      throw new AssertionError(what + ": found " + show(found) + ", expected " + show(expected));
    }
  }

  static void holds(boolean condition, String what) {
    if (!condition) {
      throw new AssertionError(what);
    }
  }

  private static String show(Object value) {
    return value instanceof Object[] ? Arrays.deepToString((Object[]) value) : String.valueOf(value);
  }

  /** The exception of something that must fail; its text must hold each of the words. */
  static Exception fails(Body body, String... words) {
    Exception failure;
    try {
      body.run();
      throw new AssertionError("it did not fail; expected an error with " + Arrays.toString(words));
    } catch (Exception exception) {
      // The driver does not turn each of its own into an SQLException.
      failure = exception;
    }
    StringBuilder text = new StringBuilder();
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      text.append(cause).append('\n');
    }
    for (String word : words) {
      holds(text.toString().contains(word), "expected '" + word + "' in: " + text);
    }
    return failure;
  }

  static String base(String address) {
    return "jdbc:arrow-flight-sql://" + address + "/?useEncryption=false";
  }

  static Connection connect(String address, String... further) throws SQLException {
    StringBuilder url = new StringBuilder(base(address));
    for (String property : further) {
      url.append('&').append(property);
    }
    return DriverManager.getConnection(url.toString(), new Properties());
  }

  /** All rows, as text. */
  static List<List<String>> rows(ResultSet result) throws SQLException {
    List<List<String>> rows = new ArrayList<>();
    int columns = result.getMetaData().getColumnCount();
    while (result.next()) {
      List<String> row = new ArrayList<>();
      for (int column = 1; column <= columns; column++) {
        row.add(result.getString(column));
      }
      rows.add(row);
    }
    return rows;
  }

  static List<List<String>> ask(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
      return rows(result);
    }
  }

  /** The one value of a query. */
  static String one(Connection connection, String sql) throws SQLException {
    List<List<String>> rows = ask(connection, sql);
    equal(rows.size(), 1, "rows of " + sql);
    equal(rows.get(0).size(), 1, "columns of " + sql);
    return rows.get(0).get(0);
  }

  static long update(Connection connection, String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return statement.executeUpdate(sql);
    }
  }

  /** One column of a result, as text. */
  static List<String> column(ResultSet result, String name) throws SQLException {
    List<String> values = new ArrayList<>();
    while (result.next()) {
      values.add(result.getString(name));
    }
    return values;
  }
}
