//! What the audit log says of a call: HDFS's format and names of commands.

use std::fmt::Write;

use super::Call;
use crate::core::acl_calls::AclChange;
use crate::core::command::{Caller, FileStatus, Operation, Reply};
use crate::core::error::FsError;

/// How a command's path and the resulting file are told.
struct Told<'o> {
    command: &'static str,
    source: Option<String>,
    destination: Option<&'o str>,
    /// The file whose owner and mode are told.
    shows: Option<&'o str>,
}

fn told<'o>(command: &'static str, path: &'o str, shows: bool) -> Told<'o> {
    Told {
        command,
        source: Some(path.to_owned()),
        destination: None,
        shows: shows.then_some(path),
    }
}

/// What is told of an operation; `None` for those that HDFS does not audit, such as a writer's calls between create and close.
fn describe(operation: &Operation) -> Option<Told<'_>> {
    use Operation as O;
    Some(match operation {
        O::GetFileInfo { path, .. } => told("getfileinfo", path, false),
        O::GetListing { path, .. } => told("listStatus", path, false),
        O::GetBlockLocations { path, .. } => told("open", path, false),
        O::GetContentSummary { path } => told("contentSummary", path, false),
        O::GetQuotaUsage { path } => told("quotaUsage", path, false),
        O::IsFileClosed { path } => told("isFileClosed", path, false),
        O::CheckAccess { path, .. } => told("checkAccess", path, false),
        O::GetAclStatus { path } => told("getAclStatus", path, false),
        O::GetXAttrs { path, .. } => told("getXAttrs", path, false),
        O::ListXAttrs { path, .. } => told("listXAttrs", path, false),
        O::Append { path, .. } => told("append", path, false),
        O::Delete { path, .. } => told("delete", path, false),
        O::SetReplication { path, .. } => told("setReplication", path, false),
        O::SetQuota { path, .. } => told("setQuota", path, false),
        O::MakeDirectories { path, .. } => told("mkdirs", path, true),
        O::Create(arguments) => told("create", &arguments.path, true),
        O::SetPermission { path, .. } => told("setPermission", path, true),
        O::SetOwner { path, .. } => told("setOwner", path, true),
        O::SetTimes { path, .. } => told("setTimes", path, true),
        O::SetXAttr { path, .. } => told("setXAttr", path, true),
        O::RemoveXAttr { path, .. } => told("removeXAttr", path, true),
        O::SetStoragePolicy { path, .. } => told("setStoragePolicy", path, true),
        O::UnsetStoragePolicy { path } => told("unsetStoragePolicy", path, true),
        O::Truncate { path, .. } => told("truncate", path, true),
        O::ChangeAcl { path, change } => told(acl_command(change), path, true),
        O::Rename { source, destination } => renamed("rename", source, destination),
        O::Rename2 {
            source,
            destination,
            overwrite,
            to_trash,
        } => {
            let command = match (overwrite, to_trash) {
                (_, true) => "rename (options=[TO_TRASH])",
                (true, false) => "rename (options=[OVERWRITE])",
                (false, false) => "rename (options=[NONE])",
            };
            renamed(command, source, destination)
        }
        O::Concat { target, sources } => Told {
            command: "concat",
            source: Some(format!("[{}]", sources.join(", "))),
            destination: Some(target),
            shows: Some(target),
        },
        O::ListOpenFiles { .. } => Told {
            command: "listOpenFiles",
            source: None,
            destination: None,
            shows: None,
        },
        _ => return None,
    })
}

fn renamed<'o>(command: &'static str, source: &str, destination: &'o str) -> Told<'o> {
    Told {
        command,
        source: Some(source.to_owned()),
        destination: Some(destination),
        shows: Some(destination),
    }
}

fn acl_command(change: &AclChange) -> &'static str {
    match change {
        AclChange::Modify(_) => "modifyAclEntries",
        AclChange::RemoveEntries(_) => "removeAclEntries",
        AclChange::RemoveDefault => "removeDefaultAcl",
        AclChange::Remove => "removeAcl",
        AclChange::Set(_) => "setAcl",
    }
}

/// A name or path as it may stand in a line: nothing in it ends the line or the field.
fn plain(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

fn owner_and_mode(status: &FileStatus) -> String {
    let mut text = format!("{}:{}:", plain(&status.owner), plain(&status.group));
    for bit in 0..9 {
        let set = status.permission & (0o400 >> bit) != 0;
        text.push(if set { b"rwx"[bit % 3] as char } else { '-' });
    }
    if status.permission & 0o1000 != 0 {
        let last = if text.pop() == Some('x') { 't' } else { 'T' };
        text.push(last);
    }
    text
}

/// The line of an audited call.
fn line(call: &Call<'_>, told: &Told<'_>, allowed: bool, shown: Option<&FileStatus>) -> String {
    let context = call.context;
    let source = told.source.as_deref().map_or_else(|| "null".to_owned(), plain);
    let destination = told.destination.map_or_else(|| "null".to_owned(), plain);
    let permission = shown.map_or_else(|| "null".to_owned(), owner_and_mode);
    let mut line = format!(
        "allowed={allowed}\tugi={} (auth:SIMPLE)\tip=/{}\tcmd={}\tsrc={source}\tdst={destination}\tperm={permission}\tproto=rpc",
        plain(&context.user),
        context.peer.ip().to_canonical(),
        told.command,
    );
    if let Some(caller_context) = context.caller_context.as_deref().filter(|text| !text.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(line, "\tcallerContext={}", plain(caller_context));
    }
    line
}

/// Audits a call that was answered. As in HDFS, failures other than missing rights leave no line.
pub(super) async fn record(call: &Call<'_>, operation: &Operation, caller: &Caller, answer: &Result<Reply, FsError>) {
    let Some(log) = &call.service.audit else { return };
    let Some(told) = describe(operation) else { return };
    let allowed = match answer {
        // HDFS tells a rename or deletion of nothing so.
        Ok(Reply::Bool(false)) if matches!(operation, Operation::Delete { .. } | Operation::Rename { .. }) => false,
        Ok(_) => true,
        Err(FsError::AccessControl(_)) => false,
        Err(_) => return,
    };
    let shown = match told.shows.filter(|_| allowed) {
        Some(path) => show(call, path, caller).await,
        None => None,
    };
    log.write(line(call, &told, allowed, shown.as_ref()));
}

/// The file as it is after the call.
async fn show(call: &Call<'_>, path: &str, caller: &Caller) -> Option<FileStatus> {
    let operation = Operation::GetFileInfo {
        path: path.to_owned(),
        need_locations: false,
    };
    match call.service.core.call(caller.clone(), operation).await {
        Ok(Reply::Status(Some(status))) => Some(*status),
        _ => None,
    }
}
