import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.PartialListing;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.Trash;
import org.apache.hadoop.fs.permission.FsPermission;

/** Directories, listing, rename, delete. */
final class Names {
  private Names() {}

  static void define(Map<String, Api.Verb> verbs) {
    verbs.put("mkdirs", (s, a) -> System.out.println(s.fs.mkdirs(path(a[0]), permission(a, 1))));
    verbs.put("mkdir", (s, a) -> {
      s.fs.mkdir(path(a[0]), permission(a, 1));
      System.out.println("made");
    });
    verbs.put("status", (s, a) -> System.out.println(Say.status(s.fs.getFileStatus(path(a[0])))));
    verbs.put("linkStatus", (s, a) -> System.out.println(Say.status(s.fs.getFileLinkStatus(path(a[0])))));
    verbs.put("exists", (s, a) -> System.out.println(s.fs.exists(path(a[0]))));
    verbs.put("list", (s, a) -> print(s.fs.listStatus(path(a[0]))));
    verbs.put("glob", (s, a) -> print(s.fs.globStatus(path(a[0]))));
    verbs.put("listFiles", (s, a) -> listFiles(s, a[0]));
    verbs.put("batched", Names::batched);
    verbs.put("names", (s, a) -> names(s, a[0]));
    verbs.put("rename", (s, a) -> System.out.println(s.fs.rename(path(a[0]), path(a[1]))));
    verbs.put("rename2", Names::rename2);
    verbs.put("delete", (s, a) -> System.out.println(s.fs.delete(path(a[0]), Api.flag(a, "recursive"))));
    verbs.put("trash", (s, a) -> trash(s, a[0]));
    verbs.put("trashRoot", (s, a) -> System.out.println(Say.path(s.fs.getTrashRoot(path(a[0])))));
    verbs.put("enclosingRoot", (s, a) -> System.out.println(Say.path(s.fs.getEnclosingRoot(path(a[0])))));
    verbs.put("many", Names::many);
    verbs.put("deep", Names::deep);
    verbs.put("race", Names::race);
    verbs.put("home", (s, a) -> System.out.println(Say.path(s.fs.getHomeDirectory())));
  }

  static Path path(String text) {
    return new Path(text);
  }

  private static FsPermission permission(String[] args, int at) {
    return new FsPermission(Short.parseShort(args.length > at ? args[at] : "755", 8));
  }

  private static void print(FileStatus[] statuses) {
    if (statuses == null) {
      System.out.println("null");
      return;
    }
    for (FileStatus status : statuses) {
      System.out.println(Say.status(status));
    }
  }

  private static void listFiles(Session s, String dir) throws Exception {
    RemoteIterator<LocatedFileStatus> files = s.fs.listFiles(path(dir), true);
    while (files.hasNext()) {
      LocatedFileStatus file = files.next();
      System.out.println(Say.path(file.getPath()) + " blocks=" + file.getBlockLocations().length);
    }
  }

  private static void batched(Session s, String[] dirs) throws Exception {
    Path[] paths = Arrays.stream(dirs).map(Path::new).toArray(Path[]::new);
    RemoteIterator<PartialListing<FileStatus>> parts = s.fs.batchedListStatusIterator(Arrays.asList(paths));
    while (parts.hasNext()) {
      PartialListing<FileStatus> part = parts.next();
      System.out.println(Say.path(part.getListedPath()));
      for (FileStatus status : part.get()) {
        System.out.println("  " + Say.status(status));
      }
    }
  }

  /** How many names a big directory has, the first and the last. */
  private static void names(Session s, String dir) throws Exception {
    FileStatus[] all = s.fs.listStatus(path(dir));
    String ends = all.length == 0 ? "" : " " + all[0].getPath().getName() + ".." + all[all.length - 1].getPath().getName();
    System.out.println(all.length + ends);
  }

  @SuppressWarnings("deprecation")
  private static void rename2(Session s, String[] args) throws Exception {
    Options.Rename how = Api.flag(args, "overwrite") ? Options.Rename.OVERWRITE : Options.Rename.NONE;
    if (Api.flag(args, "trash")) {
      s.fs.rename(path(args[0]), path(args[1]), Options.Rename.TO_TRASH);
    } else {
      s.fs.rename(path(args[0]), path(args[1]), how);
    }
    System.out.println("renamed");
  }

  private static void trash(Session s, String file) throws Exception {
    org.apache.hadoop.conf.Configuration conf = new org.apache.hadoop.conf.Configuration(s.conf);
    conf.setLong("fs.trash.interval", 60);
    System.out.println(new Trash(s.fs, conf).moveToTrash(path(file)));
  }

  /** many DIR N: so many directories n0000.. */
  private static void many(Session s, String[] args) throws Exception {
    int count = Integer.parseInt(args[1]);
    for (int i = 0; i < count; i++) {
      s.fs.mkdirs(path(String.format("%s/n%04d", args[0], i)));
    }
    System.out.println(count);
  }

  /** deep DIR N: a chain of so many directories. */
  private static void deep(Session s, String[] args) throws Exception {
    StringBuilder chain = new StringBuilder(args[0]);
    for (int i = 0; i < Integer.parseInt(args[1]); i++) {
      chain.append("/d");
    }
    System.out.println(s.fs.mkdirs(path(chain.toString())));
  }

  /** race WHAT PATH N: as many threads try the same thing at once; how many got it? */
  private static void race(Session s, String[] args) throws Exception {
    int count = Integer.parseInt(args[2]);
    AtomicInteger won = new AtomicInteger();
    CountDownLatch start = new CountDownLatch(1);
    Thread[] threads = new Thread[count];
    for (int i = 0; i < count; i++) {
      int me = i;
      threads[i] = new Thread(() -> {
        try {
          start.await();
          if (attempt(s, args[0], args[1], me)) {
            won.incrementAndGet();
          }
        } catch (Exception lost) {
          // The others lose, each with an exception that depends on the moment.
        }
      });
      threads[i].start();
    }
    start.countDown();
    for (Thread thread : threads) {
      thread.join();
    }
    System.out.println(won + " of " + count);
  }

  private static boolean attempt(Session s, String what, String name, int me) throws Exception {
    switch (what) {
      case "create":
        s.fs.create(path(name), false).close();
        return true;
      case "rename":
        return s.fs.rename(path(name), path(name + "-" + me));
      case "delete":
        return s.fs.delete(path(name), true);
      case "mkdirs":
        return s.fs.mkdirs(path(name));
      default:
        throw new IllegalArgumentException(what);
    }
  }
}
