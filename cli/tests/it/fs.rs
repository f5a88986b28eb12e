//! `quarry fs`: output and exit codes of HDFS's shell.

use crate::cluster::shared;

fn write_local(name: &str, bytes: &[u8]) -> String {
    let path = shared().path(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn fs(args: &[&str]) -> crate::support::Ran {
    shared().run(&[&["fs"], args].concat())
}

#[test]
fn put_ls_cat_get_bring_the_same_bytes() {
    let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let local = write_local("bytes.bin", &bytes);
    fs(&["mkdir", "-p", "/put"]).ok();
    fs(&["put", &local, "/put/a"]).ok();
    let listing = fs(&["ls", "/put"]).ok();
    assert!(listing.starts_with("Found 1 items\n-rw-r--r--"), "{listing}");
    assert!(
        listing.contains(" tester ") && listing.contains(" 1200000 ") && listing.ends_with(" /put/a\n"),
        "{listing}"
    );
    assert_eq!(fs(&["cat", "/put/a"]).0.stdout, bytes);
    let back = shared().path("back.bin");
    fs(&["get", "/put/a", back.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read(back).unwrap(), bytes);
    assert_eq!(
        fs(&["stat", "%b %r %n %F", "/put/a"]).ok(),
        "1200000 2 a regular file\n"
    );
    assert_eq!(fs(&["du", "-s", "/put"]).ok(), "1200000  2400000  /put\n");
    assert_eq!(fs(&["du", "-s", "-h", "/put"]).ok(), "1.1 M  2.3 M  /put\n");
}

#[test]
fn put_refuses_to_replace_unless_forced() {
    let (one, two) = (write_local("one", b"one"), write_local("two", b"two"));
    fs(&["mkdir", "/replace"]).ok();
    fs(&["put", &one, "/replace/f"]).ok();
    let refused = fs(&["put", &two, "/replace/f"]);
    assert_eq!(
        (refused.code(), refused.stderr().as_str()),
        (1, "put: `/replace/f': File exists\n")
    );
    assert_eq!(fs(&["cat", "/replace/f"]).ok(), "one");
    fs(&["put", "-f", &two, "/replace/f"]).ok();
    assert_eq!(fs(&["cat", "/replace/f"]).ok(), "two");
    let listing = fs(&["ls", "/replace"]).ok();
    assert!(listing.starts_with("Found 1 items"), "{listing}");
}

#[test]
fn standard_input_and_output_are_a_dash() {
    shared()
        .run_with_input(&["fs", "put", "-", "/from-stdin"], b"piped\n")
        .ok();
    assert_eq!(fs(&["get", "/from-stdin", "-"]).ok(), "piped\n");
}

#[test]
fn directories_are_copied_whole() {
    let tree = shared().path("tree");
    std::fs::create_dir_all(tree.join("inner")).unwrap();
    std::fs::write(tree.join("a"), "a").unwrap();
    std::fs::write(tree.join("inner/b"), "b").unwrap();
    fs(&["put", tree.to_str().unwrap(), "/tree"]).ok();
    let listing = fs(&["ls", "-R", "/tree"]).ok();
    let paths: Vec<_> = listing.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(paths, ["/tree/a", "/tree/inner", "/tree/inner/b"]);
    let back = shared().path("tree-back");
    fs(&["get", "/tree", back.to_str().unwrap()]).ok();
    assert_eq!(std::fs::read_to_string(back.join("inner/b")).unwrap(), "b");
}

#[test]
fn relative_paths_begin_at_home() {
    let file = write_local("rel", b"r");
    fs(&["mkdir", "-p", "rel/x"]).ok();
    fs(&["put", &file, "rel/x"]).ok();
    assert_eq!(fs(&["cat", "/user/tester/rel/x/rel"]).ok(), "r");
}

#[test]
fn mv_and_rm_change_names() {
    let file = write_local("m", b"m");
    fs(&["mkdir", "-p", "/mv/into"]).ok();
    fs(&["put", &file, "/mv/m"]).ok();
    fs(&["mv", "/mv/m", "/mv/n"]).ok();
    fs(&["mv", "/mv/n", "/mv/into"]).ok();
    assert_eq!(fs(&["cat", "/mv/into/n"]).ok(), "m");
    let refused = fs(&["rm", "/mv/into"]);
    assert_eq!(
        (refused.code(), refused.stderr().as_str()),
        (1, "rm: `/mv/into': Is a directory\n")
    );
    assert_eq!(fs(&["rm", "-r", "-skipTrash", "/mv/into"]).ok(), "Deleted /mv/into\n");
    let absent = fs(&["ls", "/mv/into"]);
    assert_eq!(
        (absent.code(), absent.stderr().as_str()),
        (1, "ls: `/mv/into': No such file or directory\n")
    );
    assert_eq!(fs(&["rm", "/mv/into"]).code(), 1);
    fs(&["rm", "-f", "/mv/into"]).ok();
}

#[test]
fn one_bad_path_of_several_does_not_stop_the_others() {
    let file = write_local("good", b"good");
    fs(&["put", &file, "/good"]).ok();
    let ran = fs(&["cat", "/absent", "/good"]);
    assert_eq!((ran.code(), ran.stdout().as_str()), (1, "good"));
    assert_eq!(ran.stderr(), "cat: `/absent': No such file or directory\n");
}

#[test]
fn mkdir_says_what_hdfs_says() {
    fs(&["mkdir", "/dir"]).ok();
    assert_eq!(fs(&["mkdir", "/dir"]).stderr(), "mkdir: `/dir': File exists\n");
    let refused = fs(&["mkdir", "/no/parent"]).stderr();
    assert!(refused.starts_with("mkdir: `hdfs://127.0.0.1:"), "{refused}");
    assert!(refused.ends_with("/no': No such file or directory\n"), "{refused}");
    fs(&["mkdir", "-p", "/dir"]).ok();
}

#[test]
fn an_unreachable_namenode_is_an_error_that_names_it() {
    let ran = shared().run(&["fs", "--namenode", "127.0.0.1:1", "ls", "/"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr().contains("127.0.0.1:1"), "{}", ran.stderr());
}
