import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Queries: the 22 of TPC-H, limits, several at once, errors, cancelling. */
final class Queries {
  private static final String ENDLESS = "SELECT sum(a.l_quantity * b.l_quantity * c.l_quantity) FROM lineitem a, lineitem b, lineitem c";
  private static final long PATIENCE = 60_000;
  /** In the text of queries, which the server's list then finds: not those of another run of this program. */
  private static final String RUN = Long.toString(System.nanoTime(), 36);

  private final Connection connection;
  /** Looks at the server meanwhile: a connection fetches one result at a time. */
  private final Connection watcher;
  private final String address;
  private final Path folder;

  Queries(Connection connection, Connection watcher, String address, String folder) {
    this.connection = connection;
    this.watcher = watcher;
    this.address = address;
    this.folder = Paths.get(folder);
  }

  void run() {
    Check.that("the 22 queries of TPC-H, plain and prepared", this::tpch);
    Check.that("an empty result keeps its columns", this::empty);
    Check.that("setMaxRows", this::maxRows);
    Check.that("setFetchSize and a result left half read", this::halfRead);
    Check.that("two statements of one connection at once", this::twoAtOnce);
    Check.that("eight connections at once", this::eightAtOnce);
    Check.that("cancel from a second thread", this::cancel);
    Check.that("cancel before the rows are read", this::cancelUnread);
    Check.that("setQueryTimeout", this::timeout);
    Check.that("errors say what and where", this::errors);
    Check.that("EXPLAIN, SHOW and DESCRIBE have rows", this::shows);
    Check.that("order of rows", this::order);
  }

  private List<Path> files() throws Exception {
    List<Path> files = new ArrayList<>();
    try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, "q*.sql")) {
      stream.forEach(files::add);
    }
    Collections.sort(files);
    return files;
  }

  private void tpch() throws Exception {
    List<Path> files = files();
    Check.equal(files.size(), 22, "queries");
    for (Path file : files) {
      String sql = Files.readString(file);
      List<List<String>> rows = Check.ask(connection, sql);
      try (PreparedStatement statement = connection.prepareStatement(sql); ResultSet result = statement.executeQuery()) {
        Check.equal(result.getMetaData().getColumnCount(), statement.getMetaData().getColumnCount(), "columns of " + file);
        Check.equal(Check.rows(result).size(), rows.size(), "rows of " + file);
      }
      System.out.println("   " + file.getFileName() + ": " + rows.size() + " rows");
    }
  }

  private void empty() throws SQLException {
    String sql = "SELECT o_orderkey, o_comment FROM orders WHERE o_orderkey < 0";
    try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
      // Of a result without rows the driver shows each column twice, whatever the server sends.
      Check.holds(result.getMetaData().getColumnCount() >= 2, "columns");
      Check.equal(result.getMetaData().getColumnLabel(2), "o_comment", "the second column");
      Check.holds(!result.next(), "no row");
    }
  }

  private void maxRows() throws Exception {
    try (Statement statement = connection.createStatement()) {
      statement.setMaxRows(10);
      try (ResultSet result = statement.executeQuery("SELECT l_orderkey, l_comment FROM lineitem /* max rows " + RUN + " */")) {
        Check.equal(Check.rows(result).size(), 10, "rows");
      }
    }
    awaitEnd("max rows");
  }

  private void halfRead() throws Exception {
    for (int round = 0; round < 5; round++) {
      try (Statement statement = connection.createStatement()) {
        statement.setFetchSize(10);
        ResultSet result = statement.executeQuery("SELECT * FROM lineitem /* half read " + RUN + " */");
        Check.holds(result.next(), "a row");
        result.close();
      }
    }
    awaitEnd("half read");
    Check.equal(Check.one(connection, "SELECT 1"), "1", "a query after that");
  }

  private void twoAtOnce() throws SQLException {
    String sql = "SELECT l_orderkey FROM lineitem ORDER BY l_orderkey, l_linenumber";
    try (Statement first = connection.createStatement();
        Statement second = connection.createStatement();
        ResultSet a = first.executeQuery(sql);
        ResultSet b = second.executeQuery(sql)) {
      for (int row = 0; row < 20_000; row++) {
        Check.holds(a.next() && b.next(), "a row each");
        Check.equal(a.getLong(1), b.getLong(1), "row " + row);
      }
    }
  }

  private void eightAtOnce() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(8);
    List<Future<String>> answers = new ArrayList<>();
    for (int client = 0; client < 8; client++) {
      answers.add(threads.submit(() -> {
        try (Connection own = Check.connect(address, "schema=tpch")) {
          return Check.one(own, "SELECT sum(l_quantity) FROM lineitem");
        }
      }));
    }
    String expected = Check.one(connection, "SELECT sum(l_quantity) FROM lineitem");
    for (Future<String> answer : answers) {
      Check.equal(answer.get(), expected, "sum");
    }
    threads.shutdown();
  }

  private String state(String marker) throws SQLException {
    String sql = "SELECT state FROM system.queries WHERE sql LIKE '%" + marker + " " + RUN + "%' AND sql NOT LIKE '%system.queries%' ORDER BY 1";
    return Check.ask(watcher, sql).toString();
  }

  private void awaitState(String marker, String expected) throws Exception {
    long deadline = System.currentTimeMillis() + PATIENCE;
    while (!state(marker).equals(expected)) {
      Check.holds(System.currentTimeMillis() < deadline, marker + " is " + state(marker) + ", not " + expected);
      Thread.sleep(20);
    }
  }

  private void awaitEnd(String marker) throws Exception {
    long deadline = System.currentTimeMillis() + PATIENCE;
    while (state(marker).contains("running") || state(marker).contains("plan")) {
      Check.holds(System.currentTimeMillis() < deadline, marker + " goes on: " + state(marker));
      Thread.sleep(20);
    }
  }

  private void cancel() throws Exception {
    try (Statement statement = connection.createStatement()) {
      Thread other = new Thread(() -> {
        try {
          awaitState("to be cancelled", "[[running]]");
          statement.cancel();
        } catch (Exception failure) {
          failure.printStackTrace(System.out);
        }
      });
      other.start();
      long start = System.currentTimeMillis();
      Check.fails(() -> {
        try (ResultSet result = statement.executeQuery(ENDLESS + " /* to be cancelled " + RUN + " */")) {
          result.next();
        }
      });
      other.join();
      Check.holds(System.currentTimeMillis() - start < PATIENCE, "soon");
    }
    awaitState("to be cancelled", "[[cancelled]]");
    Check.equal(Check.one(connection, "SELECT 1"), "1", "the connection lives");
  }

  private void cancelUnread() throws Exception {
    Statement statement = connection.createStatement();
    statement.executeQuery("SELECT a.l_comment FROM lineitem a, lineitem b /* unread " + RUN + " */");
    statement.cancel();
    statement.close();
    awaitState("unread", "[[cancelled]]");
  }

  private void timeout() throws Exception {
    try (Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(1);
      Check.fails(() -> {
        try (ResultSet result = statement.executeQuery(ENDLESS + " /* timed " + RUN + " */")) {
          result.next();
        }
      });
    }
    awaitEnd("timed");
  }

  private void errors() throws Exception {
    Check.fails(() -> Check.ask(connection, "SELEC 1"), "INVALID_ARGUMENT", "SELEC", "Line: 1, Column: 1");
    Check.fails(() -> Check.ask(connection, "SELECT 1\nFROM nation nation nation"), "Line: 2");
    Check.fails(() -> Check.ask(connection, "SELECT count(* FROM nation"), "Line: 1");
    Check.fails(() -> Check.ask(connection, "SELECT (1 +"), "Line: 1, Column: 12");
    Check.fails(() -> Check.ask(connection, "SELECT * FROM no_such_table"), "NOT_FOUND", "no_such_table");
    Check.fails(() -> Check.ask(connection, "SELECT n_name,\n no_such_column FROM nation"), "NOT_FOUND", "no_such_column", "Line: 2, Column: 2");
    Check.fails(() -> Check.ask(connection, "SELECT no_such_function(1)"), "no_such_function");
    Check.fails(() -> Check.ask(connection, "SELECT n_nationkey / (n_nationkey - n_nationkey) FROM nation"), "ivide by zero");
    Check.fails(() -> Check.ask(connection, ""));
    Check.fails(() -> Check.ask(connection, "SELECT 1 / (n_nationkey - n_nationkey) FROM nation"), "query ");
    Check.equal(Check.one(connection, "SELECT 1"), "1", "the connection lives");
  }

  private void shows() throws SQLException {
    Check.holds(Check.ask(connection, "EXPLAIN SELECT count(*) FROM nation").size() >= 2, "a plan");
    Check.holds(Check.ask(connection, "SHOW TABLES").size() >= 8, "tables");
    Check.equal(Check.ask(connection, "DESCRIBE nation").size(), 4, "columns of nation");
    Check.holds(Check.ask(connection, "SELECT * FROM information_schema.tables").size() > 8, "information_schema");
  }

  private void order() throws SQLException {
    List<List<String>> rows = Check.ask(connection, "SELECT o_orderkey FROM orders ORDER BY o_orderkey");
    long last = -1;
    for (List<String> row : rows) {
      long key = Long.parseLong(row.get(0));
      Check.holds(key > last, "ascending at " + key);
      last = key;
    }
    Check.holds(rows.size() >= 15_000, rows.size() + " orders");
  }
}
