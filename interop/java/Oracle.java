import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/**
 * A real Apache HDFS (NameNode and DataNodes in this JVM) whose answers are the goldens of these tests. Arguments: an empty
 * directory for its data, and the number of DataNodes. Prints one line {@code ready HOST:PORT} with the NameNode's RPC address and runs
 * until stdin ends.
 */
public final class Oracle {
  private Oracle() {}

  public static void main(String[] args) throws Exception {
    File dir = new File(args[0]);
    Configuration conf = new Configuration();
    MiniDFSCluster cluster = new MiniDFSCluster.Builder(conf, dir).numDataNodes(Integer.parseInt(args[1])).build();
    cluster.waitActive();
    System.out.println("ready 127.0.0.1:" + cluster.getNameNodePort());
    System.out.flush();
    while (System.in.read() >= 0) {
      // Only the end of stdin counts.
    }
    cluster.shutdown(true);
    System.exit(0);
  }
}
