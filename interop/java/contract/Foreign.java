import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.contract.AbstractBondedFSContract;

/**
 * The contract of HDFS, bound to a file system that is already there: the default one of the configuration. The options are those that HDFS
 * declares of itself.
 */
final class Foreign extends AbstractBondedFSContract {
  private static final String[] KEPT = {
    "is-case-sensitive", "supports-append", "supports-atomic-directory-delete", "supports-atomic-rename", "supports-block-locality",
    "supports-concat", "supports-seek", "rejects-seek-past-eof", "supports-strict-exceptions", "supports-unix-permissions",
    "rename-returns-false-if-dest-exists", "rename-returns-false-if-source-missing", "supports-settimes", "supports-getfilestatus",
    "supports-hflush", "supports-hsync", "supports-file-reference", "supports-content-check", "supports-unbuffer", "test.root-tests-enabled",
  };

  Foreign(Configuration conf) {
    super(conf);
    URI server = FileSystem.getDefaultUri(conf);
    conf.set("fs.contract.test.fs.hdfs", server.toString());
    for (String option : KEPT) {
      conf.setBoolean("fs.contract." + option, true);
    }
    conf.setInt("fs.file.contract.test.random-seek-count", 200);
  }

  @Override
  public String getScheme() {
    return "hdfs";
  }

  @Override
  public Path getTestPath() {
    return new Path("/test");
  }
}
