import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Replaces what differs from run to run, though it means the same: identities of blocks, clients, ports. */
final class Masks {
  private Masks() {}

  private static final String[][] RULES = {
    // Long, and the client's own.
    {"(?s)Usage: hadoop fs \\[generic options\\]\n\t.*?command \\[genericOptions\\] \\[commandOptions\\]\n", "<usage of all commands>\n"},
    // A server's stack, which some commands print.
    {"(?m)^\\tat .*\\n", ""},
    {"txid \\d+", "txid <n>"},
    {"@[0-9a-f]{6,8}\\b", "@<hash>"},
    {"BP-\\d+-[0-9.]+-\\d+", "<pool>"},
    {"blk_-?\\d+_\\d+", "<block>"},
    {"blk_-?\\d+", "<block>"},
    {"DFSClient_[A-Za-z0-9]+_-?\\d+_\\d+", "<client>"},
    {"\\(inode \\d+\\)", "(inode <n>)"},
    {"\\[?(DatanodeInfoWithStorage\\[[^\\]]*\\](, )?)+\\]?", "<datanodes>"},
    {"http://[^/ ]+/fsck", "http://<http>/fsck"},
    {"/default-rack/[0-9.]+:\\d+", "/default-rack/<datanode>"},
    {"datanode/rack: [^/ ]+/", "datanode/rack: <host>/"},
    {"DS-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<storage>"},
    {"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"},
    {"(?<!\\d)1[5-9]\\d{11}(?!\\d)", "<millis>"},
    {"\\.Trash/\\d{12}", ".Trash/<checkpoint>"},
    {"(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \\d\\d \\d\\d:\\d\\d:\\d\\d [A-Z]+ \\d{4}", "<date>"},
    {"\\d+ milliseconds", "<n> milliseconds"},
    {" \\d+ msec", " <n> msec"},
  };

  private static final Pattern[] PATTERNS = compile();

  private static Pattern[] compile() {
    Pattern[] patterns = new Pattern[RULES.length];
    for (int i = 0; i < patterns.length; i++) {
      patterns[i] = Pattern.compile(RULES[i][0]);
    }
    return patterns;
  }

  static String apply(String text) {
    for (int i = 0; i < PATTERNS.length; i++) {
      text = PATTERNS[i].matcher(text).replaceAll(RULES[i][1]);
    }
    return inOrder(text);
  }

  /** A line of fsck's storage policies: an allocation and its number of blocks. */
  private static final Pattern ALLOCATION = Pattern.compile("[A-Z_:0-9,]+\\([A-Z_]+\\) +(\\d+) +[0-9.]+%");

  /** Sorts allocations of as many blocks: HDFS has them in the order of a hash table, another one in each process. */
  private static String inOrder(String text) {
    if (!text.contains("% of blocks")) {
      return text;
    }
    String[] lines = text.split("\n", -1);
    for (int end = lines.length - 1; end > 0; end--) {
      for (int i = 0; i < end; i++) {
        Matcher first = ALLOCATION.matcher(lines[i]);
        Matcher second = ALLOCATION.matcher(lines[i + 1]);
        boolean tie = first.matches() && second.matches() && first.group(1).equals(second.group(1));
        if (tie && lines[i].compareTo(lines[i + 1]) > 0) {
          String swapped = lines[i];
          lines[i] = lines[i + 1];
          lines[i + 1] = swapped;
        }
      }
    }
    return String.join("\n", lines);
  }
}
