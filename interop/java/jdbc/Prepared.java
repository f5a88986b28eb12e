import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;

/** A prepared statement, executed with one set of values after the other: HOST:PORT of a coordinator with TPC-H as schema `tpch`, user, password. */
public final class Prepared {
  private static final String SQL = "SELECT count(*), sum(l_extendedprice) FROM lineitem WHERE l_quantity < %s AND l_shipdate >= %s AND l_shipmode = %s";

  private Prepared() {}

  public static void main(String[] arguments) throws Exception {
    String login = "user=" + arguments[1];
    try (Connection connection = Check.connect(arguments[0], "schema=tpch", login, "password=" + arguments[2]);
        PreparedStatement statement = connection.prepareStatement(String.format(SQL, "?", "?", "?"))) {
      for (String mode : new String[] {"MAIL", "SHIP", "no such mode"}) {
        Check.that("prepared, with " + mode, () -> {
          statement.setBigDecimal(1, new BigDecimal("24.00"));
          statement.setDate(2, Date.valueOf("1994-01-01"));
          statement.setString(3, mode);
          String same = String.format(SQL, "24", "DATE '1994-01-01'", "'" + mode + "'");
          try (ResultSet result = statement.executeQuery()) {
            Check.equal(Check.rows(result), Check.ask(connection, same), "the rows of the same query with its values written out");
          }
        });
      }
    }
    Check.finish();
  }
}
