import java.util.EnumSet;
import java.util.Map;
import org.apache.hadoop.fs.FsServerDefaults;
import org.apache.hadoop.fs.FsStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.SafeModeAction;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.protocol.CacheDirectiveInfo;
import org.apache.hadoop.hdfs.protocol.CachePoolInfo;
import org.apache.hadoop.hdfs.protocol.DatanodeInfo;
import org.apache.hadoop.hdfs.protocol.HdfsConstants.DatanodeReportType;
import org.apache.hadoop.hdfs.protocol.OpenFileEntry;
import org.apache.hadoop.hdfs.protocol.OpenFilesIterator.OpenFilesType;

/** Cluster state, and what Quarry does not have: snapshots, erasure coding, encryption, caching, symlinks, tokens. */
final class Admin {
  private Admin() {}

  static void define(Map<String, Api.Verb> verbs) {
    verbs.put("defaults", (s, a) -> defaults(s.fs.getServerDefaults(new Path("/"))));
    verbs.put("fsstatus", (s, a) -> {
      FsStatus status = s.fs.getStatus();
      System.out.println("capacity>0 " + (status.getCapacity() > 0) + " remaining>0 " + (status.getRemaining() > 0));
    });
    verbs.put("safemode", (s, a) -> System.out.println(s.fs.setSafeMode(SafeModeAction.valueOf(a[0]))));
    verbs.put("datanodes", (s, a) -> datanodes(s, DatanodeReportType.valueOf(a[0])));
    verbs.put("openFiles", Admin::openFiles);
    verbs.put("corruptFiles", (s, a) -> print(s.fs.listCorruptFileBlocks(Names.path(a[0]))));
    verbs.put("missing", (s, a) -> System.out.println("missing=" + s.fs.getMissingBlocksCount() + " corrupt="
        + s.fs.getCorruptBlocksCount() + " low=" + s.fs.getLowRedundancyBlocksCount()));
    verbs.put("saveNamespace", (s, a) -> System.out.println(s.fs.saveNamespace(0, 0)));
    verbs.put("rollEdits", (s, a) -> System.out.println(s.fs.rollEdits() > 0));
    verbs.put("refreshNodes", (s, a) -> s.fs.refreshNodes());
    verbs.put("bandwidth", (s, a) -> s.fs.setBalancerBandwidth(Long.parseLong(a[0])));
    verbs.put("msync", (s, a) -> s.fs.msync());
    verbs.put("haState", (s, a) -> System.out.println(s.raw().getHAServiceState()));
    verbs.put("token", (s, a) -> System.out.println(s.fs.getDelegationToken(a[0])));
    absent(verbs);
  }

  private static void defaults(FsServerDefaults d) {
    System.out.println("block=" + d.getBlockSize() + " chunk=" + d.getBytesPerChecksum() + " rep=" + d.getReplication() + " encrypt="
        + d.getEncryptDataTransfer() + " trash=" + d.getTrashInterval() + " checksum=" + d.getChecksumType() + " keys='"
        + d.getKeyProviderUri() + "' policy=" + d.getDefaultStoragePolicyId() + " snapshotTrash=" + d.getSnapshotTrashRootEnabled());
  }

  private static void datanodes(Session s, DatanodeReportType type) throws Exception {
    int inService = 0;
    DatanodeInfo[] nodes = s.fs.getDataNodeStats(type);
    for (DatanodeInfo node : nodes) {
      inService += node.isInService() ? 1 : 0;
    }
    System.out.println(nodes.length + " nodes, in service " + inService);
  }

  private static void openFiles(Session s, String[] a) throws Exception {
    RemoteIterator<OpenFileEntry> files = s.fs.listOpenFiles(EnumSet.of(OpenFilesType.ALL_OPEN_FILES), a[0]);
    while (files.hasNext()) {
      System.out.println(files.next().getFilePath());
    }
  }

  private static void print(RemoteIterator<?> things) throws Exception {
    while (things.hasNext()) {
      System.out.println(things.next());
    }
  }

  private static void absent(Map<String, Api.Verb> verbs) {
    verbs.put("allowSnapshot", (s, a) -> s.fs.allowSnapshot(Names.path(a[0])));
    verbs.put("disallowSnapshot", (s, a) -> s.fs.disallowSnapshot(Names.path(a[0])));
    verbs.put("createSnapshot", (s, a) -> System.out.println(Say.path(s.fs.createSnapshot(Names.path(a[0]), a[1]))));
    verbs.put("deleteSnapshot", (s, a) -> s.fs.deleteSnapshot(Names.path(a[0]), a[1]));
    verbs.put("renameSnapshot", (s, a) -> s.fs.renameSnapshot(Names.path(a[0]), a[1], a[2]));
    verbs.put("snapshottable", (s, a) -> {
      Object[] dirs = s.fs.getSnapshottableDirListing();
      System.out.println(dirs == null ? "null" : dirs.length + " directories");
    });
    verbs.put("snapshotDiff", (s, a) -> System.out.println(s.fs.getSnapshotDiffReport(Names.path(a[0]), a[1], a[2]).getDiffList().size()));
    verbs.put("ecPolicies", (s, a) -> s.fs.getAllErasureCodingPolicies().forEach(System.out::println));
    verbs.put("ecCodecs", (s, a) -> new java.util.TreeMap<>(s.fs.getAllErasureCodingCodecs()).forEach((k, v) -> System.out.println(k + " " + v)));
    verbs.put("ecGet", (s, a) -> System.out.println(s.fs.getErasureCodingPolicy(Names.path(a[0]))));
    verbs.put("ecSet", (s, a) -> s.fs.setErasureCodingPolicy(Names.path(a[0]), a[1]));
    verbs.put("ecUnset", (s, a) -> s.fs.unsetErasureCodingPolicy(Names.path(a[0])));
    verbs.put("ecEnable", (s, a) -> s.fs.enableErasureCodingPolicy(a[0]));
    verbs.put("zones", (s, a) -> print(s.fs.listEncryptionZones()));
    verbs.put("zoneCreate", (s, a) -> s.fs.createEncryptionZone(Names.path(a[0]), a[1]));
    verbs.put("zoneOf", (s, a) -> System.out.println(s.fs.getEZForPath(Names.path(a[0]))));
    verbs.put("cachePools", (s, a) -> print(s.fs.listCachePools()));
    verbs.put("cachePoolAdd", (s, a) -> s.fs.addCachePool(new CachePoolInfo(a[0])));
    verbs.put("cacheList", (s, a) -> print(s.fs.listCacheDirectives(null)));
    verbs.put("cacheAdd", (s, a) -> System.out.println(
        s.fs.addCacheDirective(new CacheDirectiveInfo.Builder().setPath(Names.path(a[0])).setPool(a[1]).build()) > 0));
    verbs.put("symlink", (s, a) -> {
      // Without this switch the client itself refuses.
      org.apache.hadoop.fs.FileSystem.enableSymlinks();
      s.fs.createSymlink(Names.path(a[0]), Names.path(a[1]), false);
    });
    verbs.put("inotify", (s, a) -> System.out.println(((DistributedFileSystem) s.fs).getInotifyEventStream().poll() == null));
  }
}
