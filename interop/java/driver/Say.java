import java.security.MessageDigest;
import java.util.Arrays;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.ContentSummary;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.QuotaUsage;
import org.apache.hadoop.fs.StorageType;
import org.apache.hadoop.hdfs.protocol.HdfsFileStatus;

/** How answers of the API are written down. */
final class Say {
  private Say() {}

  static String status(FileStatus status) {
    StringBuilder text = new StringBuilder();
    text.append(status.isDirectory() ? "dir " : status.isSymlink() ? "link " : "file ");
    text.append(status.getPermission()).append(' ').append(status.getPermission().toOctal()).append(' ');
    text.append(status.getOwner()).append(':').append(status.getGroup());
    text.append(" len=").append(status.getLen()).append(" rep=").append(status.getReplication());
    text.append(" block=").append(status.getBlockSize());
    for (FileStatus.AttrFlags flag : FileStatus.AttrFlags.values()) {
      if (has(status, flag)) {
        text.append(' ').append(flag);
      }
    }
    return text.append(' ').append(path(status.getPath())).toString();
  }

  private static boolean has(FileStatus status, FileStatus.AttrFlags flag) {
    switch (flag) {
      case HAS_ACL:
        return status.hasAcl();
      case HAS_CRYPT:
        return status.isEncrypted();
      case HAS_EC:
        return status.isErasureCoded();
      default:
        return status.isSnapshotEnabled();
    }
  }

  static String raw(HdfsFileStatus status) {
    if (status == null) {
      return "null";
    }
    return (status.isDirectory() ? "dir" : "file") + " '" + status.getLocalName() + "' children=" + status.getChildrenNum()
        + " policy=" + status.getStoragePolicy();
  }

  static String path(Path path) {
    return path.toUri().getPath();
  }

  static String summary(ContentSummary s) {
    return "length=" + s.getLength() + " files=" + s.getFileCount() + " dirs=" + s.getDirectoryCount() + " quota=" + s.getQuota()
        + " space=" + s.getSpaceConsumed() + " spaceQuota=" + s.getSpaceQuota() + " snapshots=" + s.getSnapshotFileCount()
        + types(s) + " ec=" + s.getErasureCodingPolicy();
  }

  static String usage(QuotaUsage u) {
    return "count=" + u.getFileAndDirectoryCount() + " quota=" + u.getQuota() + " space=" + u.getSpaceConsumed() + " spaceQuota="
        + u.getSpaceQuota() + types(u);
  }

  private static String types(QuotaUsage u) {
    StringBuilder text = new StringBuilder();
    for (StorageType type : StorageType.getTypesSupportingQuota()) {
      if (u.getTypeQuota(type) >= 0) {
        text.append(' ').append(type).append('=').append(u.getTypeConsumed(type)).append('/').append(u.getTypeQuota(type));
      }
    }
    return text.toString();
  }

  static String block(BlockLocation block) throws Exception {
    return block.getOffset() + "+" + block.getLength() + " on " + block.getHosts().length + (block.isCorrupt() ? " corrupt" : "")
        + " types=" + Arrays.toString(block.getStorageTypes());
  }

  static String content(byte[] bytes, int length) throws Exception {
    MessageDigest md5 = MessageDigest.getInstance("MD5");
    md5.update(bytes, 0, length);
    return length + " bytes md5=" + hex(md5.digest());
  }

  static String hex(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte b : bytes) {
      text.append(String.format("%02x", b));
    }
    return text.toString();
  }

  /** A time that was set stands for itself; one of this run does not. */
  static String time(long millis) {
    return Math.abs(System.currentTimeMillis() - millis) < 600_000 ? "now" : Long.toString(millis / 1000) + "s";
  }
}
