import java.sql.Connection;

/** A server with a users file: HOST:PORT, user, password. */
public final class Login {
  private Login() {}

  public static void main(String[] arguments) throws Exception {
    String address = arguments[0];
    String user = "user=" + arguments[1];
    Check.that("the right password opens a connection", () -> {
      try (Connection connection = Check.connect(address, user, "password=" + arguments[2])) {
        Check.equal(Check.one(connection, "SELECT 1"), "1", "a query");
        Check.equal(Check.one(connection, "SELECT count(*) > 0 FROM system.queries WHERE \"user\" = '" + arguments[1] + "'"), "true", "the user");
      }
    });
    Check.that("a wrong password is refused", () ->
        Check.fails(() -> Check.connect(address, user, "password=wrong"), "UNAUTHENTICATED"));
    Check.that("an unknown user is refused", () ->
        Check.fails(() -> Check.connect(address, "user=nobody", "password=" + arguments[2]), "UNAUTHENTICATED"));
    Check.that("a token that was never given out is refused", () ->
        Check.fails(() -> Check.connect(address, "token=guessed"), "UNAUTHENTICATED"));
    Check.that("without a login nothing is answered", () ->
        Check.fails(() -> {
          try (Connection connection = Check.connect(address)) {
            Check.one(connection, "SELECT 1");
          }
        }, "log"));
    Check.finish();
  }
}
