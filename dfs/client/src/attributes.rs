//! What a caller says or learns about a file beyond its bytes: extended attributes, quotas, storage.

use std::fmt;

use quarry_dfs_wire::proto::hadoop::hdfs as pb;

use crate::error::{Error, Result};

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XAttr {
    /// The name with its namespace: `user.origin`.
    pub name: String,
    /// The value; empty where only names were asked for.
    pub value: Vec<u8>,
}

/// Whether an extended attribute may or must be there before it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XAttrMode {
    /// Either.
    #[default]
    CreateOrReplace,
    /// It must not be there.
    Create,
    /// It must be there.
    Replace,
}

impl XAttrMode {
    pub(crate) fn flags(self) -> u32 {
        let (create, replace) = (pb::XAttrSetFlagProto::XattrCreate, pb::XAttrSetFlagProto::XattrReplace);
        match self {
            Self::CreateOrReplace => create as u32 | replace as u32,
            Self::Create => create as u32,
            Self::Replace => replace as u32,
        }
    }
}

const XATTR_NAMESPACES: [(&str, pb::x_attr_proto::XAttrNamespaceProto); 5] = [
    ("user", pb::x_attr_proto::XAttrNamespaceProto::User),
    ("trusted", pb::x_attr_proto::XAttrNamespaceProto::Trusted),
    ("security", pb::x_attr_proto::XAttrNamespaceProto::Security),
    ("system", pb::x_attr_proto::XAttrNamespaceProto::System),
    ("raw", pb::x_attr_proto::XAttrNamespaceProto::Raw),
];

/// Takes `user.origin` apart, refusing what HDFS's client refuses, in its words.
pub(crate) fn xattr_to_proto(path: &str, name: &str, value: Option<&[u8]>) -> Result<pb::XAttrProto> {
    let refused = |message: &str| Error::Invalid {
        path: path.to_owned(),
        message: message.to_owned(),
    };
    let known = name.split_once('.').and_then(|(space, rest)| {
        let space = space.to_ascii_lowercase();
        let found = XATTR_NAMESPACES.iter().find(|(known, _)| *known == space)?;
        Some((found.1, rest))
    });
    let (namespace, rest) = known.ok_or_else(|| {
        refused("An XAttr name must be prefixed with user/trusted/security/system/raw, followed by a '.'")
    })?;
    if rest.is_empty() {
        return Err(refused("XAttr name cannot be empty."));
    }
    Ok(pb::XAttrProto {
        namespace: namespace as i32,
        name: rest.to_owned(),
        value: value.map(|value| value.to_vec().into()),
    })
}

pub(crate) fn xattr_from_proto(proto: pb::XAttrProto) -> XAttr {
    let namespace = proto.namespace();
    let known = XATTR_NAMESPACES.iter().find(|(_, known)| *known == namespace);
    XAttr {
        name: format!("{}.{}", known.map_or("user", |(name, _)| name), proto.name),
        value: proto.value.map(|value| value.to_vec()).unwrap_or_default(),
    }
}

/// What to do with a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaChange {
    /// Leaves it as it is.
    #[default]
    Keep,
    /// Removes it.
    Clear,
    /// Names, or bytes of all replicas.
    Set(u64),
}

impl QuotaChange {
    /// HDFS's `Long.MAX_VALUE` keeps, its -1 removes.
    pub(crate) fn to_wire(self) -> u64 {
        match self {
            Self::Keep => i64::MAX as u64,
            Self::Clear => u64::MAX,
            Self::Set(quota) => quota,
        }
    }
}

/// A quota as the wire has it: HDFS's -1 means that there is none.
pub(crate) fn quota_from_wire(quota: u64) -> Option<u64> {
    (quota <= i64::MAX as u64).then_some(quota)
}

/// A kind of storage medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorageType {
    /// Spinning disk, and what nobody said otherwise of.
    Disk,
    /// Flash.
    Ssd,
    /// Dense and slow.
    Archive,
    /// Memory.
    RamDisk,
    /// Storage outside the cluster.
    Provided,
    /// Non-volatile memory.
    NvDimm,
}

impl StorageType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Disk,
        Self::Ssd,
        Self::Archive,
        Self::RamDisk,
        Self::Provided,
        Self::NvDimm,
    ];

    /// HDFS's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "DISK",
            Self::Ssd => "SSD",
            Self::Archive => "ARCHIVE",
            Self::RamDisk => "RAM_DISK",
            Self::Provided => "PROVIDED",
            Self::NvDimm => "NVDIMM",
        }
    }

    /// The type of that name, in letters of either size.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    pub(crate) fn to_proto(self) -> pb::StorageTypeProto {
        match self {
            Self::Disk => pb::StorageTypeProto::Disk,
            Self::Ssd => pb::StorageTypeProto::Ssd,
            Self::Archive => pb::StorageTypeProto::Archive,
            Self::RamDisk => pb::StorageTypeProto::RamDisk,
            Self::Provided => pb::StorageTypeProto::Provided,
            Self::NvDimm => pb::StorageTypeProto::Nvdimm,
        }
    }

    /// The type of that number; a disk if a later HDFS has more of them.
    pub(crate) fn from_number(number: i32) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.to_proto() as i32 == number);
        known.unwrap_or(Self::Disk)
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A quota for one kind of medium, and what is used of it, in bytes of all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeQuota {
    /// The medium.
    pub kind: StorageType,
    /// The quota, if there is one.
    pub quota: Option<u64>,
    /// Bytes used.
    pub consumed: u64,
}

pub(crate) fn type_quotas(infos: Option<pb::StorageTypeQuotaInfosProto>) -> Vec<TypeQuota> {
    let infos = infos.map(|infos| infos.type_quota_info).unwrap_or_default();
    let quota = |info: pb::StorageTypeQuotaInfoProto| TypeQuota {
        kind: StorageType::from_number(info.r#type() as i32),
        quota: quota_from_wire(info.quota),
        consumed: info.consumed,
    };
    infos.into_iter().map(quota).collect()
}

/// On which media a file's replicas belong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoragePolicy {
    /// Its number.
    pub id: u8,
    /// Its name: `HOT`, `COLD`, ...
    pub name: String,
    /// The media of new replicas, in order; the last goes for all further ones.
    pub creation: Vec<StorageType>,
    /// What may be used instead when a file is written.
    pub creation_fallback: Vec<StorageType>,
    /// What may be used instead when replicas are restored.
    pub replication_fallback: Vec<StorageType>,
}

pub(crate) fn storage_policy(proto: pb::BlockStoragePolicyProto) -> StoragePolicy {
    let types = |types: pb::StorageTypesProto| {
        let numbers = types.storage_types.into_iter();
        numbers.map(StorageType::from_number).collect::<Vec<_>>()
    };
    StoragePolicy {
        id: proto.policy_id as u8,
        name: proto.name,
        creation: types(proto.creation_policy),
        creation_fallback: proto.creation_fallback_policy.map(types).unwrap_or_default(),
        replication_fallback: proto.replication_fallback_policy.map(types).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn extended_attributes_need_a_known_namespace() {
        let proto = xattr_to_proto("/f", "User.origin.x", Some(b"v")).unwrap();
        assert_eq!(xattr_from_proto(proto).name, "user.origin.x");
        for (name, words) in [
            ("origin", "must be prefixed"),
            ("x.y", "must be prefixed"),
            ("user.", "cannot be empty"),
        ] {
            let error = xattr_to_proto("/f", name, None).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn minus_one_is_no_quota() {
        assert_eq!(quota_from_wire(u64::MAX), None);
        assert_eq!(quota_from_wire(7), Some(7));
        assert_eq!(QuotaChange::Clear.to_wire(), u64::MAX);
        assert_eq!(QuotaChange::Keep.to_wire(), i64::MAX as u64);
    }

    #[test]
    fn media_go_by_their_names() {
        for kind in StorageType::ALL {
            assert_eq!(StorageType::from_name(&kind.name().to_lowercase()), Some(kind));
            assert_eq!(StorageType::from_number(kind.to_proto() as i32), kind);
        }
    }
}
