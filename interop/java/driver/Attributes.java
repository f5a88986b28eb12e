import java.nio.charset.StandardCharsets;
import java.util.EnumSet;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.StorageType;
import org.apache.hadoop.fs.XAttrSetFlag;
import org.apache.hadoop.fs.permission.AclEntry;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.fs.permission.FsPermission;

/** Permissions, owners, times, replication, ACLs, extended attributes, quotas, storage policies. */
final class Attributes {
  private Attributes() {}

  static void define(Map<String, Api.Verb> verbs) {
    verbs.put("chmod", (s, a) -> s.fs.setPermission(Names.path(a[0]), new FsPermission(Short.parseShort(a[1], 8))));
    verbs.put("chown", (s, a) -> s.fs.setOwner(Names.path(a[0]), none(a[1]), none(a[2])));
    verbs.put("setrep", (s, a) -> System.out.println(s.fs.setReplication(Names.path(a[0]), Short.parseShort(a[1]))));
    verbs.put("settimes", (s, a) -> s.fs.setTimes(Names.path(a[0]), Long.parseLong(a[1]), Long.parseLong(a[2])));
    verbs.put("times", (s, a) -> {
      FileStatus status = s.fs.getFileStatus(Names.path(a[0]));
      System.out.println("mtime=" + Say.time(status.getModificationTime()) + " atime=" + Say.time(status.getAccessTime()));
    });
    verbs.put("access", (s, a) -> s.fs.access(Names.path(a[0]), FsAction.getFsAction(a[1])));
    verbs.put("summary", (s, a) -> System.out.println(Say.summary(s.fs.getContentSummary(Names.path(a[0])))));
    verbs.put("usage", (s, a) -> System.out.println(Say.usage(s.fs.getQuotaUsage(Names.path(a[0])))));
    verbs.put("setquota", (s, a) -> s.fs.setQuota(Names.path(a[0]), quota(a[1]), quota(a[2])));
    verbs.put("setquotatype",
        (s, a) -> s.fs.setQuotaByStorageType(Names.path(a[0]), StorageType.valueOf(a[1]), quota(a[2])));
    acls(verbs);
    xattrs(verbs);
    policies(verbs);
  }

  private static String none(String name) {
    return name.equals("-") ? null : name;
  }

  private static long quota(String text) {
    switch (text) {
      case "clear":
        return -1;
      case "same":
        return Long.MAX_VALUE;
      default:
        return Long.parseLong(text);
    }
  }

  private static void acls(Map<String, Api.Verb> verbs) {
    verbs.put("setacl", (s, a) -> s.fs.setAcl(Names.path(a[0]), AclEntry.parseAclSpec(a[1], true)));
    verbs.put("modifyacl", (s, a) -> s.fs.modifyAclEntries(Names.path(a[0]), AclEntry.parseAclSpec(a[1], true)));
    verbs.put("removeaclentries", (s, a) -> s.fs.removeAclEntries(Names.path(a[0]), AclEntry.parseAclSpec(a[1], false)));
    verbs.put("removedefaultacl", (s, a) -> s.fs.removeDefaultAcl(Names.path(a[0])));
    verbs.put("removeacl", (s, a) -> s.fs.removeAcl(Names.path(a[0])));
    verbs.put("getacl", (s, a) -> System.out.println(s.fs.getAclStatus(Names.path(a[0]))));
  }

  private static void xattrs(Map<String, Api.Verb> verbs) {
    verbs.put("setxattr", (s, a) -> {
      EnumSet<XAttrSetFlag> flags = EnumSet.noneOf(XAttrSetFlag.class);
      if (!Api.flag(a, "replace")) {
        flags.add(XAttrSetFlag.CREATE);
      }
      if (!Api.flag(a, "create")) {
        flags.add(XAttrSetFlag.REPLACE);
      }
      s.fs.setXAttr(Names.path(a[0]), a[1], value(a[2]), flags);
    });
    verbs.put("getxattr", (s, a) -> System.out.println(text(s.fs.getXAttr(Names.path(a[0]), a[1]))));
    verbs.put("getxattrs", (s, a) -> {
      for (Map.Entry<String, byte[]> attribute : new TreeMap<>(s.fs.getXAttrs(Names.path(a[0]))).entrySet()) {
        System.out.println(attribute.getKey() + "=" + text(attribute.getValue()));
      }
    });
    verbs.put("listxattrs", (s, a) -> System.out.println(new java.util.TreeSet<>(s.fs.listXAttrs(Names.path(a[0])))));
    verbs.put("removexattr", (s, a) -> s.fs.removeXAttr(Names.path(a[0]), a[1]));
  }

  /** A value, {@code *N} for N bytes of 'v', {@code -} for none. */
  private static byte[] value(String text) {
    if (text.equals("-")) {
      return null;
    }
    String whole = text.startsWith("*") ? "v".repeat(Integer.parseInt(text.substring(1))) : text;
    return whole.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(byte[] value) {
    if (value == null) {
      return "null";
    }
    return value.length > 40 ? value.length + " bytes" : "'" + new String(value, StandardCharsets.UTF_8) + "'";
  }

  private static void policies(Map<String, Api.Verb> verbs) {
    verbs.put("setpolicy", (s, a) -> s.fs.setStoragePolicy(Names.path(a[0]), a[1]));
    verbs.put("unsetpolicy", (s, a) -> s.fs.unsetStoragePolicy(Names.path(a[0])));
    verbs.put("getpolicy", (s, a) -> System.out.println(s.fs.getStoragePolicy(Names.path(a[0])).getName()));
    verbs.put("policies", (s, a) -> s.fs.getAllStoragePolicies().stream().map(Object::toString).sorted().forEach(System.out::println));
    verbs.put("satisfy", (s, a) -> s.fs.satisfyStoragePolicy(Names.path(a[0])));
  }
}
