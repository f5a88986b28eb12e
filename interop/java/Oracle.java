import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.security.Groups;

/**
 * A real Apache HDFS (NameNode and DataNodes in this JVM) whose answers are the goldens of these tests. Arguments: an empty
 * directory for its data, and the number of DataNodes. Prints one line {@code ready HOST:PORT HOST:PORT} with the NameNode's RPC and
 * HTTP addresses and runs until stdin ends. Its users are in groups as the scripts of the differential run expect.
 */
public final class Oracle {
  private Oracle() {}

  public static void main(String[] args) throws Exception {
    File dir = new File(args[0]);
    Configuration conf = new Configuration();
    conf.set("hadoop.user.group.static.mapping.overrides", "quarry=supergroup;sue=supergroup;ann=staff;bob=staff,ops;eve=");
    // Else the first to ask for groups would fix the mapping to that of a default configuration.
    Groups.getUserToGroupsMappingServiceWithLoadedConfiguration(conf);
    MiniDFSCluster cluster = new MiniDFSCluster.Builder(conf, dir).numDataNodes(Integer.parseInt(args[1])).build();
    cluster.waitActive();
    System.out.println("ready 127.0.0.1:" + cluster.getNameNodePort() + " "
        + "127.0.0.1:" + cluster.getNameNode().getHttpAddress().getPort());
    System.out.flush();
    while (System.in.read() >= 0) {
      // Only the end of stdin counts.
    }
    cluster.shutdown(true);
    System.exit(0);
  }
}
