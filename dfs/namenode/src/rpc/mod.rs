//! HDFS's ClientProtocol: decode, hand to the core, encode. A method that is not in the table below does not exist here yet, and its
//! caller hears so by HDFS's exception for that.

mod absent;
mod admin;
mod attributes;
mod audit;
mod cluster;
mod convert;
mod exception;
mod listing;
mod looking;
mod paths;
mod tree;
mod writing;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message;
use quarry_dfs_wire::rpc::exception::class;
use quarry_dfs_wire::rpc::{CLIENT_PROTOCOL, NAMENODE_PROTOCOL, decode};
use quarry_dfs_wire::rpc::{CallContext, RpcException, RpcService};

use crate::admin::Administration;
use crate::audit::AuditLog;
use crate::config::NameNodeConfig;
use crate::core::command::{Caller, Operation, Reply};
use crate::core::retry_cache::CallKey;
use crate::driver::CoreHandle;
use crate::log::directory::Identity;
use paths::path;

/// The protocol of two commands of dfsadmin.
const REFRESH_PROTOCOL: &str = "org.apache.hadoop.security.RefreshUserMappingsProtocol";

/// Result of a method.
type Answer<T> = Result<T, RpcException>;

/// The service behind the RPC port.
#[derive(Debug)]
pub(crate) struct ClientService {
    core: CoreHandle,
    config: Arc<NameNodeConfig>,
    identity: Identity,
    admin: Arc<Administration>,
    audit: Option<AuditLog>,
}

/// One call on its way.
struct Call<'a> {
    service: &'a ClientService,
    context: &'a CallContext,
    /// The user's groups by the operating system.
    groups: Arc<[String]>,
}

impl ClientService {
    pub(crate) fn new(admin: Arc<Administration>, audit: Option<AuditLog>) -> Self {
        Self {
            audit,
            core: admin.core.clone(),
            config: Arc::clone(&admin.config),
            identity: admin.identity.clone(),
            admin,
        }
    }
}

impl Call<'_> {
    fn caller(&self) -> Caller {
        let context = self.context;
        let identified = context.client_id != [0; 16] && context.call_id >= 0;
        Caller {
            user: context.user.clone(),
            groups: Arc::clone(&self.groups),
            address: context.peer.ip().to_canonical(),
            call: identified.then_some(CallKey {
                client_id: context.client_id,
                call_id: context.call_id,
            }),
        }
    }

    /// Has the core execute an operation.
    async fn run(&self, operation: Operation) -> Answer<Reply> {
        tracing::debug!(user = self.context.user, peer = %self.context.peer, method = self.context.method, "call");
        let caller = self.caller();
        if self.service.audit.is_none() {
            return self.service.core.call(caller, operation).await.map_err(exception::of);
        }
        let answer = self.service.core.call(caller.clone(), operation.clone()).await;
        audit::record(self, &operation, &caller, &answer).await;
        answer.map_err(exception::of)
    }

    /// As [`Self::run`], for operations that answer yes or no.
    async fn run_bool(&self, operation: Operation) -> Answer<bool> {
        match self.run(operation).await? {
            Reply::Bool(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    }

    fn pool(&self) -> &str {
        &self.service.identity.block_pool_id
    }
}

/// The core answered something else than the operation has: a defect, told rather than hidden.
fn unexpected(reply: &Reply) -> RpcException {
    tracing::error!(?reply, "the core's answer does not fit the call");
    RpcException::io("internal error: the answer does not fit the call")
}

fn encode(response: &impl Message) -> Bytes {
    response.encode_to_vec().into()
}

macro_rules! methods {
    ($call:ident, $request:ident, $($name:literal => $method:path,)+) => {
        match $call.context.method.as_str() {
            $($name => {
                let request = decode($call.context, $request)?;
                Ok(encode(&$method($call, request).await?))
            })+
            unknown => Err(absent::refusal(unknown)
                .unwrap_or_else(|| RpcException::no_such_method(unknown, &$call.context.protocol))),
        }
    };
}

impl ClientService {
    async fn dispatch(&self, call: &Call<'_>, request: Bytes) -> Answer<Bytes> {
        if call.context.protocol == NAMENODE_PROTOCOL {
            return methods!(call, request, "versionRequest" => cluster::version_request,);
        }
        if call.context.protocol == REFRESH_PROTOCOL {
            return methods!(call, request,
                "refreshUserToGroupsMappings" => admin::refresh_user_mappings,
                "refreshSuperUserGroupsConfiguration" => admin::refresh_user_mappings,
            );
        }
        methods!(call, request,
            "getFileInfo" => looking::get_file_info,
            "getFileLinkInfo" => looking::get_file_link_info,
            "getLocatedFileInfo" => looking::get_located_file_info,
            "getListing" => looking::get_listing,
            "getBlockLocations" => looking::get_block_locations,
            "getContentSummary" => looking::get_content_summary,
            "getQuotaUsage" => looking::get_quota_usage,
            "getPreferredBlockSize" => looking::get_preferred_block_size,
            "isFileClosed" => looking::is_file_closed,
            "checkAccess" => looking::check_access,
            "mkdirs" => tree::mkdirs,
            "delete" => tree::delete,
            "rename" => tree::rename,
            "rename2" => tree::rename2,
            "setPermission" => tree::set_permission,
            "setOwner" => tree::set_owner,
            "setTimes" => tree::set_times,
            "setReplication" => tree::set_replication,
            "concat" => tree::concat,
            "create" => writing::create,
            "append" => writing::append,
            "addBlock" => writing::add_block,
            "abandonBlock" => writing::abandon_block,
            "complete" => writing::complete,
            "fsync" => writing::fsync,
            "truncate" => writing::truncate,
            "renewLease" => writing::renew_lease,
            "recoverLease" => writing::recover_lease,
            "updateBlockForPipeline" => writing::update_block_for_pipeline,
            "updatePipeline" => writing::update_pipeline,
            "getAdditionalDatanode" => writing::get_additional_datanode,
            "reportBadBlocks" => writing::report_bad_blocks,
            "getServerDefaults" => cluster::get_server_defaults,
            "getFsStats" => cluster::get_fs_stats,
            "getDatanodeReport" => cluster::get_datanode_report,
            "getDatanodeStorageReport" => cluster::get_datanode_storage_report,
            "getSlowDatanodeReport" => admin::get_slow_datanode_report,
            "getFsReplicatedBlockStats" => admin::get_fs_replicated_block_stats,
            "getFsECBlockGroupStats" => admin::get_fs_ec_block_group_stats,
            "refreshNodes" => admin::refresh_nodes,
            "saveNamespace" => admin::save_namespace,
            "rollEdits" => admin::roll_edits,
            "metaSave" => admin::meta_save,
            "listCorruptFileBlocks" => admin::list_corrupt_file_blocks,
            "setBalancerBandwidth" => admin::set_balancer_bandwidth,
            "restoreFailedStorage" => admin::restore_failed_storage,
            "finalizeUpgrade" => admin::finalize_upgrade,
            "upgradeStatus" => admin::upgrade_status,
            "setSafeMode" => cluster::set_safe_mode,
            "msync" => cluster::msync,
            "getHAServiceState" => cluster::get_ha_service_state,
            "getBatchedListing" => listing::get_batched_listing,
            "listOpenFiles" => listing::list_open_files,
            "modifyAclEntries" => attributes::modify_acl_entries,
            "removeAclEntries" => attributes::remove_acl_entries,
            "removeDefaultAcl" => attributes::remove_default_acl,
            "removeAcl" => attributes::remove_acl,
            "setAcl" => attributes::set_acl,
            "getAclStatus" => attributes::get_acl_status,
            "setXAttr" => attributes::set_xattr,
            "getXAttrs" => attributes::get_xattrs,
            "listXAttrs" => attributes::list_xattrs,
            "removeXAttr" => attributes::remove_xattr,
            "setQuota" => attributes::set_quota,
            "getStoragePolicies" => attributes::get_storage_policies,
            "getStoragePolicy" => attributes::get_storage_policy,
            "setStoragePolicy" => attributes::set_storage_policy,
            "unsetStoragePolicy" => attributes::unset_storage_policy,
            "getLinkTarget" => absent::get_link_target,
            "getEnclosingRoot" => absent::get_enclosing_root,
            "getErasureCodingPolicies" => absent::get_erasure_coding_policies,
            "getErasureCodingPolicy" => absent::get_erasure_coding_policy,
            "getErasureCodingCodecs" => absent::get_erasure_coding_codecs,
            "listEncryptionZones" => absent::list_encryption_zones,
            "getEZForPath" => absent::get_ez_for_path,
            "getDataEncryptionKey" => absent::get_data_encryption_key,
            "getDelegationToken" => absent::get_delegation_token,
            "getSnapshottableDirListing" => absent::get_snapshottable_dir_listing,
        )
    }
}

/// HDFS ends its refusals of callers that are no superusers with the operation's name.
fn naming_operation(method: &str, refusal: RpcException) -> RpcException {
    if !refusal.is(class::ACCESS_CONTROL) || !refusal.message.ends_with("Superuser privilege is required") {
        return refusal;
    }
    let operation = if method == "rollEdits" { "rollEditLog" } else { method };
    let message = format!("{} for operation {operation}", refusal.message);
    RpcException::application(class::ACCESS_CONTROL, message)
}

#[async_trait]
impl RpcService for ClientService {
    fn protocols(&self) -> &[&'static str] {
        &[CLIENT_PROTOCOL, NAMENODE_PROTOCOL, REFRESH_PROTOCOL]
    }

    async fn call(&self, context: CallContext, request: Bytes) -> Answer<Bytes> {
        let call = Call {
            service: self,
            context: &context,
            groups: self.admin.groups_of(&context.user).await,
        };
        let answer = self.dispatch(&call, request).await;
        answer.map_err(|refusal| naming_operation(&context.method, refusal))
    }
}
