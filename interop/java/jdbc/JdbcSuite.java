import java.sql.Connection;
import java.sql.Driver;
import java.sql.DriverManager;

/**
 * The Arrow Flight SQL JDBC driver on Quarry, as tools use it. Arguments: HOST:PORT of a coordinator with TPC-H as schema `tpch`, and the folder of the 22
 * queries with the scale's fraction put in.
 */
public final class JdbcSuite {
  private JdbcSuite() {}

  public static void main(String[] arguments) throws Exception {
    String address = arguments[0];
    Driver driver = DriverManager.getDriver(Check.base(address));
    System.out.println("driver " + driver.getClass().getName() + " " + driver.getMajorVersion() + "." + driver.getMinorVersion());
    new Connecting(address).run();
    // Not closed: the driver counts its memory when a connection ends, and blames what was cancelled on the way.
    Connection connection = Check.connect(address, "schema=tpch", "quarry.statement_timeout=100s");
    Connection watcher = Check.connect(address);
    new Getters(connection).run();
    new Metadata(connection).run();
    new Types(connection).run();
    new Parameters(connection).run();
    new Queries(connection, watcher, address, arguments[1]).run();
    new Updates(connection).run();
    Check.finish();
  }
}
