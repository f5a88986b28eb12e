//! The operations behind a file system's commands: patterns, trash, pages, times, checksums, reports.

use std::time::Duration;

use quarry_dfs_client::{
    ChecksumCombine, ChecksumType, DataNodeState, Error, FileChecksum, SafeModeAction, StorageType, Trashed,
};

use crate::cluster::{BLOCK, Cluster, USER, get, payload, put};

#[tokio::test]
async fn patterns_find_what_they_find_in_hdfs() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    for path in ["/g/a1/x", "/g/a2/x", "/g/a2/y", "/g/b1/x", "/g/file", "/g/odd*name"] {
        put(&client, path, payload(1, 1), 1).await;
    }
    for (pattern, expected) in [
        ("/g/a*/x", &["/g/a1/x", "/g/a2/x"][..]),
        ("/g/*/y", &["/g/a2/y"]),
        ("/g/{a2,b1}/*", &["/g/a2/x", "/g/a2/y", "/g/b1/x"]),
        ("/g/{a2/y,b1/x}", &["/g/a2/y", "/g/b1/x"]),
        ("/g/[^a]1/x", &["/g/b1/x"]),
        ("/g/a?", &["/g/a1", "/g/a2"]),
        ("/g/odd\\*name", &["/g/odd*name"]),
        ("/g/a1", &["/g/a1"]),
        ("/g/file/*", &[]),
        ("/g/*/nothing", &[]),
        ("/", &["/"]),
        ("/*/file", &["/g/file"]),
    ] {
        let found = client.glob(pattern).await.unwrap().unwrap();
        let found: Vec<_> = found.iter().map(|status| status.path.as_str()).collect();
        assert_eq!(found, expected, "{pattern}");
    }
    assert_eq!(
        client.glob("/g/nothing").await.unwrap(),
        None,
        "no wildcard and not there"
    );
    let refused = client.glob("/g/{a").await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
}

#[tokio::test]
async fn the_trash_keeps_places_and_survives_collisions() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let current = format!("/user/{USER}/.Trash/Current");
    let trashed = |moved: Trashed| match moved {
        Trashed::Moved(path) => path,
        Trashed::AlreadyInTrash => panic!("must move"),
    };
    put(&client, "/d/f", payload(1, 10), 1).await;
    assert_eq!(
        trashed(client.move_to_trash("/d/f").await.unwrap()),
        format!("{current}/d/f")
    );
    assert!(client.status("/d/f").await.unwrap().is_none());
    put(&client, "/d/f", payload(2, 20), 1).await;
    let second = trashed(client.move_to_trash("/d/f").await.unwrap());
    assert!(
        second.starts_with(&format!("{current}/d/f")) && second.len() > current.len() + 4,
        "{second}"
    );
    assert_eq!(get(&client, &format!("{current}/d/f")).await, payload(1, 10));
    assert_eq!(get(&client, &second).await, payload(2, 20));
    // A directory where a file of that name lies in the trash.
    put(&client, "/e", payload(3, 3), 1).await;
    client.move_to_trash("/e").await.unwrap();
    put(&client, "/e/f", payload(4, 4), 1).await;
    let third = trashed(client.move_to_trash("/e/f").await.unwrap());
    assert_eq!(get(&client, &third).await, payload(4, 4));

    assert_eq!(client.move_to_trash(&second).await.unwrap(), Trashed::AlreadyInTrash);
    let refused = client.move_to_trash("/user").await.unwrap_err();
    assert!(
        refused.remote_message().unwrap().contains("contains the trash"),
        "{refused}"
    );
    assert!(client.move_to_trash("/nowhere").await.unwrap_err().is_not_found());

    let checkpoint = client.checkpoint_trash().await.unwrap().unwrap();
    assert!(client.status(&format!("{checkpoint}/d/f")).await.unwrap().is_some());
    assert_eq!(
        client.checkpoint_trash().await.unwrap(),
        None,
        "nothing is there to keep"
    );
    assert_eq!(
        client
            .delete_trash_checkpoints(Duration::from_secs(3600))
            .await
            .unwrap(),
        0
    );
    put(&client, "/later", payload(5, 5), 1).await;
    client.move_to_trash("/later").await.unwrap();
    assert_eq!(client.empty_trash().await.unwrap(), 2);
    assert!(client.list(&client.trash_root()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_directory_comes_in_pages() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    for i in 0..1005 {
        client.mkdirs(&format!("/big/{i:04}")).await.unwrap();
    }
    let mut pages = client.list_pages("/big").unwrap();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        sizes.push(page.len());
    }
    assert_eq!(sizes.iter().sum::<usize>(), 1005);
    assert!(sizes.len() > 1, "{sizes:?}");
    let mut absent = client.list_located_pages("/absent").unwrap();
    assert!(absent.next().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn checksums_do_or_do_not_depend_on_the_blocks() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    let data = payload(4, 3 * BLOCK as usize + 1000);
    put(&client, "/many", data.clone(), 2).await;
    let crc = |bytes: &[u8]| quarry_dfs_wire::checksum::DataChecksum::default().chunk_checksum(bytes);
    let composite = |length: usize| FileChecksum::Composite {
        kind: ChecksumType::Crc32c,
        crc: crc(&data[..length]),
    };
    for length in [data.len(), 700, BLOCK as usize, BLOCK as usize + 1] {
        let made = client
            .checksum_as("/many", ChecksumCombine::Composite, length as u64)
            .await
            .unwrap();
        assert_eq!(made, composite(length), "{length}");
    }
    let md5 = client.checksum("/many").await.unwrap().algorithm();
    assert_eq!(md5, format!("MD5-of-{}MD5-of-512CRC32C", BLOCK / 512));
    put(&client, "/empty", payload(4, 0), 2).await;
    let empty = client
        .checksum_as("/empty", ChecksumCombine::Composite, u64::MAX)
        .await
        .unwrap();
    assert_eq!(empty, client.checksum("/empty").await.unwrap());
}

#[tokio::test]
async fn times_and_figures() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    put(&client, "/f", payload(1, 1000), 2).await;
    client.set_times("/f", Some(1_234_000), None).await.unwrap();
    let status = client.status("/f").await.unwrap().unwrap();
    assert_eq!(status.modification_time_ms, 1_234_000);
    assert!(status.access_time_ms > 1_234_000, "left as it was");
    let summary = client.content_summary("/").await.unwrap();
    assert_eq!(
        (summary.length, summary.file_count, summary.space_consumed),
        (1000, 1, 2000)
    );
    let live = client.datanode_report(DataNodeState::Live).await.unwrap();
    assert_eq!(live.len(), 2);
    assert!(live.iter().all(|node| node.capacity > 0));
    assert!(client.datanode_report(DataNodeState::Dead).await.unwrap().is_empty());
    assert!(!client.safe_mode(SafeModeAction::Get).await.unwrap());
    assert!(client.safe_mode(SafeModeAction::Enter).await.unwrap());
    let refused = client.mkdirs("/d").await.unwrap_err();
    assert!(matches!(refused, Error::NotReady { .. }), "{refused}");
    assert!(!client.safe_mode(SafeModeAction::Leave).await.unwrap());
    client.check_access("/f", 4).await.unwrap();
    assert!(client.is_file_closed("/f").await.unwrap());
    assert_eq!(StorageType::from_name("ssd"), Some(StorageType::Ssd));
}
