//! The commands there are: their names, their arguments, and what they do.

/// One command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verb {
    /// Its name.
    pub(super) name: &'static str,
    /// Its arguments.
    pub(super) usage: &'static str,
    /// What it does.
    pub(super) help: &'static str,
}

const fn verb(name: &'static str, usage: &'static str, help: &'static str) -> Verb {
    Verb { name, usage, help }
}

/// All commands, in the order of their names.
pub(super) const VERBS: &[Verb] = &[
    verb(
        "appendToFile",
        "[-n] <localsrc> ... <dst>",
        "Append local files to a file; `-` for standard input; -n: in a new block",
    ),
    verb("cat", "[-ignoreCrc] <src> ...", "Write files to standard output"),
    verb(
        "checksum",
        "[-v] <src> ...",
        "Show files' checksums; -v: with their block sizes",
    ),
    verb("chgrp", "[-R] GROUP PATH...", "Change groups; -R: in whole trees"),
    verb(
        "chmod",
        "[-R] <MODE[,MODE]... | OCTALMODE> PATH...",
        "Change permissions; -R: in whole trees",
    ),
    verb(
        "chown",
        "[-R] [OWNER][:[GROUP]] PATH...",
        "Change owners and groups; -R: in whole trees",
    ),
    verb(
        "concat",
        "<target path> <src path> <src path> ...",
        "Move the blocks of files to the end of another file",
    ),
    verb(
        "copyFromLocal",
        "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] <localsrc> ... <dst>",
        "The same as put",
    ),
    verb(
        "copyToLocal",
        "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] <src> ... <localdst>",
        "The same as get",
    ),
    verb(
        "count",
        "[-q] [-h] [-v] [-t [<storage type>]] [-u] [-x] [-e] [-s] <path> ...",
        "Count directories, files and bytes; -q: with quotas, -u: quotas only, -t: per storage type, -v: with a header, -h: sizes for people",
    ),
    verb(
        "cp",
        "[-f] [-p | -p[topax]] [-d] [-t <thread count>] [-q <thread pool queue size>] <src> ... <dst>",
        "Copy files and directories; -f: replace, -p: keep times, owners, permissions, ACLs, attributes, -d: without a temporary name",
    ),
    verb(
        "createSnapshot",
        "<snapshotDir> [<snapshotName>]",
        "Not supported: there are no snapshots",
    ),
    verb(
        "deleteSnapshot",
        "<snapshotDir> <snapshotName>",
        "Not supported: there are no snapshots",
    ),
    verb(
        "df",
        "[-h] [<path> ...]",
        "Show the space of the file system; -h: sizes for people",
    ),
    verb(
        "du",
        "[-s] [-h] [-v] [-x] <path> ...",
        "Show the space that files use, alone and with all replicas; -s: one line per path, -h: sizes for people, -v: with a header",
    ),
    verb(
        "expunge",
        "[-immediate] [-fs <path>]",
        "Delete what has been in the trash for long enough; -immediate: all of it",
    ),
    verb(
        "find",
        "<path> ... <expression> ...",
        "Show the paths in trees that fit: -name PATTERN, -iname PATTERN, -print, -print0, joined by -a",
    ),
    verb(
        "get",
        "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] <src> ... <localdst>",
        "Copy files to this machine; `-` for standard output; -f: replace, -p: keep times, owners and permissions, -crc: with checksum files",
    ),
    verb(
        "getfacl",
        "[-R] <path>",
        "Show access control lists; -R: of whole trees",
    ),
    verb(
        "getfattr",
        "[-R] {-n name | -d} [-e en] <path>",
        "Show an extended attribute, or with -d all; -e: as text, hex or base64",
    ),
    verb(
        "getmerge",
        "[-nl] [-skip-empty-file] <src> <localdst>",
        "Write files one after the other into a local file; -nl: with a newline after each",
    ),
    verb(
        "head",
        "<file>",
        "Write the first kilobyte of a file to standard output",
    ),
    verb("help", "[cmd ...]", "Tell what commands do"),
    verb(
        "ls",
        "[-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [-e] [<path> ...]",
        "List files and directories; -C: paths only, -d: directories themselves, -h: sizes for people, -R: whole trees, -t: latest first, \
         -S: largest first, -r: the other way round, -u: by and with the time of reading, -e: with erasure coding policies",
    ),
    verb(
        "mkdir",
        "[-p] <path> ...",
        "Make directories; -p: with their parents, and without complaint about what exists",
    ),
    verb(
        "moveFromLocal",
        "[-f] [-p] [-l] [-d] <localsrc> ... <dst>",
        "Copy local files as put does, and delete them",
    ),
    verb("moveToLocal", "<src> <localdst>", "Not there, as with HDFS"),
    verb(
        "mv",
        "<src> ... <dst>",
        "Rename files and directories; several go into a directory",
    ),
    verb(
        "put",
        "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] <localsrc> ... <dst>",
        "Copy local files into the file system; `-` for standard input; -f: replace, -p: keep times, owners and permissions, \
         -d: without a temporary name, -t: so many at a time",
    ),
    verb(
        "renameSnapshot",
        "<snapshotDir> <oldName> <newName>",
        "Not supported: there are no snapshots",
    ),
    verb(
        "rm",
        "[-f] [-r|-R] [-skipTrash] [-safely] <src> ...",
        "Delete files, or move them to the trash where there is one; -r: directories too, -f: no complaint about what is absent, \
         -safely: ask before deleting many files",
    ),
    verb(
        "rmdir",
        "[--ignore-fail-on-non-empty] <dir> ...",
        "Delete empty directories",
    ),
    verb(
        "setfacl",
        "[-R] [{-b|-k} {-m|-x <acl_spec>} <path>]|[--set <acl_spec> <path>]",
        "Change access control lists; -b: remove, -k: remove the default entries, -m: set entries, -x: remove entries, --set: replace all",
    ),
    verb(
        "setfattr",
        "{-n name [-v value] | -x name} <path>",
        "Set or remove an extended attribute",
    ),
    verb(
        "setrep",
        "[-R] [-w] <rep> <path> ...",
        "Set how many replicas files have, in whole trees; -w: wait until they are there",
    ),
    verb(
        "stat",
        "[format] <path> ...",
        "Show facts: %a %A permissions, %b bytes, %F kind, %g group, %n name, %o block size, %r replicas, %u owner, %x %X time of reading, \
         %y %Y time of the last change",
    ),
    verb(
        "tail",
        "[-f] [-s <sleep interval>] <file>",
        "Write the last kilobyte of a file to standard output; -f: and what is appended, -s: looking every so many milliseconds",
    ),
    verb(
        "test",
        "-[defswrz] <path>",
        "Answer by the exit code: -d directory, -e exists, -f file, -s has bytes, -w may be written, -r may be read, -z has no bytes",
    ),
    verb(
        "text",
        "[-ignoreCrc] <src> ...",
        "Write files to standard output, unpacking gzip, deflate and bzip2",
    ),
    verb(
        "touch",
        "[-a] [-m] [-t TIMESTAMP (yyyyMMdd:HHmmss) ] [-c] <path> ...",
        "Set times of files, making those that are absent; -a: of reading only, -m: of the last change only, -c: make none",
    ),
    verb("touchz", "<path> ...", "Make empty files"),
    verb(
        "truncate",
        "[-w] <length> <path> ...",
        "Cut files to a length; -w: wait until it is done",
    ),
    verb("usage", "[cmd ...]", "Show how commands are called"),
];

/// Commands that HDFS calls obsolete: their names, what they stand for, and with which option.
pub(super) const OBSOLETE: &[(&str, &str, &str, &str)] = &[
    ("dus", "du", "-s", "du -s"),
    ("lsr", "ls", "-R", "ls -R"),
    ("rmr", "rm", "-r", "-rm -r"),
];

/// The command of that name.
pub(super) fn named(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

impl Verb {
    /// How it is called.
    pub(super) fn call(&self) -> String {
        format!("Usage: quarry fs {} {}", self.name, self.usage)
    }
}

/// All commands with their arguments, for the help of `quarry fs`.
pub(super) fn overview() -> String {
    let line = |verb: &Verb| format!("  {} {}\n", verb.name, verb.usage);
    let lines: String = VERBS.iter().map(line).collect();
    format!(
        "Commands, which may begin with a dash as in Hadoop:\n{lines}\n`quarry fs help COMMAND` tells what a command does. \
         Paths may be patterns, and may begin with hdfs://HOST:PORT or file://."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_in_order() {
        let names: Vec<_> = VERBS.iter().map(|verb| verb.name.to_lowercase()).collect();
        assert!(names.is_sorted(), "{names:?}");
    }
}
