import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/** Ways to connect, and ways that must fail. */
final class Connecting {
  private final String address;

  Connecting(String address) {
    this.address = address;
  }

  void run() {
    Check.that("anonymous", () -> asks());
    Check.that("user and password", () -> asks("user=ada", "password=secret"));
    Check.that("user and password as properties", this::properties);
    Check.that("the user is known to the server", this::user);
    Check.that("catalog", () -> asksInCatalog("catalog=quarry"));
    Check.that("catalog with user", () -> asksInCatalog("catalog=quarry", "user=ada", "password=secret"));
    Check.that("an unknown catalog", () -> Check.fails(() -> Check.connect(address, "catalog=nowhere").close()));
    Check.that("schema of the URL", this::schema);
    Check.that("an unknown schema of the URL", () ->
        Check.fails(() -> {
          try (Connection connection = Check.connect(address, "schema=nowhere")) {
            Check.one(connection, "SELECT 1");
          }
        }, "nowhere"));
    Check.that("USE stays in force beside the URL's schema", this::use);
    Check.that("a setting of the URL", this::setting);
    Check.that("isValid and close", this::valid);
    Check.that("nobody at the port", () -> Check.fails(() -> asksAt("127.0.0.1:1")));
    Check.that("no such host", () -> Check.fails(() -> asksAt("no-such-host.invalid:8040")));
    Check.that("a URL of nonsense", () -> Check.fails(() -> DriverManager.getConnection("jdbc:arrow-flight-sql://")));
    Check.that("encryption where there is none", () ->
        Check.fails(() -> {
          try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + address + "/")) {
            Check.one(connection, "SELECT 1");
          }
        }));
  }

  private void asks(String... further) throws SQLException {
    try (Connection connection = Check.connect(address, further)) {
      Check.equal(Check.one(connection, "SELECT 1 + 1"), "2", "1 + 1");
    }
  }

  private void asksInCatalog(String... further) throws SQLException {
    Connection connection = Check.connect(address, further);
    Check.equal(Check.one(connection, "SELECT 1 + 1"), "2", "1 + 1");
    connection.setCatalog("quarry");
    closeTwice(connection);
  }

  /** Up to 18.3 the driver ends the session, and then once more on the channel that it has shut: whatever server there is. */
  private static void closeTwice(Connection connection) throws SQLException {
    try {
      connection.close();
    } catch (SQLException failure) {
      if (!failure.getMessage().contains("Channel shutdown invoked")) {
        throw failure;
      }
    }
  }

  private void asksAt(String elsewhere) throws SQLException {
    try (Connection connection = Check.connect(elsewhere)) {
      Check.one(connection, "SELECT 1");
    }
  }

  private void properties() throws SQLException {
    Properties properties = new Properties();
    properties.put("user", "ada");
    properties.put("password", "secret");
    try (Connection connection = DriverManager.getConnection(Check.base(address), properties)) {
      Check.equal(Check.one(connection, "SELECT 2"), "2", "a query");
    }
  }

  private void user() throws SQLException {
    try (Connection connection = Check.connect(address, "user=lovelace", "password=x")) {
      String sql = "SELECT count(*) > 0 FROM system.queries WHERE \"user\" = 'lovelace'";
      Check.equal(Check.one(connection, sql), "true", "there is a query of that user: this one");
    }
  }

  private void schema() throws SQLException {
    try (Connection connection = Check.connect(address, "schema=tpch")) {
      Check.equal(Check.one(connection, "SELECT count(*) FROM region"), "5", "rows of region");
    }
  }

  private void use() throws Exception {
    try (Connection connection = Check.connect(address, "schema=tpch")) {
      Check.update(connection, "USE default");
      Check.fails(() -> Check.one(connection, "SELECT count(*) FROM region"), "region");
      Check.update(connection, "USE tpch");
      Check.equal(Check.one(connection, "SELECT count(*) FROM region"), "5", "rows of region");
    }
  }

  private void setting() throws Exception {
    try (Connection connection = Check.connect(address, "quarry.statement_timeout=300ms")) {
      Check.fails(() -> Check.one(connection, "SELECT sum(sin(value)) FROM generate_series(1, 1000000000)"), "quarry.statement_timeout");
    }
  }

  private void valid() throws SQLException {
    Connection connection = Check.connect(address);
    Check.holds(connection.isValid(5), "an open connection is valid");
    connection.close();
    Check.holds(connection.isClosed(), "closed");
  }
}
