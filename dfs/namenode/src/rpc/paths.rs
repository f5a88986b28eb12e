//! Paths as clients send them: made normal once, illegal ones refused with HDFS's exception and words.

use quarry_dfs_wire::path::{MAX_PATH_DEPTH, MAX_PATH_LENGTH};
use quarry_dfs_wire::rpc::RpcException;
use quarry_dfs_wire::rpc::exception::class;

use super::Answer;

/// The normal form of a path that a call looks for: no empty components, no `/` at its end. What no file can be called, like `..`, is
/// simply never found: HDFS answers so.
///
/// # Errors
/// When it is not absolute.
pub(super) fn path(text: &str) -> Answer<String> {
    if !text.starts_with('/') {
        let text = format!("Absolute path required, but got '{text}'");
        return Err(RpcException::application(class::ASSERTION, text));
    }
    let mut normal = String::with_capacity(text.len());
    for component in text.split('/').filter(|component| !component.is_empty()) {
        normal.push('/');
        normal.push_str(component);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Ok(normal)
}

/// The normal form of a path that a call makes.
///
/// # Errors
/// When no file may be called so. `method` begins the message where HDFS's does.
pub(super) fn new_path(method: &str, text: &str) -> Answer<String> {
    check_length(method, text)?;
    if !is_valid(text) {
        // Word for word HDFS's, which says it twice for all but create.
        let subject = if method == "create" { "" } else { "Invalid file name: " };
        return Err(RpcException::invalid_path(format!("Invalid path name {subject}{text}")));
    }
    path(text)
}

fn check_length(method: &str, text: &str) -> Answer<()> {
    if text.is_empty() {
        let text = "Can not create a Path from an empty string";
        return Err(RpcException::application(class::JAVA_ILLEGAL_ARGUMENT, text));
    }
    let depth = text.split('/').filter(|component| !component.is_empty()).count();
    // Java counts UTF-16 units, of which there are never more than bytes.
    let too_long = text.len() > MAX_PATH_LENGTH && text.encode_utf16().count() > MAX_PATH_LENGTH;
    if too_long || depth > MAX_PATH_DEPTH {
        return Err(RpcException::io(format!(
            "{method}: Pathname too long.  Limit {MAX_PATH_LENGTH} characters, {MAX_PATH_DEPTH} levels."
        )));
    }
    Ok(())
}

fn is_valid(text: &str) -> bool {
    let Some(relative) = text.strip_prefix('/') else {
        return false;
    };
    let in_inodes = relative.starts_with(".reserved/.inodes/");
    let relative = relative.strip_suffix('/').unwrap_or(relative);
    relative.is_empty()
        || relative.split('/').all(|component| match component {
            "" | "." => false,
            ".." => in_inodes,
            other => !other.contains([':', '\0']),
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // The expectations are Apache HDFS 3.5's answers.

    #[test]
    fn paths_to_look_for_are_made_normal() {
        for (text, normal) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b/", "/a/b"),
            ("//a///b", "/a/b"),
            ("/a/../b", "/a/../b"),
        ] {
            assert_eq!(path(text).unwrap(), normal);
        }
        let refused = path("relative").unwrap_err();
        assert_eq!(refused.class, "java.lang.AssertionError");
        assert_eq!(refused.message, "Absolute path required, but got 'relative'");
    }

    #[test]
    fn paths_to_make_must_be_good_names() {
        assert_eq!(new_path("mkdirs", "/a/b/").unwrap(), "/a/b");
        assert_eq!(
            new_path("mkdirs", "/.reserved/.inodes/16385/..").unwrap(),
            "/.reserved/.inodes/16385/.."
        );
        for text in ["a", "/a/../b", "/a/./b", "/a//b", "/a:b", "/a\0b"] {
            let refused = new_path("mkdirs", text).unwrap_err();
            assert_eq!(refused.class, "org.apache.hadoop.fs.InvalidPathException");
            assert_eq!(refused.message, format!("Invalid path name Invalid file name: {text}"));
        }
        assert_eq!(
            new_path("create", "/a/../b").unwrap_err().message,
            "Invalid path name /a/../b"
        );
    }

    #[test]
    fn limits_are_exact() {
        let too_long = "rename: Pathname too long.  Limit 8000 characters, 1000 levels.";
        for text in ["/a".repeat(1001), format!("/{}", "x".repeat(8000))] {
            let refused = new_path("rename", &text).unwrap_err();
            assert_eq!(
                (refused.class.as_ref(), refused.message.as_str()),
                ("java.io.IOException", too_long)
            );
        }
        assert!(new_path("rename", &"/a".repeat(1000)).is_ok());
        assert!(new_path("rename", &format!("/{}", "x".repeat(7999))).is_ok());
        // 2600 characters of three bytes each are 2600 of Java's.
        assert!(new_path("rename", &format!("/{}", "\u{6f22}".repeat(2600))).is_ok());
    }
}
