//! The dataset against HDFS's table of who may write what, and against a model under random operations and restarts.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::block_file::PacketData;
use super::super::scan;
use super::*;

const POOL: &str = "BP-1-127.0.0.1-1";
const STAMP: GenerationStamp = GenerationStamp(1001);
const LENGTH: u64 = 700;

fn open_dataset(dir: &Path) -> Arc<Dataset> {
    open_volumes(&[dir])
}

fn open_volumes(dirs: &[&Path]) -> Arc<Dataset> {
    let open = |dir: &&Path| {
        let (volume, _) = Volume::open(dir, 0, Arc::new(super::super::disk::SystemDisk)).unwrap();
        volume.format(POOL, "CID-1", "uuid-1").unwrap();
        Arc::new(volume)
    };
    let dataset = Dataset::new(dirs.iter().map(open).collect());
    for (index, volume) in dataset.volumes().iter().enumerate() {
        dataset.add_scanned(index, scan::scan(volume).unwrap());
    }
    dataset
}

fn source() -> Vec<u8> {
    (0..4000_u32).map(|i| (i * 7 + i / 256) as u8).collect()
}

/// Appends the source's bytes up to `end`, acknowledged. A packet that starts inside a chunk ends in it.
fn write_to(writer: &mut ReplicaWriter, end: u64) {
    let source = source();
    while writer.length() < end {
        let start = writer.length();
        let stop = end.min((start / 512 + 1) * 512);
        let data = &source[start as usize..stop as usize];
        let mut sums = Vec::new();
        DataChecksum::default().compute(data, &mut sums);
        writer
            .write(&PacketData {
                offset: start,
                data,
                sums: &sums,
                checksum: DataChecksum::default(),
            })
            .unwrap();
    }
    writer.open().set_acked(end);
}

fn assert_content(dataset: &Dataset, id: BlockId, length: u64) {
    let replica = dataset.open_for_read(id, GenerationStamp(0)).unwrap();
    assert_eq!(replica.length, length);
    replica.verify(1024).unwrap();
    let mut data = Vec::new();
    replica.read_data(0, length, &mut data).unwrap();
    assert_eq!(data, source()[..length as usize]);
}

/// One replica of each state, by block id; the writer of the TEMPORARY one must live for it to stay.
struct EachState {
    dataset: Arc<Dataset>,
    _temporary: ReplicaWriter,
    _dir: TempDir,
}

const FINALIZED: BlockId = BlockId(1);
const TEMPORARY: BlockId = BlockId(2);
const RBW: BlockId = BlockId(3);
const RWR: BlockId = BlockId(4);
const RUR: BlockId = BlockId(5);
const ABSENT: BlockId = BlockId(6);
/// The recovery that has hold of the RUR.
const RECOVERY: GenerationStamp = GenerationStamp(1100);

fn each_state() -> EachState {
    let dir = tempfile::tempdir().unwrap();
    let dataset = open_dataset(dir.path());
    let create = |dataset: &Arc<Dataset>, id, state| {
        let mut writer = dataset.create(id, STAMP, state, DataChecksum::default(), 0).unwrap();
        write_to(&mut writer, LENGTH);
        writer
    };
    drop(create(&dataset, RWR, ReplicaState::Rbw));
    drop(dataset);
    let dataset = open_dataset(dir.path());
    dataset
        .finalize(create(&dataset, FINALIZED, ReplicaState::Rbw))
        .unwrap();
    drop(create(&dataset, RBW, ReplicaState::Rbw));
    dataset.finalize(create(&dataset, RUR, ReplicaState::Rbw)).unwrap();
    dataset.begin_recovery(RUR, STAMP, RECOVERY).unwrap();
    let temporary = create(&dataset, TEMPORARY, ReplicaState::Temporary);
    EachState {
        dataset,
        _temporary: temporary,
        _dir: dir,
    }
}

fn claim(new_stamp: u64, bytes: u64) -> Claim {
    Claim {
        generation_stamp: STAMP,
        new_generation_stamp: GenerationStamp(new_stamp),
        min_bytes: bytes,
        max_bytes: bytes,
    }
}

/// The blocks that a purpose gets a writer for, each tried on fresh replicas.
fn accepted(purpose: Reopen) -> Vec<BlockId> {
    let blocks = [FINALIZED, TEMPORARY, RBW, RWR, RUR, ABSENT];
    blocks
        .into_iter()
        .filter(|&id| each_state().dataset.reopen(id, &claim(1002, LENGTH), purpose).is_ok())
        .collect()
}

#[test]
fn table_of_who_may_write_what() {
    assert_eq!(accepted(Reopen::Append), [FINALIZED]);
    assert_eq!(accepted(Reopen::AppendRecovery), [FINALIZED, RBW]);
    assert_eq!(accepted(Reopen::StreamingRecovery), [RBW]);
}

#[test]
fn table_of_what_a_recovery_may_take() {
    let each = each_state();
    let begin = |id, stamp| each.dataset.begin_recovery(id, STAMP, GenerationStamp(stamp));
    for id in [FINALIZED, RBW, RWR] {
        let found = begin(id, 1002).unwrap();
        assert_eq!((found.on_disk, found.generation_stamp), (LENGTH, STAMP));
        assert_ne!(found.state, ReplicaState::Rur, "the holder says what it had before");
    }
    for id in [TEMPORARY, ABSENT] {
        assert_eq!(begin(id, 1002), Err(ReplicaError::NotFound(id)));
    }
    assert!(matches!(
        begin(RUR, RECOVERY.0 - 1),
        Err(ReplicaError::Superseded { .. })
    ));
    assert!(begin(RUR, RECOVERY.0).is_ok(), "a repeated order");
    assert!(begin(RUR, RECOVERY.0 + 1).is_ok());
    let stale = each
        .dataset
        .begin_recovery(RBW, GenerationStamp(1002), GenerationStamp(1003));
    assert!(matches!(stale, Err(ReplicaError::GenerationStamp { .. })));
}

#[test]
fn only_the_newest_recovery_ends() {
    let each = each_state();
    let end = |stamp, length| each.dataset.end_recovery(RUR, GenerationStamp(stamp), length);
    each.dataset.begin_recovery(RUR, STAMP, GenerationStamp(1200)).unwrap();
    assert!(matches!(
        end(RECOVERY.0, LENGTH),
        Err(Error::Replica(ReplicaError::Superseded { .. }))
    ));
    assert!(matches!(
        end(1200, LENGTH + 1),
        Err(Error::Replica(ReplicaError::Length { .. }))
    ));
    assert_content(&each.dataset, RUR, LENGTH);
    let done = end(1200, 600).unwrap();
    assert_eq!((done.block.length, done.block.generation_stamp.0), (600, 1200));
    assert_content(&each.dataset, RUR, 600);
    assert_eq!(end(1200, 600).unwrap(), done, "a repeated order finds it done");
    assert!(end(1200, 500).is_err());
    assert!(
        end(1201, 600).is_err(),
        "nobody changes a replica without taking hold of it first"
    );
}

#[test]
fn recovery_waits_for_the_writer_and_shuts_others_out() {
    let each = each_state();
    let writer = each
        .dataset
        .reopen(RBW, &claim(1002, LENGTH), Reopen::StreamingRecovery)
        .unwrap();
    let begin = || each.dataset.begin_recovery(RBW, STAMP, GenerationStamp(1003));
    assert_eq!(begin(), Err(ReplicaError::WriterBusy(RBW)));
    drop(writer);
    assert_eq!(begin().unwrap().generation_stamp.0, 1002);
    for purpose in [Reopen::AppendRecovery, Reopen::StreamingRecovery] {
        let late = each.dataset.reopen(RBW, &claim(1010, LENGTH), purpose);
        assert!(matches!(
            late,
            Err(Error::Replica(ReplicaError::WrongState {
                found: ReplicaState::Rur,
                ..
            }))
        ));
    }
}

#[test]
fn truncation_to_a_new_block_leaves_the_old_one() {
    let each = each_state();
    let new = BlockId(77);
    let done = each.dataset.copy_recovered(RUR, RECOVERY, 515, new).unwrap();
    assert_eq!(
        (done.block.id, done.block.length, done.block.generation_stamp),
        (new, 515, RECOVERY)
    );
    assert_content(&each.dataset, new, 515);
    assert_content(&each.dataset, RUR, LENGTH);
    assert_eq!(each.dataset.replica(RUR).unwrap().generation_stamp, STAMP);
    assert_eq!(each.dataset.copy_recovered(RUR, RECOVERY, 515, new).unwrap(), done);
}

#[test]
fn nothing_is_created_over_an_existing_replica() {
    let each = each_state();
    for id in [FINALIZED, TEMPORARY, RBW, RWR, RUR] {
        for state in [ReplicaState::Rbw, ReplicaState::Temporary] {
            let created = each.dataset.create(id, STAMP, state, DataChecksum::default(), 0);
            assert!(
                matches!(created, Err(Error::Replica(ReplicaError::AlreadyExists { .. }))),
                "{id} {state}"
            );
        }
    }
    assert_content(&each.dataset, FINALIZED, LENGTH);
    assert!(
        each.dataset
            .create(ABSENT, STAMP, ReplicaState::Temporary, DataChecksum::default(), 0)
            .is_ok()
    );
}

#[test]
fn refused_writers_change_nothing() {
    let each = each_state();
    for purpose in [Reopen::Append, Reopen::AppendRecovery, Reopen::StreamingRecovery] {
        for id in [FINALIZED, RBW] {
            assert!(each.dataset.reopen(id, &claim(1002, LENGTH + 1), purpose).is_err());
            assert_content(&each.dataset, id, LENGTH);
            assert_eq!(each.dataset.replica(id).unwrap().generation_stamp, STAMP);
        }
    }
}

#[tokio::test]
async fn only_one_writer_at_a_time() {
    let each = each_state();
    let writer = each
        .dataset
        .reopen(RBW, &claim(1002, LENGTH), Reopen::StreamingRecovery)
        .unwrap();
    let second = each
        .dataset
        .reopen(RBW, &claim(1003, LENGTH), Reopen::StreamingRecovery);
    assert!(matches!(second, Err(Error::Replica(ReplicaError::WriterBusy(_)))));
    let fenced = writer.cancelled();
    let busy = each.dataset.stop_writer(RBW, Duration::from_millis(10)).await;
    assert_eq!(busy, Err(ReplicaError::WriterBusy(RBW)));
    assert!(fenced.is_cancelled(), "the writer was asked to stop");
    drop(writer);
    each.dataset.stop_writer(RBW, Duration::from_secs(5)).await.unwrap();
    assert!(
        each.dataset
            .reopen(RBW, &claim(1003, LENGTH), Reopen::StreamingRecovery)
            .is_ok()
    );
}

#[test]
fn unfinished_copy_disappears_with_its_writer() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = open_dataset(dir.path());
    drop(
        dataset
            .create(ABSENT, STAMP, ReplicaState::Temporary, DataChecksum::default(), 0)
            .unwrap(),
    );
    assert_eq!(dataset.replica(ABSENT), Err(ReplicaError::NotFound(ABSENT)));
    assert_eq!(
        std::fs::read_dir(dataset.volumes()[0].layout().unwrap().tmp())
            .unwrap()
            .count(),
        0
    );
}

/// The files of a block on a volume.
fn files_on(dataset: &Dataset, volume: usize, id: BlockId) -> usize {
    let paths = dataset.volumes()[volume].finalized_paths(id, STAMP).unwrap();
    usize::from(paths.0.exists()) + usize::from(paths.1.exists())
}

#[test]
fn replica_moves_to_another_volume_as_a_whole_or_not_at_all() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let both = [dirs[0].path(), dirs[1].path()];
    let dataset = open_volumes(&both[..1]);
    for id in [FINALIZED, RUR] {
        let mut writer = dataset
            .create(id, STAMP, ReplicaState::Rbw, DataChecksum::default(), 0)
            .unwrap();
        write_to(&mut writer, LENGTH);
        dataset.finalize(writer).unwrap();
    }
    drop(dataset);
    let dataset = open_volumes(&both);
    let replica = dataset.replica(FINALIZED).unwrap();
    let (old, new) = dataset.move_to_volume(&replica, 0, 1).unwrap().unwrap();
    assert_eq!(old.block, new.block);
    assert_eq!(new.storage_id, dataset.volumes()[1].storage_id());
    assert_eq!(dataset.storage_id(FINALIZED), Some(new.storage_id));
    assert_eq!(
        (files_on(&dataset, 0, FINALIZED), files_on(&dataset, 1, FINALIZED)),
        (0, 2)
    );
    assert_content(&dataset, FINALIZED, LENGTH);
    // Not one that a recovery holds, nor one that has changed since it was chosen.
    let held = dataset.replica(RUR).unwrap();
    dataset.begin_recovery(RUR, STAMP, RECOVERY).unwrap();
    assert_eq!(dataset.move_to_volume(&held, 0, 1).unwrap(), None);
    assert_eq!((files_on(&dataset, 0, RUR), files_on(&dataset, 1, RUR)), (2, 0));
    // A crash before the old files were removed leaves both; one stays.
    let (from, to) = (0, 1);
    let path = |volume: usize| dataset.volumes()[volume].finalized_paths(FINALIZED, STAMP).unwrap();
    std::fs::copy(path(to).0, path(from).0).unwrap();
    std::fs::copy(path(to).1, path(from).1).unwrap();
    drop(dataset);
    let dataset = open_volumes(&both);
    assert_eq!(files_on(&dataset, 0, FINALIZED) + files_on(&dataset, 1, FINALIZED), 2);
    assert_content(&dataset, FINALIZED, LENGTH);
}

#[test]
fn damaged_replica_is_not_moved() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let dataset = open_volumes(&[dirs[0].path(), dirs[1].path()]);
    let mut writer = dataset
        .create(FINALIZED, STAMP, ReplicaState::Rbw, DataChecksum::default(), 0)
        .unwrap();
    write_to(&mut writer, LENGTH);
    let home = dataset.finalize(writer).unwrap().storage_id;
    let from = usize::from(dataset.volumes()[0].storage_id() != home);
    let (data, _) = dataset.volumes()[from].finalized_paths(FINALIZED, STAMP).unwrap();
    let mut stored = std::fs::read(&data).unwrap();
    stored[10] ^= 1;
    std::fs::write(&data, stored).unwrap();
    let replica = dataset.replica(FINALIZED).unwrap();
    let moved = dataset.move_to_volume(&replica, from, 1 - from);
    assert!(matches!(moved, Err(Error::Corrupt { .. })), "{moved:?}");
    assert_eq!(
        (
            files_on(&dataset, from, FINALIZED),
            files_on(&dataset, 1 - from, FINALIZED)
        ),
        (2, 0)
    );
    let tmp = dataset.volumes()[1 - from].layout().unwrap().tmp();
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Write { id: u64, bytes: u64, finish: bool },
    Append { id: u64, bytes: u64, finish: bool },
    RecoverStream { id: u64, bytes: u64 },
    Recover { id: u64, cut: u64 },
    Delete { id: u64 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (id, bytes) = (1_u64..4, 0_u64..900);
    let step = prop_oneof![
        3 => (id.clone(), bytes.clone(), any::<bool>()).prop_map(|(id, bytes, finish)| Step::Write { id, bytes, finish }),
        3 => (id.clone(), bytes.clone(), any::<bool>()).prop_map(|(id, bytes, finish)| Step::Append { id, bytes, finish }),
        2 => (id.clone(), bytes).prop_map(|(id, bytes)| Step::RecoverStream { id, bytes }),
        1 => (id.clone(), 0_u64..600).prop_map(|(id, cut)| Step::Recover { id, cut }),
        1 => id.prop_map(|id| Step::Delete { id }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..25)
}

/// What the model knows of a replica: stamp, bytes, state.
type Model = BTreeMap<u64, (u64, u64, ReplicaState)>;

fn end_write(dataset: &Dataset, mut writer: ReplicaWriter, length: u64, finish: bool) -> ReplicaState {
    write_to(&mut writer, length);
    if finish {
        dataset.finalize(writer).unwrap();
        return ReplicaState::Finalized;
    }
    ReplicaState::Rbw
}

/// Reopens for `purpose` if the model's state is among `states`; otherwise checks that it is refused.
fn reopen(
    dataset: &Arc<Dataset>,
    model: &Model,
    id: u64,
    new_stamp: u64,
    purpose: Reopen,
    states: &[ReplicaState],
) -> Option<(ReplicaWriter, u64)> {
    let known = model.get(&id).copied();
    let (stamp, length, state) = known.unwrap_or((1, 0, ReplicaState::Temporary));
    let claim = Claim {
        generation_stamp: GenerationStamp(stamp),
        new_generation_stamp: GenerationStamp(new_stamp),
        min_bytes: length,
        max_bytes: length,
    };
    let writer = dataset.reopen(BlockId(id), &claim, purpose);
    assert_eq!(
        writer.is_ok(),
        known.is_some() && states.contains(&state),
        "{purpose:?} of {state}: {writer:?}"
    );
    writer.ok().map(|writer| (writer, length))
}

fn apply(dataset: &mut Option<Arc<Dataset>>, dir: &Path, model: &mut Model, stamp: u64, step: &Step) {
    let current = Arc::clone(dataset.as_ref().unwrap());
    match *step {
        Step::Write { id, bytes, finish } => {
            let created = current.create(
                BlockId(id),
                GenerationStamp(stamp),
                ReplicaState::Rbw,
                DataChecksum::default(),
                0,
            );
            assert_eq!(created.is_ok(), !model.contains_key(&id));
            if let Ok(writer) = created {
                model.insert(id, (stamp, bytes, end_write(&current, writer, bytes, finish)));
            }
        }
        Step::Append { id, bytes, finish } => {
            let states = [ReplicaState::Finalized];
            if let Some((writer, length)) = reopen(&current, model, id, stamp, Reopen::Append, &states) {
                let length = (length + bytes).min(source().len() as u64);
                model.insert(id, (stamp, length, end_write(&current, writer, length, finish)));
            }
        }
        Step::RecoverStream { id, bytes } => {
            let states = [ReplicaState::Rbw];
            if let Some((writer, length)) = reopen(&current, model, id, stamp, Reopen::StreamingRecovery, &states) {
                let length = (length + bytes).min(source().len() as u64);
                model.insert(id, (stamp, length, end_write(&current, writer, length, false)));
            }
        }
        Step::Recover { id, cut } => {
            let recovery = GenerationStamp(stamp);
            let begun = current.begin_recovery(BlockId(id), GenerationStamp(0), recovery);
            assert_eq!(begun.is_ok(), model.contains_key(&id), "{begun:?}");
            if let Ok(found) = begun {
                let length = found.on_disk.saturating_sub(cut);
                current.end_recovery(BlockId(id), recovery, length).unwrap();
                model.insert(id, (stamp, length, ReplicaState::Finalized));
            }
        }
        Step::Delete { id } => {
            let gone = current.delete(BlockId(id), GenerationStamp(stamp)).unwrap();
            assert_eq!(gone.is_some(), model.remove(&id).is_some());
        }
        Step::Restart => {
            drop(current);
            *dataset = None;
            *dataset = Some(open_dataset(dir));
            for (_, _, state) in model.values_mut().filter(|(_, _, state)| *state == ReplicaState::Rbw) {
                *state = ReplicaState::Rwr;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order, with restarts in between: states, stamps and bytes are those of the model.
    #[test]
    fn dataset_agrees_with_the_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut dataset = Some(open_dataset(dir.path()));
        let mut model = Model::new();
        for (index, step) in steps.iter().enumerate() {
            apply(&mut dataset, dir.path(), &mut model, 1001 + index as u64, step);
            let current = dataset.as_ref().unwrap();
            prop_assert_eq!(current.len(), model.len());
            for (&id, &(stamp, length, state)) in &model {
                let replica = current.replica(BlockId(id)).unwrap();
                prop_assert_eq!((replica.generation_stamp.0, replica.on_disk, replica.state), (stamp, length, state));
                assert_content(current, BlockId(id), length);
            }
        }
    }
}
