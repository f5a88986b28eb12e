import java.util.EnumSet;
import java.util.Map;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.protocol.DirectoryListing;
import org.apache.hadoop.hdfs.protocol.HdfsFileStatus;
import org.apache.hadoop.hdfs.protocol.LocatedBlocks;
import org.apache.hadoop.io.EnumSetWritable;
import org.apache.hadoop.crypto.CryptoProtocolVersion;

/** Calls of the NameNode's protocol itself, as a client of another make could send them. The word {@code (empty)} is an empty path. */
final class Raw {
  private Raw() {}

  private static final FsPermission DIR = new FsPermission((short) 0755);

  static void define(Map<String, Api.Verb> verbs) {
    verbs.put("raw.mkdirs", (s, a) -> System.out.println(s.raw().mkdirs(text(a[0]), DIR, !Api.flag(a, "noparent"))));
    verbs.put("raw.info", (s, a) -> System.out.println(Say.raw(s.raw().getFileInfo(text(a[0])))));
    verbs.put("raw.link", (s, a) -> System.out.println(Say.raw(s.raw().getFileLinkInfo(text(a[0])))));
    verbs.put("raw.located", (s, a) -> System.out.println(Say.raw(s.raw().getLocatedFileInfo(text(a[0]), false))));
    verbs.put("raw.list", Raw::list);
    verbs.put("raw.create", Raw::create);
    verbs.put("raw.delete", (s, a) -> System.out.println(s.raw().delete(text(a[0]), Api.flag(a, "recursive"))));
    verbs.put("raw.rename", (s, a) -> System.out.println(s.raw().rename(text(a[0]), text(a[1]))));
    verbs.put("raw.rename2", (s, a) -> s.raw().rename2(text(a[0]), text(a[1]), Options.Rename.NONE));
    verbs.put("raw.complete", (s, a) -> System.out.println(s.raw().complete(text(a[0]), a[1], null, Long.parseLong(a[2]))));
    verbs.put("raw.blocks", (s, a) -> blocks(s.raw().getBlockLocations(text(a[0]), Long.parseLong(a[1]), Long.parseLong(a[2]))));
    verbs.put("raw.blockSize", (s, a) -> System.out.println(s.raw().getPreferredBlockSize(text(a[0]))));
    verbs.put("raw.addBlock", (s, a) -> System.out.println(
        s.raw().addBlock(text(a[0]), a[1], null, null, Long.parseLong(a[2]), null, null).getStartOffset()));
    verbs.put("raw.fsync", (s, a) -> s.raw().fsync(text(a[0]), Long.parseLong(a[1]), a[2], -1));
    verbs.put("raw.renewLease", (s, a) -> s.raw().renewLease(a[0], null));
    verbs.put("raw.links", (s, a) -> System.out.println(s.raw().getLinkTarget(text(a[0]))));
  }

  /** Letters stand for themselves; {@code (empty)}, {@code (long N)} as {@code (long:N)} and {@code (nul)} for what a script cannot hold. */
  private static String text(String word) {
    if (word.equals("(empty)")) {
      return "";
    }
    if (word.contains("(long:")) {
      int start = word.indexOf("(long:");
      int end = word.indexOf(')', start);
      int count = Integer.parseInt(word.substring(start + 6, end));
      return word.substring(0, start) + "x".repeat(count) + word.substring(end + 1);
    }
    if (word.contains("(levels:")) {
      int start = word.indexOf("(levels:");
      int end = word.indexOf(')', start);
      int count = Integer.parseInt(word.substring(start + 8, end));
      return word.substring(0, start) + "/l".repeat(count) + word.substring(end + 1);
    }
    return word.replace("(nul)", "\0").replace("(newline)", "\n").replace("(space)", " ");
  }

  private static void list(Session s, String[] a) throws Exception {
    byte[] after = (a.length > 1 ? a[1] : "").getBytes("UTF-8");
    DirectoryListing listing = s.raw().getListing(text(a[0]), after, Api.flag(a, "located"));
    if (listing == null) {
      System.out.println("null");
      return;
    }
    HdfsFileStatus[] page = listing.getPartialListing();
    System.out.println(page.length + " entries, remaining " + listing.getRemainingEntries());
    for (int i = 0; i < Math.min(3, page.length); i++) {
      System.out.println(Say.raw(page[i]));
    }
  }

  /** raw.create PATH HOLDER [rep=N] [block=N] [noparent] [overwrite] [append]. */
  private static void create(Session s, String[] a) throws Exception {
    EnumSet<CreateFlag> flags = EnumSet.of(CreateFlag.CREATE);
    if (Api.flag(a, "overwrite")) {
      flags.add(CreateFlag.OVERWRITE);
    }
    HdfsFileStatus status = s.raw().create(text(a[0]), new FsPermission((short) 0644), a[1], new EnumSetWritable<>(flags),
        !Api.flag(a, "noparent"), Short.parseShort(Api.option(a, "rep", "3")), Long.parseLong(Api.option(a, "block", "1048576")),
        CryptoProtocolVersion.supported(), null, null);
    System.out.println(Say.raw(status));
  }

  private static void blocks(LocatedBlocks blocks) {
    if (blocks == null) {
      System.out.println("null");
      return;
    }
    System.out.println("length=" + blocks.getFileLength() + " open=" + blocks.isUnderConstruction() + " lastComplete="
        + blocks.isLastBlockComplete() + " blocks=" + blocks.getLocatedBlocks().size());
    blocks.getLocatedBlocks().forEach(
        block -> System.out.println("  " + block.getStartOffset() + "+" + block.getBlockSize() + " corrupt=" + block.isCorrupt()));
  }
}
