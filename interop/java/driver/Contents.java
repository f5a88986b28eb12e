import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.DFSOutputStream;
import org.apache.hadoop.hdfs.client.HdfsDataInputStream;
import org.apache.hadoop.hdfs.client.HdfsDataOutputStream.SyncFlag;

/** Writing, reading, leases, checksums. Open streams have names and stay open between steps. */
final class Contents {
  private Contents() {}

  private static final long PATIENCE_MILLIS = 30_000;
  private static final Map<String, FSDataOutputStream> WRITERS = new HashMap<>();
  private static final Map<String, FSDataInputStream> READERS = new HashMap<>();

  static void define(Map<String, Api.Verb> verbs) {
    verbs.put("create", Contents::create);
    verbs.put("append", Contents::append);
    verbs.put("write", (s, a) -> WRITERS.get(a[0]).write(noise(Integer.parseInt(a[1]))));
    verbs.put("hflush", (s, a) -> WRITERS.get(a[0]).hflush());
    verbs.put("hsync", (s, a) -> WRITERS.get(a[0]).hsync());
    verbs.put("hsyncLength",
        (s, a) -> ((DFSOutputStream) WRITERS.get(a[0]).getWrappedStream()).hsync(EnumSet.of(SyncFlag.UPDATE_LENGTH)));
    verbs.put("endBlock", (s, a) -> ((DFSOutputStream) WRITERS.get(a[0]).getWrappedStream()).hsync(EnumSet.of(SyncFlag.END_BLOCK)));
    verbs.put("close", (s, a) -> {
      WRITERS.get(a[0]).close();
      System.out.println("closed");
    });
    verbs.put("put", Contents::put);
    verbs.put("read", Contents::read);
    verbs.put("open", (s, a) -> {
      READERS.put(a[0], s.fs.open(Names.path(a[1])));
      System.out.println(visible(READERS.get(a[0])));
    });
    verbs.put("pread", (s, a) -> pread(READERS.get(a[0]), Long.parseLong(a[1]), Integer.parseInt(a[2])));
    verbs.put("seek", (s, a) -> READERS.get(a[0]).seek(Long.parseLong(a[1])));
    verbs.put("visible", (s, a) -> {
      try (FSDataInputStream in = s.fs.open(Names.path(a[0]))) {
        System.out.println(visible(in));
      }
    });
    verbs.put("checksum", (s, a) -> System.out.println(s.fs.getFileChecksum(Names.path(a[0]), length(a))));
    verbs.put("crc", Contents::composite);
    verbs.put("truncate", (s, a) -> System.out.println(s.fs.truncate(Names.path(a[0]), Long.parseLong(a[1]))));
    verbs.put("concat", (s, a) -> {
      Path[] sources = Arrays.stream(a).skip(1).map(Path::new).toArray(Path[]::new);
      s.fs.concat(Names.path(a[0]), sources);
      System.out.println("joined");
    });
    verbs.put("blocks", Contents::blocks);
    verbs.put("isClosed", (s, a) -> System.out.println(s.fs.isFileClosed(Names.path(a[0]))));
    verbs.put("awaitClosed", Contents::awaitClosed);
    verbs.put("recoverLease", (s, a) -> System.out.println(s.fs.recoverLease(Names.path(a[0]))));
  }

  private static String visible(FSDataInputStream in) throws Exception {
    return "visible=" + ((HdfsDataInputStream) in).getVisibleLength();
  }

  private static long length(String[] args) {
    return args.length > 1 ? Long.parseLong(args[1]) : Long.MAX_VALUE;
  }

  /** create STREAM PATH [overwrite] [noparent] [rep=N] [block=BYTES] [perm=OCTAL]. */
  private static void create(Session s, String[] a) throws Exception {
    EnumSet<CreateFlag> flags = EnumSet.of(CreateFlag.CREATE);
    if (Api.flag(a, "overwrite")) {
      flags.add(CreateFlag.OVERWRITE);
    }
    FsPermission permission = new FsPermission(Short.parseShort(Api.option(a, "perm", "644"), 8));
    short replication = Short.parseShort(Api.option(a, "rep", "3"));
    long block = Long.parseLong(Api.option(a, "block", "1048576"));
    Path path = Names.path(a[1]);
    FSDataOutputStream out = Api.flag(a, "noparent")
        ? s.fs.createNonRecursive(path, permission, flags, 4096, replication, block, null)
        : s.fs.create(path, permission, flags, 4096, replication, block, null);
    WRITERS.put(a[0], out);
    System.out.println("open");
  }

  private static void append(Session s, String[] a) throws Exception {
    EnumSet<CreateFlag> flags = EnumSet.of(CreateFlag.APPEND);
    if (Api.flag(a, "newblock")) {
      flags.add(CreateFlag.NEW_BLOCK);
    }
    WRITERS.put(a[0], s.fs.append(Names.path(a[1]), flags, 4096, null));
    System.out.println("open");
  }

  /** put PATH BYTES [options of create]: a whole file. */
  private static void put(Session s, String[] a) throws Exception {
    String[] create = a.clone();
    create[0] = "(put)";
    create[1] = a[0];
    String[] options = Arrays.copyOf(create, create.length);
    create(s, options);
    FSDataOutputStream out = WRITERS.remove("(put)");
    out.write(noise(Integer.parseInt(a[1])));
    out.close();
    System.out.println("closed");
  }

  private static void read(Session s, String[] a) throws Exception {
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    try (FSDataInputStream in = s.fs.open(Names.path(a[0]))) {
      in.transferTo(content);
    }
    System.out.println(Say.content(content.toByteArray(), content.size()));
  }

  private static void pread(FSDataInputStream in, long at, int length) throws Exception {
    byte[] bytes = new byte[length];
    int got = in.read(at, bytes, 0, length);
    System.out.println(got < 0 ? "end" : Say.content(bytes, got));
  }

  /** The checksum that does not depend on block and chunk sizes. */
  private static void composite(Session s, String[] a) throws Exception {
    Configuration conf = new Configuration(s.conf);
    conf.set("dfs.checksum.combine.mode", "COMPOSITE_CRC");
    try (FileSystem fs = FileSystem.newInstance(FileSystem.getDefaultUri(conf), conf)) {
      System.out.println(fs.getFileChecksum(Names.path(a[0]), length(a)));
    }
  }

  /** Waits until every block has the replicas that the file asks for: replicas are reported one by one. */
  private static void blocks(Session s, String[] a) throws Exception {
    int wanted = Math.min(3, s.fs.getFileStatus(Names.path(a[0])).getReplication());
    long deadline = System.currentTimeMillis() + PATIENCE_MILLIS;
    while (true) {
      BlockLocation[] blocks = s.fs.getFileBlockLocations(Names.path(a[0]), 0, Long.MAX_VALUE);
      boolean whole = Arrays.stream(blocks).allMatch(block -> block.getStorageTypes().length == wanted);
      if (whole || System.currentTimeMillis() > deadline) {
        for (BlockLocation block : blocks) {
          System.out.println(Say.block(block));
        }
        return;
      }
      Thread.sleep(50);
    }
  }

  private static void awaitClosed(Session s, String[] a) throws Exception {
    long deadline = System.currentTimeMillis() + PATIENCE_MILLIS;
    boolean closed = s.fs.isFileClosed(Names.path(a[0]));
    while (!closed && System.currentTimeMillis() < deadline) {
      Thread.sleep(50);
      closed = s.fs.isFileClosed(Names.path(a[0]));
    }
    System.out.println(closed ? "closed" : "still open");
  }

  /** The same bytes for the same length, none of them alike in a row. */
  private static byte[] noise(int length) {
    byte[] bytes = new byte[length];
    long state = 42;
    for (int i = 0; i < length; i++) {
      state = state * 6364136223846793005L + 1442695040888963407L;
      bytes[i] = (byte) (state >>> 56);
    }
    return bytes;
  }
}
