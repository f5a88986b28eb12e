//! Writing and reading files.

use quarry_dfs_client::{CreateOptions, Error};

use crate::cluster::{BLOCK, Cluster, get, payload, put};

#[tokio::test]
async fn files_of_telling_sizes_come_back_equal() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let block = BLOCK as usize;
    for size in [
        0,
        1,
        511,
        512,
        513,
        block - 1,
        block,
        block + 1,
        2 * block,
        5 * block + 123,
    ] {
        let (path, data) = (format!("/sizes/{size}"), payload(size as u64, size));
        let status = put(&client, &path, data.clone(), 3).await;
        assert_eq!(status.length, size as u64);
        assert_eq!(client.status(&path).await.unwrap().unwrap(), status);
        let blocks = client.block_locations(&path).await.unwrap();
        assert_eq!(blocks.blocks.len(), size.div_ceil(block));
        assert!(!blocks.under_construction);
        for located in &blocks.blocks {
            assert_eq!(
                located.datanodes.len(),
                3,
                "{path}: a replica on each DataNode when close returns"
            );
        }
        assert_eq!(get(&client, &path).await, data, "{path}");
    }
    assert_eq!(
        client.figures().complete_repeats,
        0,
        "the NameNode holds `complete` until it can say yes"
    );
}

#[tokio::test]
async fn a_file_is_read_by_a_client_that_did_not_write_it() {
    let cluster = Cluster::start(1).await;
    let data = payload(7, 100_000);
    let status = put(&cluster.client(), "/a/b/c", data.clone(), 1).await;
    assert_eq!(
        (status.owner.as_str(), status.replication, status.block_size),
        ("tester", 1, BLOCK)
    );
    assert_eq!(get(&cluster.client(), "/a/b/c").await, data);
}

#[tokio::test]
async fn ranges_outside_the_file_are_refused() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    put(&client, "/f", payload(1, 100), 1).await;
    let reader = client.open("/f").await.unwrap();
    assert_eq!(reader.read_range(100..100).await.unwrap().len(), 0);
    for range in [0..101, 101..101, 200..300] {
        let refused = reader.read_range(range).await.unwrap_err();
        assert!(matches!(refused, Error::OutOfRange { length: 100, .. }), "{refused}");
    }
    let absent = client.open("/g").await.unwrap_err();
    assert!(absent.is_not_found(), "{absent}");
}

#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_writes() {
    let cluster = Cluster::start(1).await;
    let (first, second) = (cluster.client(), cluster.client());
    let mut writer = first.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(payload(1, 10)).await.unwrap();
    let refused = second.create("/f", CreateOptions::default()).await.unwrap_err();
    assert!(matches!(refused, Error::LeaseConflict { .. }), "{refused}");
    writer.close().await.unwrap();
    let refused = second.create("/f", CreateOptions::default()).await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    assert_eq!(get(&second, "/f").await, payload(1, 10));
}

#[tokio::test]
async fn a_writer_whose_file_was_deleted_is_told() {
    let cluster = Cluster::start(1).await;
    let (writing, deleting) = (cluster.client(), cluster.client());
    let mut writer = writing.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(payload(1, 10)).await.unwrap();
    assert!(deleting.delete("/f", false).await.unwrap());
    let lost = writer.close().await.unwrap_err();
    assert!(lost.is_not_found(), "{lost}");
}

#[tokio::test]
async fn an_aborted_file_is_gone() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let mut writer = client.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(payload(1, 2 * BLOCK as usize)).await.unwrap();
    writer.abort().await.unwrap();
    assert_eq!(client.status("/f").await.unwrap(), None);
}

#[tokio::test]
async fn creation_keeps_its_options() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    let lonely = CreateOptions {
        create_parent: false,
        ..CreateOptions::default()
    };
    let refused = client.create("/no/parent/f", lonely).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    let odd = CreateOptions {
        block_size: Some(1000),
        ..CreateOptions::default()
    };
    let refused = client.create("/f", odd).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused}");
    let options = CreateOptions {
        permission: 0o600,
        replication: Some(2),
        block_size: Some(2 * BLOCK),
        ..CreateOptions::default()
    };
    let status = client.create("/f", options).await.unwrap().close().await.unwrap();
    assert_eq!(
        (status.permission, status.replication, status.block_size),
        (0o600, 2, 2 * BLOCK)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client();
    let writers = (0..16u64).map(|i| {
        let client = client.clone();
        tokio::spawn(async move {
            let data = payload(i, 3 * BLOCK as usize / 2 + i as usize);
            put(&client, &format!("/many/{i:02}"), data.clone(), 2).await;
            assert_eq!(get(&client, &format!("/many/{i:02}")).await, data);
        })
    });
    for done in futures::future::join_all(writers).await {
        done.unwrap();
    }
    assert_eq!(client.list("/many").await.unwrap().len(), 16);
    assert_eq!(client.figures().complete_repeats, 0);
}

#[tokio::test]
async fn checksums_are_made_by_the_datanodes_and_tell_files_apart() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client();
    let block = BLOCK as usize;
    put(&client, "/a", payload(1, 2 * block + 1), 1).await;
    put(&client, "/b", payload(1, 2 * block + 1), 2).await;
    put(&client, "/c", payload(2, 2 * block + 1), 1).await;
    let (a, b, c) = (
        client.checksum("/a").await.unwrap(),
        client.checksum("/b").await.unwrap(),
        client.checksum("/c").await.unwrap(),
    );
    assert_eq!(a, b);
    assert_ne!(a, c);
    assert_eq!(a.algorithm(), format!("MD5-of-{}MD5-of-512CRC32C", block / 512));
    // What Apache HDFS 3.5 answered for the same bytes and block size.
    for (size, apache) in [
        (
            0,
            "MD5-of-0MD5-of-0CRC32 00000000000000000000000070bc8f4b72a86921468bf8e8441dce51",
        ),
        (
            513,
            "MD5-of-0MD5-of-512CRC32C 000002000000000000000000d2afda730a8efc50a507bd6134c42c63",
        ),
        (
            block + 1,
            "MD5-of-2048MD5-of-512CRC32C 0000020000000000000008000bf06266e77b0fc74465da27ed166ea8",
        ),
        (
            5 * block + 123,
            "MD5-of-2048MD5-of-512CRC32C 0000020000000000000008002d42a5f98c70083b6a5432fae7c58da5",
        ),
    ] {
        put(&client, "/same", payload(size as u64, size), 2).await;
        assert_eq!(client.checksum("/same").await.unwrap().to_string(), apache);
    }
}
