use std::future::poll_fn;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::*;
use crate::upstream::Pool;
use crate::upstream::tests::{configured, made};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

fn pool(backends: &str, most: u32) -> Arc<Pool> {
    Arc::new(made(&configured(&format!(
        "backends = [{backends}]\nmax_in_flight = {most}"
    ))))
}

/// A place at the backend with this index, which must have room.
fn place(pool: &Pool, index: u32) -> InFlight {
    InFlight::take(pool.members().backend(index), false).expect("it has room")
}

/// A turn in the queue, and the queue.
fn waiting(pool: &Arc<Pool>) -> (Turn, Arc<Queue>) {
    let queue = pool.queue();
    (queue.join(100).expect("there is room"), Arc::clone(queue))
}

fn spawn(mut turn: Turn) -> JoinHandle<InFlight> {
    tokio::spawn(async move { poll_fn(|context| turn.poll(context)).await })
}

#[tokio::test]
async fn place_goes_to_the_request_that_has_waited_longest() {
    let pool = pool("'10.0.0.1:1'", 1);
    let first = place(&pool, 0);
    assert!(InFlight::take(first.backend(), false).is_none());
    let (one, queue) = waiting(&pool);
    let (two, _) = waiting(&pool);
    let (one, two) = (spawn(one), spawn(two));
    yield_now().await;
    drop(first);
    let first = one.await.expect("it gets the place");
    assert_eq!(queue.len(), 1);
    assert!(
        InFlight::take(first.backend(), false).is_none(),
        "the place was never free"
    );
    assert!(!two.is_finished());
    drop(first);
    let first = two.await.expect("it gets the place");
    drop(first);
    assert!(queue.is_empty());
    assert_eq!(pool.members().backend(0).in_flight(), 0);
}

#[tokio::test]
async fn request_that_leaves_frees_its_turn_and_what_it_was_offered() {
    let pool = pool("'10.0.0.1:1'", 1);
    let first = place(&pool, 0);
    let queue = Arc::clone(pool.queue());
    let one = queue.join(2).expect("there is room");
    let two = queue.join(2).expect("there is room");
    assert!(queue.join(2).is_none(), "there are two");
    drop(one);
    let three = queue.join(2).expect("one has left");
    // The second is offered the place, and leaves before it looks.
    drop(first);
    assert_eq!(queue.len(), 1);
    drop(two);
    let place = spawn(three).await.expect("the place goes to the next one");
    drop(place);
    assert!(queue.is_empty() && pool.members().backend(0).has_room());
}

#[tokio::test]
async fn declined_place_goes_to_those_behind_and_is_free_if_nobody_wants_it() {
    let pool = pool("'10.0.0.1:1', '10.0.0.2:1'", 1);
    let (first, second) = (place(&pool, 0), place(&pool, 1));
    let (mut picky, queue) = waiting(&pool);
    let (two, _) = waiting(&pool);
    drop(second);
    let offered = poll_fn(|context| picky.poll(context)).await;
    picky.decline(offered);
    assert_eq!(queue.len(), 1, "the picky one waits, the other has a place");
    let second = spawn(two).await.expect("it was passed on");
    drop(second);
    let offered = poll_fn(|context| picky.poll(context)).await;
    picky.decline(offered);
    assert!(pool.members().backend(1).has_room(), "nobody wants it");
    drop(first);
    let wanted = poll_fn(|context| picky.poll(context)).await;
    assert!(Arc::ptr_eq(wanted.backend(), pool.members().backend(0)));
}

#[tokio::test]
async fn lowered_limit_holds_before_a_waiting_request_gets_a_place() {
    let pool = pool("'10.0.0.1:1'", 2);
    let (first, second) = (place(&pool, 0), place(&pool, 0));
    pool.queue().set_limit(Some(1));
    let (turn, queue) = waiting(&pool);
    let turn = spawn(turn);
    drop(first);
    yield_now().await;
    assert!(!turn.is_finished() && queue.len() == 1);
    drop(second);
    drop(turn.await.expect("there is room again"));
}

/// A place at a backend that gets nothing new would be declined by each waiting request.
#[tokio::test]
async fn place_is_offered_only_where_requests_are_sent() {
    let pool = pool("'10.0.0.1:1', '10.0.0.2:1'", 1);
    let (first, second) = (place(&pool, 0), place(&pool, 1));
    let (turn, queue) = waiting(&pool);
    let turn = spawn(turn);
    pool.drain("10.0.0.1:1", true);
    drop(first);
    yield_now().await;
    assert!(!turn.is_finished() && queue.len() == 1);
    assert_eq!(pool.members().backend(0).in_flight(), 0);
    pool.drain("10.0.0.1:1", false);
    let first = turn.await.expect("the backend is back");
    assert!(Arc::ptr_eq(first.backend(), pool.members().backend(0)));
    drop((first, second));
}

/// Requests on several threads come, wait, leave and end. None is left waiting, and no backend has more than it may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiting_request_is_never_forgotten() {
    const MOST: u32 = 2;
    let pool = pool("'10.0.0.1:1', '10.0.0.2:1'", MOST);
    let is_over = Arc::new(AtomicBool::new(false));
    let requests: Vec<_> = (0..64)
        .map(|_| {
            let (pool, is_over) = (Arc::clone(&pool), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    request(&pool, MOST).await;
                }
            })
        })
        .collect();
    for round in 0..20_000 {
        request(&pool, MOST).await;
        // Operators change their minds meanwhile.
        match round % 40 {
            0 => pool.queue().set_limit(Some(1)),
            10 => pool.take_over(),
            20 => drop(pool.drain("10.0.0.1:1", true)),
            30 => drop(pool.drain("10.0.0.1:1", false)),
            _ => {}
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for request in requests {
        timeout(Duration::from_secs(20), request)
            .await
            .expect("nobody waits for ever")
            .expect("nobody panics");
    }
    assert!(pool.queue().is_empty());
    for member in pool.members().iter() {
        assert_eq!(member.backend.in_flight(), 0);
    }
}

/// A request as the proxy makes it: takes a place, or waits for one, and sometimes leaves or wants another.
async fn request(pool: &Pool, most: u32) {
    let members = pool.members();
    let wanted = members.backend(fastrand::u32(0..2));
    let mut place = InFlight::take(wanted, false);
    if place.is_none() {
        let Some(mut turn) = pool.queue().join(1000) else {
            return;
        };
        place = InFlight::take(wanted, false);
        let mut patience = fastrand::u32(0..20);
        while place.is_none() {
            let polled = poll_fn(|context| Poll::Ready(turn.poll(context))).await;
            match polled {
                Poll::Ready(offered) if Arc::ptr_eq(offered.backend(), wanted) => place = Some(offered),
                Poll::Ready(offered) => {
                    turn.decline(offered);
                    place = InFlight::take(wanted, false);
                }
                // The client loses patience.
                Poll::Pending if patience == 0 => return,
                Poll::Pending => {
                    patience -= 1;
                    yield_now().await;
                }
            }
        }
    }
    assert!(wanted.in_flight() <= most);
    yield_now().await;
    drop(place);
}
