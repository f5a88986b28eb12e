import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.util.ToolRunner;

/**
 * Runs Hadoop's own FsShell for many commands in one JVM: a JVM start costs a second, a command some milliseconds.
 *
 * <p>Request on stdin: an int32 count of arguments, then each as int32 length and UTF-8 bytes. Answer on stdout: int32 exit
 * code, then what the command wrote to stdout and to stderr, each as int32 length and bytes. All integers big-endian. The
 * end of stdin ends the process.
 */
public final class FsShellServer {
  private FsShellServer() {}

  public static void main(String[] args) throws Exception {
    DataInputStream requests = new DataInputStream(System.in);
    DataOutputStream answers = new DataOutputStream(System.out);
    Configuration conf = new Configuration();
    while (true) {
      String[] command;
      try {
        command = readCommand(requests);
      } catch (EOFException end) {
        return;
      }
      run(conf, command, answers);
    }
  }

  private static String[] readCommand(DataInputStream in) throws Exception {
    String[] command = new String[in.readInt()];
    for (int i = 0; i < command.length; i++) {
      byte[] bytes = new byte[in.readInt()];
      in.readFully(bytes);
      command[i] = new String(bytes, StandardCharsets.UTF_8);
    }
    return command;
  }

  private static void run(Configuration conf, String[] command, DataOutputStream answers) throws Exception {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream();
    System.setOut(new PrintStream(out, true, "UTF-8"));
    System.setErr(new PrintStream(err, true, "UTF-8"));
    // FsShell and its commands pick up System.out when they are made, hence a new shell for each command.
    int code;
    try {
      code = ToolRunner.run(new Configuration(conf), new FsShell(), command);
    } catch (Throwable failure) {
      failure.printStackTrace();
      code = 255;
    }
    // Else the next command would get this one's cached client, with this one's -D options.
    FileSystem.closeAll();
    System.out.flush();
    System.err.flush();
    answers.writeInt(code);
    writeBytes(answers, out.toByteArray());
    writeBytes(answers, err.toByteArray());
    answers.flush();
  }

  private static void writeBytes(DataOutputStream answers, byte[] bytes) throws Exception {
    answers.writeInt(bytes.length);
    answers.write(bytes);
  }
}
