//! The files and how one is run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use quarry_sql_tests::cells::Type;
use quarry_sql_tests::engine::Database;
use sqllogictest::{MakeConnection, Record, Runner, strict_column_validator};

/// One `.slt` file.
#[derive(Debug, Clone)]
pub(crate) struct SltFile {
    /// `topic/file`, without ending.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// All files, in the order of their names.
pub(crate) fn all() -> Result<Vec<SltFile>> {
    let root = Path::new(&crate_dir()).join("slt");
    let mut files = Vec::new();
    for topic in entries(&root)? {
        for path in entries(&topic)?
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "slt"))
        {
            let name = path.strip_prefix(&root)?.with_extension("").display().to_string();
            files.push(SltFile { name, path });
        }
    }
    ensure!(!files.is_empty(), "no .slt file under {}", root.display());
    Ok(files)
}

/// How many statements and queries a file has.
pub(crate) fn records(file: &SltFile) -> Result<usize> {
    let records = sqllogictest::parse_file::<Type>(&file.path)?;
    let runs = |record: &Record<Type>| matches!(record, Record::Statement { .. } | Record::Query { .. });
    Ok(records.iter().filter(|record| runs(record)).count())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// A runner for `file` over sessions of one engine. `$DFS` is the file system of the fixtures; `$SCHEMA` a name that no other file uses.
pub(crate) fn runner<M>(file: &SltFile, dfs: &str, connect: M) -> Runner<Database, M>
where
    M: MakeConnection<Conn = Database>,
{
    let mut runner = Runner::new(connect);
    runner.with_column_validator(strict_column_validator);
    runner.set_var("DFS".to_owned(), dfs.trim_end_matches('/').to_owned());
    runner.set_var(
        "SCHEMA".to_owned(),
        format!("slt_{}", file.name.replace(['/', '-'], "_")),
    );
    runner
}

/// This crate's folder in the clone that runs the tests. The one that compiled them may have been another: build output is shared.
fn crate_dir() -> std::ffi::OsString {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into())
}
