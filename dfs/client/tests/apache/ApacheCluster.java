import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/**
 * A real Apache HDFS in this JVM, with switches. Arguments: an empty directory, the number of DataNodes, settings as NAME=VALUE. Prints
 * {@code ready HOST:PORT}, then takes commands from stdin, answering each with {@code done}: {@code stop IP:PORT} stops the DataNode of that
 * transfer address, {@code restart-namenode} restarts the NameNode and waits until it serves. Ends with stdin.
 */
public final class ApacheCluster {
  private ApacheCluster() {}

  public static void main(String[] args) throws Exception {
    Configuration conf = new Configuration();
    for (int i = 2; i < args.length; i++) {
      String[] setting = args[i].split("=", 2);
      conf.set(setting[0], setting[1]);
    }
    MiniDFSCluster cluster =
        new MiniDFSCluster.Builder(conf, new File(args[0])).numDataNodes(Integer.parseInt(args[1])).build();
    cluster.waitActive();
    say("ready 127.0.0.1:" + cluster.getNameNodePort());
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ");
      if (words[0].equals("stop")) {
        if (cluster.stopDataNode(words[1]) == null) {
          throw new IllegalArgumentException("no DataNode " + words[1]);
        }
      } else if (words[0].equals("restart-namenode")) {
        cluster.restartNameNode(true);
      } else {
        throw new IllegalArgumentException(line);
      }
      say("done");
    }
    System.exit(0);
  }

  private static void say(String line) {
    System.out.println(line);
    System.out.flush();
  }
}
