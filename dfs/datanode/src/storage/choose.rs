//! Which volume a new replica goes to. Pure.
//!
//! In turn, as long as the volumes have about the same room; otherwise three of four go to those with more of it, so that a new disk
//! fills up faster without taking all the writes. HDFS calls this the available space policy.

/// Volumes whose room differs by no more than this are about the same.
const ABOUT_THE_SAME: u64 = 10 << 30;
/// Of this many replicas all but one go to the roomier volumes.
const ROOMIER_TURNS: usize = 4;

/// Chooses among volumes with `rooms` bytes left (`None`: failed) for a replica that may grow to `needed` bytes. `turn` counts the
/// choices made.
///
/// When no volume has room for all of it, the one with the most is chosen: most blocks do not become as long as they may. `None`:
/// none has any room.
pub(crate) fn choose(rooms: &[Option<u64>], needed: u64, turn: usize) -> Option<usize> {
    let usable = |least: u64| -> Vec<(usize, u64)> {
        let known = rooms
            .iter()
            .enumerate()
            .filter_map(|(index, room)| Some((index, (*room)?)));
        known.filter(|(_, room)| *room >= least.max(1)).collect()
    };
    let fitting = usable(needed);
    if fitting.is_empty() {
        let most = usable(1).into_iter().max_by_key(|(_, room)| *room);
        return most.map(|(index, _)| index);
    }
    let least = fitting.iter().map(|(_, room)| *room).min()?;
    let (roomier, others): (Vec<_>, Vec<_>) = fitting.iter().partition(|(_, room)| room - least > ABOUT_THE_SAME);
    let group = match (roomier.is_empty(), turn % ROOMIER_TURNS) {
        (true, _) | (false, 0) => others,
        (false, _) => roomier,
    };
    // Within a group in turn; the division keeps every volume's turn coming with any number of volumes.
    let place = if roomier_only(&group, &fitting) {
        turn - turn / ROOMIER_TURNS
    } else {
        turn
    };
    group.get(place % group.len()).map(|(index, _)| *index)
}

fn roomier_only(group: &[(usize, u64)], fitting: &[(usize, u64)]) -> bool {
    group.len() < fitting.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn counts(rooms: &[Option<u64>], needed: u64) -> Vec<usize> {
        let mut counts = vec![0; rooms.len()];
        for turn in 0..1200 {
            if let Some(index) = choose(rooms, needed, turn) {
                counts[index] += 1;
            }
        }
        counts
    }

    #[test]
    fn volumes_of_about_the_same_room_take_turns() {
        let rooms = [Some(100 * GIB), Some(105 * GIB), None, Some(99 * GIB)];
        assert_eq!(counts(&rooms, 1 << 27), [400, 400, 0, 400]);
    }

    #[test]
    fn roomier_volumes_get_three_of_four() {
        assert_eq!(counts(&[Some(20 * GIB), Some(100 * GIB)], 1 << 27), [300, 900]);
        let many = counts(
            &[Some(20 * GIB), Some(100 * GIB), Some(21 * GIB), Some(90 * GIB)],
            1 << 27,
        );
        assert!(many.iter().all(|&count| count > 100), "{many:?}");
        assert!(many[1] + many[3] == 900, "{many:?}");
    }

    #[test]
    fn full_and_failed_volumes_get_nothing() {
        assert_eq!(counts(&[Some(0), Some(GIB), None], 1 << 27), [0, 1200, 0]);
        assert_eq!(choose(&[Some(0), None], 1, 7), None);
        assert_eq!(choose(&[], 1, 7), None);
        assert_eq!(
            choose(&[Some(50), Some(80)], 100, 0),
            Some(1),
            "the one with the most, if none has enough"
        );
    }
}
