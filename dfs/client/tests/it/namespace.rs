//! Directories, renames, listings.

use quarry_dfs_client::{CreateOptions, Error, RenameOptions};

use crate::cluster::{BLOCK, Cluster, payload, put};

#[tokio::test]
async fn directories_come_and_go() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    client.mkdirs("/a/b/c").await.unwrap();
    client.mkdirs("/a/b/c").await.unwrap();
    assert!(client.status("/a/b").await.unwrap().unwrap().is_directory());
    let refused = client.delete("/a", false).await.unwrap_err();
    assert!(matches!(refused, Error::DirectoryNotEmpty { .. }), "{refused}");
    assert!(client.delete("/a", true).await.unwrap());
    assert!(!client.delete("/a", true).await.unwrap());
    let absent = client.list("/a").await.unwrap_err();
    assert!(absent.is_not_found(), "{absent}");
}

#[tokio::test]
async fn files_in_the_way_are_named() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    put(&client, "/f", payload(1, 1), 1).await;
    let refused = client.mkdirs("/f/d").await.unwrap_err();
    assert!(matches!(refused, Error::ParentNotDirectory { .. }), "{refused}");
    let refused = client.mkdirs("/f").await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    let refused = client.mkdirs("relative").await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
}

#[tokio::test]
async fn rename_replaces_only_when_told() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    put(&client, "/a", payload(1, 1), 1).await;
    put(&client, "/b", payload(2, 2), 1).await;
    let keep = RenameOptions::default();
    let replace = RenameOptions { overwrite: true };
    let refused = client.rename("/a", "/b", keep).await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    client.rename("/a", "/b", replace).await.unwrap();
    assert_eq!(client.status("/b").await.unwrap().unwrap().length, 1);
    let refused = client.rename("/a", "/c", keep).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    let refused = client.rename("/b", "/missing/c", keep).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
}

#[tokio::test]
async fn a_directory_larger_than_a_page_is_listed_whole() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    for i in 0..1100 {
        client
            .create(&format!("/big/{i:04}"), CreateOptions::default())
            .await
            .unwrap()
            .close()
            .await
            .unwrap();
    }
    let names: Vec<String> = client
        .list("/big")
        .await
        .unwrap()
        .iter()
        .map(|s| s.name().to_owned())
        .collect();
    let expected: Vec<String> = (0..1100).map(|i| format!("{i:04}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_located_listing_tells_every_block_of_a_tree() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    for (i, path) in ["/t/a", "/t/b", "/t/sub/c", "/t/sub/sub/d"].into_iter().enumerate() {
        put(&client, path, payload(i as u64, BLOCK as usize + 1), 2).await;
    }
    client.mkdirs("/t/empty").await.unwrap();
    let before = client.figures().namenode_calls;
    let flat = client.list_located("/t", false).await.unwrap();
    assert_eq!(client.figures().namenode_calls - before, 1, "one call for a directory");
    assert_eq!(
        flat.iter().map(|f| f.status.path.as_str()).collect::<Vec<_>>(),
        ["/t/a", "/t/b"]
    );
    let tree = client.list_located("/t", true).await.unwrap();
    assert_eq!(tree.len(), 4);
    for file in &tree {
        assert_eq!(file.blocks.length, BLOCK + 1);
        assert_eq!(file.blocks.blocks.len(), 2);
        for block in &file.blocks.blocks {
            let mut holders: Vec<_> = block.datanodes.iter().map(|d| d.uuid.clone()).collect();
            holders.sort();
            let mut expected = vec![cluster.datanode_uuid(0), cluster.datanode_uuid(1)];
            expected.sort();
            assert_eq!(holders, expected);
            assert!(block.datanodes.iter().all(|d| d.ip == "127.0.0.1" && d.xfer_port > 0));
        }
    }
    let one = client.list_located("/t/a", true).await.unwrap();
    assert_eq!((one.len(), one[0].status.path.as_str()), (1, "/t/a"));
    let before = client.figures().namenode_calls;
    assert_eq!(client.open_located(&one[0]).read_range(5..10).await.unwrap().len(), 5);
    assert_eq!(
        client.figures().namenode_calls,
        before,
        "located files are read without a call"
    );
    assert!(client.list_located("/none", true).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn summaries_add_up() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    put(&client, "/s/a", payload(1, 1000), 2).await;
    put(&client, "/s/d/b", payload(2, 500), 1).await;
    let summary = client.content_summary("/s").await.unwrap();
    assert_eq!(
        (summary.length, summary.file_count, summary.directory_count),
        (1500, 2, 2)
    );
    assert_eq!(summary.space_consumed, 2500);
    let stats = client.fs_stats().await.unwrap();
    assert!(stats.capacity > 0 && stats.remaining > 0, "{stats:?}");
}
