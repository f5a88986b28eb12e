import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.security.PrivilegedExceptionAction;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.log4j.AppenderSkeleton;
import org.apache.log4j.Level;
import org.apache.log4j.Logger;
import org.apache.log4j.spi.LoggingEvent;

/**
 * The stock Java client as a load: threads that each call one operation again and again, every answer checked.
 *
 * <p>Arguments: the file system's URI, the user, "metadata" or "files", threads, connections that they share, seconds of warm-up,
 * seconds. Each line of output is one operation: its name, its nanoseconds on the clock, how often `complete` was called (of files
 * only), and the microseconds of every call.
 */
public final class Load {
  private static final int FILE_BYTES = 4096;

  /** One call, the n-th of its thread. */
  private interface Operation {
    void call(FileSystem fs, Path home, int n) throws IOException;
  }

  private final List<FileSystem> clients = new ArrayList<>();
  private final int threads;
  private final double seconds;
  private final Path root;
  private final Completes completes = new Completes();

  private Load(String[] args, double seconds, String root) throws Exception {
    URI uri = URI.create(args[0]);
    this.threads = Integer.parseInt(args[3]);
    this.seconds = seconds;
    this.root = new Path(root);
    for (int i = 0; i < Integer.parseInt(args[4]); i++) {
      // A connection belongs to a login: as many logins as there shall be connections.
      UserGroupInformation login = UserGroupInformation.createRemoteUser(args[1]);
      clients.add(login.doAs((PrivilegedExceptionAction<FileSystem>) () -> FileSystem.newInstance(uri, new Configuration())));
    }
    // The client says there every call that it made: some microseconds a call, next to milliseconds of a file.
    Logger log = Logger.getLogger("org.apache.hadoop.ipc.ProtobufRpcEngine2");
    log.setLevel(args[2].equals("files") ? Level.DEBUG : Level.WARN);
    log.setAdditivity(false);
    log.addAppender(completes);
  }

  public static void main(String[] args) throws Exception {
    boolean files = args[2].equals("files");
    double[] times = {Double.parseDouble(args[5]), Double.parseDouble(args[6])};
    for (int round = 0; round < times.length; round++) {
      Load load = new Load(args, times[round], "/java-" + args[2] + "-" + System.nanoTime());
      List<String> lines = files ? load.files() : load.metadata();
      if (round == times.length - 1) {
        lines.forEach(System.out::println);
      }
    }
    System.exit(0);
  }

  private List<String> files() throws Exception {
    byte[] bytes = new byte[FILE_BYTES];
    Arrays.fill(bytes, (byte) 7);
    String line =
        phase(
            "create+write+close",
            unlimited(),
            (fs, home, n) -> {
              try (OutputStream out = fs.create(new Path(home, "f" + n), false)) {
                out.write(bytes);
              }
            });
    check(clients.get(0).getFileStatus(new Path(root, "c0/f0")).getLen() == FILE_BYTES, "the length of a file");
    clients.get(0).delete(root, true);
    return List.of(line);
  }

  private List<String> metadata() throws Exception {
    List<String> lines = new ArrayList<>();
    lines.add(phase("mkdirs", unlimited(), (fs, home, n) -> check(fs.mkdirs(new Path(home, "d" + n)), "mkdirs")));
    int[] made = new int[threads];
    lines.add(phase("create+close", unlimited(), made, (fs, home, n) -> create(fs, new Path(home, "f" + n))));
    int[] least = {Arrays.stream(made).min().getAsInt()};
    lines.add(
        phase(
            "getFileInfo",
            unlimited(),
            (fs, home, n) -> check(fs.getFileStatus(new Path(home, "f" + n % least[0])).isFile(), "getFileStatus")));
    int[] renamed = new int[threads];
    lines.add(
        phase(
            "rename",
            made,
            renamed,
            (fs, home, n) -> check(fs.rename(new Path(home, "f" + n), new Path(home, "r" + n)), "rename")));
    lines.add(phase("delete", renamed, (fs, home, n) -> check(fs.delete(new Path(home, "r" + n), true), "delete")));
    clients.get(0).delete(root, true);
    return lines;
  }

  private static void create(FileSystem fs, Path path) throws IOException {
    FSDataOutputStream out = fs.create(path, false);
    out.close();
  }

  private int[] unlimited() {
    int[] limits = new int[threads];
    Arrays.fill(limits, Integer.MAX_VALUE);
    return limits;
  }

  private String phase(String name, int[] limits, Operation operation) throws Exception {
    return phase(name, limits, new int[threads], operation);
  }

  /** Has every thread call with 0, 1, 2 .. until the time is over or it did so as often as its limit; `done` gets how often. */
  private String phase(String name, int[] limits, int[] done, Operation operation) throws Exception {
    for (int i = 0; i < threads; i++) {
      check(clients.get(0).mkdirs(new Path(root, "c" + i)), "mkdirs of a home");
    }
    completes.count.set(0);
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    long begun = System.nanoTime();
    long end = begun + (long) (seconds * 1e9);
    List<Future<StringBuilder>> works = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      int number = i;
      Callable<StringBuilder> work = () -> {
        FileSystem fs = clients.get(number % clients.size());
        Path home = new Path(root, "c" + number);
        StringBuilder micros = new StringBuilder();
        int n = 0;
        for (long sent; n < limits[number] && (sent = System.nanoTime()) < end; n++) {
          operation.call(fs, home, n);
          micros.append(' ').append((System.nanoTime() - sent) / 1000);
        }
        done[number] = n;
        return micros;
      };
      works.add(pool.submit(work));
    }
    StringBuilder micros = new StringBuilder();
    for (Future<StringBuilder> work : works) {
      micros.append(work.get());
    }
    long took = System.nanoTime() - begun;
    pool.shutdown();
    return name + " " + took + " " + completes.count.get() + micros;
  }

  private static void check(boolean holds, String what) throws IOException {
    if (!holds) {
      throw new IOException(what + " was answered wrongly");
    }
  }

  /** Counts the calls of `complete` by what the client says of each. */
  private static final class Completes extends AppenderSkeleton {
    final AtomicLong count = new AtomicLong();

    @Override
    protected void append(LoggingEvent event) {
      if (event.getRenderedMessage().startsWith("Call: complete took")) {
        count.incrementAndGet();
      }
    }

    @Override
    public void close() {}

    @Override
    public boolean requiresLayout() {
      return false;
    }
  }
}
