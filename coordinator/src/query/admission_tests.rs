//! Tests of the queue of queries.
#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::super::registry::QueryRegistry;
use super::*;

fn limits(running: usize, waiting: usize, timeout: Duration) -> AdmissionLimits {
    AdmissionLimits {
        running,
        waiting,
        timeout,
        ..AdmissionLimits::default()
    }
}

const LONG: Duration = Duration::from_secs(60);

fn query() -> Arc<Query> {
    QueryRegistry::default().begin(1, "ada", "select 1").unwrap()
}

#[tokio::test]
async fn places_go_to_those_that_wait_in_order() {
    let admission = Arc::new(Admission::new(limits(1, 2, LONG)));
    let first = admission.enter(&query()).await.unwrap();
    let (second, third) = (query(), query());
    let mut second_enters = Box::pin(admission.enter(&second));
    let mut third_enters = Box::pin(admission.enter(&third));
    assert!(futures::poll!(&mut second_enters).is_pending());
    assert!(futures::poll!(&mut third_enters).is_pending());
    assert_eq!(second.state(), QueryState::Queued);
    let refused = admission.enter(&query()).await.unwrap_err();
    assert!(refused.to_string().contains("admission.waiting"), "{refused}");
    drop(first);
    let place = second_enters.await.unwrap();
    assert!(futures::poll!(&mut third_enters).is_pending());
    drop(place);
    third_enters.await.unwrap();
}

#[tokio::test]
async fn who_waits_too_long_hears_which_knob_moves_the_limit() {
    let admission = Arc::new(Admission::new(limits(1, 2, Duration::from_millis(20))));
    let first = admission.enter(&query()).await.unwrap();
    let error = admission.enter(&query()).await.unwrap_err();
    assert!(error.to_string().contains("admission.timeout"), "{error}");
    drop(first);
    admission.enter(&query()).await.unwrap();
}

#[tokio::test]
async fn who_gives_up_leaves_the_queue_even_when_called() {
    let admission = Arc::new(Admission::new(limits(1, 9, LONG)));
    let first = admission.enter(&query()).await.unwrap();
    let (early, called, last) = (query(), query(), query());
    let mut early_enters = Box::pin(admission.enter(&early));
    let mut called_enters = Box::pin(admission.enter(&called));
    let mut last_enters = Box::pin(admission.enter(&last));
    assert!(futures::poll!(&mut early_enters).is_pending());
    assert!(futures::poll!(&mut called_enters).is_pending());
    assert!(futures::poll!(&mut last_enters).is_pending());
    drop(early_enters);
    drop(first);
    // The second one was given the place and goes before it took it.
    drop(called_enters);
    last_enters.await.unwrap();
    assert_eq!(admission.inner.lock().queue.running, 0);
}

#[tokio::test]
async fn behind_long_queries_nobody_waits_longer_than_its_patience() {
    let patience = Duration::from_millis(50);
    let admission = Arc::new(Admission::new(AdmissionLimits {
        running: 3,
        at_once: Some(1),
        patience,
        ..AdmissionLimits::default()
    }));
    let first = admission.enter(&query()).await.unwrap();
    let start = tokio::time::Instant::now();
    let _second = admission.enter(&query()).await.unwrap();
    assert!(start.elapsed() >= patience, "one runs already");
    let third = admission.enter(&query()).await.unwrap();
    let fourth = query();
    let mut fourth_enters = Box::pin(admission.enter(&fourth));
    let waited = tokio::time::timeout(patience * 4, &mut fourth_enters).await;
    assert!(waited.is_err(), "there is no fourth place");
    drop(first);
    let _fourth = fourth_enters.await.unwrap();
    // One that has just come has patience still: a place beside others is not for it yet.
    drop(third);
    let fifth = query();
    let mut fifth_enters = Box::pin(admission.enter(&fifth));
    assert!(futures::poll!(&mut fifth_enters).is_pending());
}

#[tokio::test]
async fn those_whose_clients_do_not_fetch_keep_nobody_waiting() {
    let admission = Arc::new(Admission::new(AdmissionLimits {
        running: 3,
        at_once: Some(1),
        patience: LONG,
        ..AdmissionLimits::default()
    }));
    let first = admission.enter(&query()).await.unwrap();
    let (second, third, fourth) = (query(), query(), query());
    let mut second_enters = Box::pin(admission.enter(&second));
    assert!(futures::poll!(&mut second_enters).is_pending());
    let aside = first.stand_aside();
    let second = second_enters.await.unwrap();
    let mut third_enters = Box::pin(admission.enter(&third));
    assert!(futures::poll!(&mut third_enters).is_pending(), "the second one is busy");
    drop(aside);
    drop(second);
    assert!(futures::poll!(&mut third_enters).is_pending(), "the first one is back");
    let _aside = first.stand_aside();
    let third = third_enters.await.unwrap();
    let _third_aside = third.stand_aside();
    let fourth = admission.enter(&fourth).await.unwrap();
    let _fourth_aside = fourth.stand_aside();
    let fifth = query();
    let mut fifth_enters = Box::pin(admission.enter(&fifth));
    assert!(
        futures::poll!(&mut fifth_enters).is_pending(),
        "they all count as running"
    );
}

#[test]
fn few_cores_are_kept_busy_and_many_too() {
    let at_once = |partitions| AdmissionLimits::default().for_tasks_of(partitions).at_once();
    assert_eq!((at_once(1), at_once(2), at_once(8), at_once(64)), (4, 4, 16, 32));
    let chosen = AdmissionLimits {
        at_once: Some(1),
        ..AdmissionLimits::default()
    };
    assert_eq!(chosen.for_tasks_of(8).at_once(), 1);
}

proptest! {
    #[test]
    fn no_more_run_than_allowed_and_nobody_waits_beside_a_free_place(steps in proptest::collection::vec(0u8..6, 0..200)) {
        let limits = AdmissionLimits { at_once: Some(2), ..limits(3, 4, LONG) };
        let mut queue = Queue::default();
        let mut running = 0usize;
        for step in steps {
            match step {
                0 => running += usize::from(queue.ask(&limits) == Decision::Run),
                1 if running > queue.aside => {
                    queue.end();
                    running -= 1;
                }
                4 if running > queue.aside => queue.aside += 1,
                5 => queue.aside = queue.aside.saturating_sub(1),
                2 => {
                    let first = queue.waiting.front().copied();
                    queue.lose_patience(first.unwrap_or_default());
                }
                _ => { let last = queue.waiting.back().copied(); last.map(|ticket| queue.leave(ticket)); }
            }
            while queue.next(&limits).is_some() {
                running += 1;
            }
            prop_assert_eq!(queue.running, running);
            prop_assert!(running <= limits.running && queue.waiting.len() <= limits.waiting);
            prop_assert!(queue.waiting.is_empty() || running - queue.aside >= 2 || running == limits.running);
            let is_impatient = queue.waiting.front().is_some_and(|first| *first <= queue.impatient);
            prop_assert!(!is_impatient || running == limits.running);
        }
    }
}
