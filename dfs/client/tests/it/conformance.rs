//! `object_store`'s own suite against the store.

use std::sync::Arc;

use object_store::integration;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RenameOptions, RenameTargetMode,
};
use quarry_dfs_client::{DfsObjectStore, ReadStats};

use crate::cluster::{BLOCK, Cluster, payload};

#[tokio::test]
async fn put_get_delete_list() {
    let cluster = Cluster::start(1).await;
    let store = DfsObjectStore::new(cluster.client(), "/").unwrap();
    integration::put_get_delete_list(&store).await;
    integration::list_with_offset_exclusivity(&store).await;
    integration::list_uses_directories_correctly(&store).await;
    integration::list_with_delimiter(&store).await;
}

#[tokio::test]
async fn conditions_and_renames() {
    let cluster = Cluster::start(1).await;
    let store = DfsObjectStore::new(cluster.client(), "/store").unwrap();
    integration::get_opts(&store).await;
    integration::put_opts(&store, false).await;
    integration::put_get_attributes(&store).await;
    integration::rename_and_copy(&store).await;
    integration::copy_if_not_exists(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
    let absent = integration::get_nonexistent_object(&store, None).await;
    assert!(matches!(absent, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn multipart() {
    let cluster = Cluster::start(1).await;
    let store = DfsObjectStore::new(cluster.client(), "/store").unwrap();
    integration::stream_get(&store).await;
    integration::multipart_race_condition(&store, true).await;
    integration::multipart_out_of_order(&store).await;
}

#[tokio::test]
async fn of_many_creators_one_wins() {
    let cluster = Cluster::start(1).await;
    let store = Arc::new(DfsObjectStore::new(cluster.client(), "/").unwrap());
    let path = Path::from("catalog/entry");
    let puts = (0..8u8).map(|i| {
        let (store, path) = (Arc::clone(&store), path.clone());
        async move {
            store
                .put_opts(&path, PutPayload::from(vec![i]), PutMode::Create.into())
                .await
                .map(|_| i)
        }
    });
    let results = futures::future::join_all(puts).await;
    let winners: Vec<u8> = results.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap()[..], winners[..]);
}

#[tokio::test]
async fn rename_without_overwrite_keeps_the_target() {
    let cluster = Cluster::start(1).await;
    let store = DfsObjectStore::new(cluster.client(), "/").unwrap();
    let (a, b) = (Path::from("a"), Path::from("deep/b"));
    store.put(&a, "one".into()).await.unwrap();
    store.put(&b, "two".into()).await.unwrap();
    let create = RenameOptions {
        target_mode: RenameTargetMode::Create,
        ..RenameOptions::default()
    };
    let refused = store.rename_opts(&a, &b, create.clone()).await.unwrap_err();
    assert!(
        matches!(refused, object_store::Error::AlreadyExists { .. }),
        "{refused}"
    );
    let missing_directory = Path::from("not/there/c");
    store.rename_opts(&a, &missing_directory, create).await.unwrap();
    assert_eq!(
        store.get(&missing_directory).await.unwrap().bytes().await.unwrap(),
        "one"
    );
    assert_eq!(store.get(&b).await.unwrap().bytes().await.unwrap(), "two");
}

#[tokio::test]
async fn a_hundred_ranges_cost_few_namenode_calls() {
    let cluster = Cluster::start(1).await;
    let stats = Arc::new(ReadStats::default());
    let store = DfsObjectStore::new(cluster.client(), "/")
        .unwrap()
        .with_stats(Arc::clone(&stats));
    let (path, data) = (Path::from("table/part-0"), payload(1, 3 * BLOCK as usize));
    store.put(&path, data.clone().into()).await.unwrap();
    let before = store.client().figures().namenode_calls;
    for i in 0..100u64 {
        let range = i * 30_000..i * 30_000 + 1000;
        let read = store.get_range(&path, range.clone()).await.unwrap();
        assert_eq!(read, data.slice(range.start as usize..range.end as usize));
    }
    let calls = store.client().figures().namenode_calls - before;
    assert!(calls <= 10, "{calls} calls for 100 ranges");
    assert_eq!((stats.local_bytes(), stats.remote_bytes()), (0, 100_000));
}

#[tokio::test]
async fn a_replaced_object_is_seen_by_another_client_within_its_ranges() {
    let cluster = Cluster::start(1).await;
    let (ours, theirs) = (cluster.client(), cluster.client());
    let (ours, theirs) = (
        DfsObjectStore::new(ours, "/").unwrap(),
        DfsObjectStore::new(theirs, "/").unwrap(),
    );
    let path = Path::from("a");
    ours.put(&path, payload(1, 1000).into()).await.unwrap();
    theirs.get_range(&path, 0..10).await.unwrap();
    let longer = payload(2, 5000);
    ours.put(&path, longer.clone().into()).await.unwrap();
    // Beyond the end of what was remembered: asks again.
    let options = GetOptions::new().with_range(Some(GetRange::Bounded(4000..5000)));
    let got = theirs.get_opts(&path, options).await.unwrap();
    assert_eq!(got.meta.size, 5000);
    assert_eq!(got.bytes().await.unwrap(), longer.slice(4000..));
}

#[tokio::test]
async fn an_abandoned_upload_leaves_nothing() {
    let cluster = Cluster::start(1).await;
    let store = DfsObjectStore::new(cluster.client(), "/").unwrap();
    let mut upload = store.put_multipart(&Path::from("d/x")).await.unwrap();
    upload.put_part(payload(1, 100).into()).await.unwrap();
    assert_eq!(store.client().list("/d").await.unwrap().len(), 1, "the hidden file");
    drop(upload);
    crate::cluster::eventually("the hidden file is deleted", || async {
        store.client().list("/d").await.unwrap().is_empty()
    })
    .await;
}
