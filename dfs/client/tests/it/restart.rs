//! What was acknowledged is there after a restart.

use quarry_dfs_client::CreateOptions;

use crate::cluster::{BLOCK, Cluster, eventually, get, payload, put};

#[tokio::test]
async fn closed_files_outlive_a_restart_of_everything() {
    let mut cluster = Cluster::start(3).await;
    let data = payload(9, 2 * BLOCK as usize + 5);
    let status = put(&cluster.client(), "/d/f", data.clone(), 3).await;
    put(&cluster.client(), "/d/empty", payload(0, 0), 3).await;
    for i in 0..3 {
        cluster.stop_datanode(i).await;
    }
    cluster.stop_namenode().await;
    cluster.start_namenode().await;
    for i in 0..3 {
        cluster.start_datanode(i).await;
    }
    let client = cluster.client();
    assert_eq!(client.status("/d/f").await.unwrap().unwrap(), status);
    eventually("the blocks were reported", || async {
        let blocks = client.block_locations("/d/f").await.unwrap();
        blocks.blocks.iter().all(|b| b.datanodes.len() == 3)
    })
    .await;
    assert_eq!(get(&client, "/d/f").await, data);
    assert_eq!(get(&client, "/d/empty").await.len(), 0);
    put(&client, "/d/new", data.clone(), 3).await;
    assert_eq!(get(&client, "/d/new").await, data);
}

#[tokio::test]
async fn a_writer_goes_on_after_a_restart_of_the_namenode() {
    let mut cluster = Cluster::start(2).await;
    let client = cluster.client();
    let data = payload(8, 3 * BLOCK as usize);
    let mut writer = client.create("/f", CreateOptions::default()).await.unwrap();
    writer.write(data.slice(..BLOCK as usize / 2)).await.unwrap();
    cluster.stop_namenode().await;
    cluster.start_namenode().await;
    writer.write(data.slice(BLOCK as usize / 2..)).await.unwrap();
    writer.close().await.unwrap();
    assert_eq!(get(&client, "/f").await, data);
}
