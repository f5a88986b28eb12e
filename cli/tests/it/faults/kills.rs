//! Kill -9 of DataNodes and NameNode, again and again, while writers write.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::process::Signal;

use super::disks::check_replicas;
use super::oracle::{Progress, check, client, wait_for_full_replication, write_files};
use crate::support::{Home, Local, eventually, is_alive, signal};

const WRITERS: u64 = 8;
const KILLS: usize = 20;
const NODES: usize = 5;
const REPLICATION: usize = 3;
/// Acknowledged to each writer between two kills: every kill meets writers at work, and the run proves that each goes on after
/// it. More than one `hsync` can cover (three records, 450 kB), so that the last was asked for after the kill: a writer that lost a
/// replica has a whole pipeline again before it can lose the next.
const BYTES_BETWEEN_KILLS: u64 = 512 << 10;

/// Who is killed: by a seed that is printed, so that a failing order can be played again with QUARRY_CHAOS_SEED.
struct Victims(u64);

impl Victims {
    fn new() -> Self {
        let seed = std::env::var("QUARRY_CHAOS_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        println!("replay with QUARRY_CHAOS_SEED={seed}");
        Self(seed | 1)
    }

    /// The next victim: a node's index, or none for the NameNode (about one in five).
    fn next(&mut self) -> Option<usize> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let n = (self.0 % (NODES as u64 + 1)) as usize;
        (n < NODES).then_some(n)
    }
}

fn pid_of(local: &Local, victim: Option<usize>) -> u32 {
    let endpoints = local.endpoints();
    victim.map_or(endpoints.namenode.pid, |node| endpoints.datanodes[node].pid)
}

/// Kills a role with SIGKILL and waits until its supervisor has it running again.
fn kill_and_wait(local: &Local, victim: Option<usize>) {
    let before = pid_of(local, victim);
    assert!(is_alive(before), "the victim {victim:?} runs before it is killed");
    signal(before, Signal::KILL);
    eventually("a killed role runs again", || {
        let now = pid_of(local, victim);
        (now != before && is_alive(now)).then_some(())
    });
    assert!(!is_alive(before), "the killed process is gone");
}

#[test]
fn every_acknowledged_byte_survives_twenty_kills_under_eight_writers() {
    let home = Home::new();
    let nodes = NODES.to_string();
    let local = Local::start(&home, &home.path("cluster"), &["--nodes", &nodes, "--processes"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let namenode = local.endpoints().namenode.rpc;
    let progress = Arc::new(Progress::of(WRITERS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| runtime.spawn(write_files(client(namenode), writer, Arc::clone(&progress))))
        .collect();

    let mut victims = Victims::new();
    let order: Vec<_> = std::iter::repeat_with(|| victims.next()).take(KILLS).collect();
    println!("kills, by node: {order:?}");
    for victim in order {
        progress.wait_for_more(BYTES_BETWEEN_KILLS);
        kill_and_wait(&local, victim);
    }
    progress.wait_for_more(BYTES_BETWEEN_KILLS);
    progress.stop.store(true, Ordering::SeqCst);

    runtime.block_on(async {
        let (mut files, mut errors) = (Vec::new(), Vec::new());
        for writer in writers {
            let (written, failed) = writer.await.unwrap();
            files.extend(written);
            errors.extend(failed);
        }
        // Two replicas of a block are never down at once, so a pipeline always has someone to go on with.
        assert!(errors.is_empty(), "writes failed: {errors:?}");
        let client = client(namenode);
        for file in &files {
            check(&client, file).await;
        }
        wait_for_full_replication(&client).await;
        for file in &files {
            check_replicas(&client, &local, file, REPLICATION).await;
        }
        let bytes: u64 = files.iter().map(|file| file.acknowledged).sum();
        println!("{} files, {bytes} bytes acknowledged, none lost", files.len());
    });
}
