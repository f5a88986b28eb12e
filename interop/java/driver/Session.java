import java.security.PrivilegedExceptionAction;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.protocol.ClientProtocol;
import org.apache.hadoop.security.UserGroupInformation;

/** One client: a user with a file system object, and so a lease holder, of its own. */
final class Session {
  final UserGroupInformation user;
  final DistributedFileSystem fs;
  final Configuration conf;

  /** {@code name} is a user, or user#n for a further client of the same user. */
  Session(Configuration base, String name) throws Exception {
    user = UserGroupInformation.createRemoteUser(name.replaceAll("#.*", ""));
    conf = new Configuration(base);
    // An append or flush that meets another's lease should say so at once, not after a minute of retries.
    conf.setInt("dfs.client.block.write.locateFollowingBlock.retries", 2);
    fs = as(() -> (DistributedFileSystem) FileSystem.newInstance(FileSystem.getDefaultUri(conf), conf));
  }

  <T> T as(PrivilegedExceptionAction<T> action) throws Exception {
    return user.doAs(action);
  }

  /** The protocol itself, behind the checks that the client makes of paths. */
  ClientProtocol raw() {
    return fs.getClient().getNamenode();
  }
}
