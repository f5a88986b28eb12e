import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.security.PrivilegedExceptionAction;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.tools.DFSAdmin;
import org.apache.hadoop.hdfs.tools.DFSck;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.util.Tool;
import org.apache.hadoop.util.ToolRunner;

/**
 * Plays the steps of the differential run in one JVM: Hadoop's programs and calls of its FileSystem API, each as the user that the step
 * names.
 *
 * <p>The framing is that of FsShellServer: a request is an int32 count and length-prefixed words, an answer is an int32 exit code and
 * two length-prefixed texts (stdout and stderr). The words of a step are {@code USER PROGRAM ARGUMENT...} where the
 * program is {@code fs}, {@code dfsadmin}, {@code fsck} or {@code api}.
 */
public final class Driver {
  private Driver() {}

  public static void main(String[] args) throws Exception {
    DataInputStream requests = new DataInputStream(System.in);
    DataOutputStream answers = new DataOutputStream(System.out);
    Configuration conf = new HdfsConfiguration();
    Api api = new Api(conf);
    while (true) {
      String[] step;
      try {
        step = readStep(requests);
      } catch (EOFException end) {
        // Open streams would be renewed and closed by shutdown hooks: what is left open was meant to be.
        Runtime.getRuntime().halt(0);
        return;
      }
      answer(answers, conf, api, step);
    }
  }

  private static String[] readStep(DataInputStream in) throws Exception {
    String[] words = new String[in.readInt()];
    for (int i = 0; i < words.length; i++) {
      byte[] bytes = new byte[in.readInt()];
      in.readFully(bytes);
      words[i] = new String(bytes, StandardCharsets.UTF_8);
    }
    return words;
  }

  private static void answer(DataOutputStream answers, Configuration conf, Api api, String[] step) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    System.setOut(new PrintStream(out, true, "UTF-8"));
    System.setErr(new PrintStream(err, true, "UTF-8"));
    String user = step[0];
    String[] rest = Arrays.copyOfRange(step, 2, step.length);
    int code = step[1].equals("api") ? api.call(user, rest) : program(conf, user, step[1], rest);
    System.out.flush();
    System.err.flush();
    answers.writeInt(code);
    writeText(answers, Masks.apply(out.toString("UTF-8")));
    writeText(answers, Masks.apply(err.toString("UTF-8")));
    answers.flush();
  }

  /** A program in its user's name, with a new configuration and client: options of one command must not reach the next. */
  private static int program(Configuration conf, String user, String name, String[] args) throws Exception {
    Configuration own = new HdfsConfiguration(conf);
    UserGroupInformation ugi = UserGroupInformation.createRemoteUser(user);
    try {
      return ugi.doAs((PrivilegedExceptionAction<Integer>) () -> ToolRunner.run(own, tool(name, own), args));
    } catch (Throwable failure) {
      System.err.println(Api.describe(failure));
      return 255;
    } finally {
      FileSystem.closeAllForUGI(ugi);
    }
  }

  private static Tool tool(String name, Configuration conf) throws Exception {
    switch (name) {
      case "fs":
        return new FsShell();
      case "dfsadmin":
        return new DFSAdmin(conf);
      case "fsck":
        return new DFSck(conf, System.out);
      default:
        throw new IllegalArgumentException("no program " + name);
    }
  }

  private static void writeText(DataOutputStream answers, String text) throws Exception {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    answers.writeInt(bytes.length);
    answers.write(bytes);
  }
}
