import java.lang.reflect.UndeclaredThrowableException;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.ipc.RemoteException;

/** Calls of the API by name: {@code USER VERB ARGUMENT...}, one answer each. */
final class Api {
  /** What a verb does; it prints its result. */
  interface Verb {
    void run(Session session, String[] args) throws Exception;
  }

  private final Configuration conf;
  private final Map<String, Session> sessions = new HashMap<>();
  private final Map<String, Verb> verbs = new HashMap<>();

  Api(Configuration conf) {
    this.conf = conf;
    Names.define(verbs);
    Attributes.define(verbs);
    Contents.define(verbs);
    Admin.define(verbs);
    Raw.define(verbs);
  }

  /** Exit code 0, or 1 with the exception on stderr, or 2 for an unknown verb. */
  int call(String user, String[] words) throws Exception {
    Verb verb = verbs.get(words[0]);
    if (verb == null) {
      System.err.println("no verb " + words[0]);
      return 2;
    }
    String[] args = java.util.Arrays.copyOfRange(words, 1, words.length);
    try {
      Session session = sessions.get(user);
      if (session == null) {
        session = new Session(conf, user);
        sessions.put(user, session);
      }
      Session own = session;
      session.as(() -> {
        verb.run(own, args);
        return null;
      });
      return 0;
    } catch (Throwable failure) {
      System.err.println(describe(failure));
      return 1;
    }
  }

  /** Class and first line of message; of a remote exception, the class that the server named. */
  static String describe(Throwable failure) {
    while (failure instanceof UndeclaredThrowableException && failure.getCause() != null) {
      failure = failure.getCause();
    }
    String name = failure.getClass().getName();
    if (failure instanceof RemoteException) {
      name = ((RemoteException) failure).getClassName();
    }
    String message = String.valueOf(failure.getMessage());
    int end = message.indexOf('\n');
    return name + ": " + (end < 0 ? message : message.substring(0, end));
  }

  /** The option {@code name=value} among the arguments, or {@code otherwise}. */
  static String option(String[] args, String name, String otherwise) {
    for (String arg : args) {
      if (arg.startsWith(name + "=")) {
        return arg.substring(name.length() + 1);
      }
    }
    return otherwise;
  }

  static boolean flag(String[] args, String name) {
    return java.util.Arrays.asList(args).contains(name);
  }
}
