//! The queue of a pool: requests that wait for a place at one of its backends.
//!
//! When a request ends, its place goes to the request that has waited longest, without becoming free in between: no newcomer can
//! take it first, and no other request is woken. A request whose plugins choose another backend declines the place, which goes to
//! the next one, and keeps its own turn.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Backend, InFlight};

/// The queue of a pool, which outlives configurations.
pub struct Queue {
    /// The most requests of each backend; `u32::MAX`: any number.
    limit: AtomicU32,
    /// The number of waiting requests, outside of the lock because every request that ends reads it.
    waiting: AtomicUsize,
    tickets: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    /// The waiting requests, in the order of their arrival.
    waiting: BTreeMap<u64, oneshot::Sender<InFlight>>,
}

/// The turn of a waiting request, which is given up when this is dropped.
pub struct Turn {
    queue: Arc<Queue>,
    ticket: u64,
    offer: oneshot::Receiver<InFlight>,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            limit: AtomicU32::new(u32::MAX),
            waiting: AtomicUsize::new(0),
            tickets: Mutex::default(),
        }
    }

    /// The most requests of each backend; `u32::MAX`: any number.
    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::SeqCst)
    }

    pub(super) fn set_limit(&self, most: Option<u32>) {
        self.limit.store(most.unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    /// Whether no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0
    }

    /// The number of waiting requests.
    pub(super) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Begins to wait behind all others; `None` if `most` requests wait already.
    ///
    /// The caller then looks for a free place before it waits, because one may have become free just before.
    pub fn join(self: &Arc<Queue>, most: u32) -> Option<Turn> {
        let (sender, offer) = oneshot::channel();
        let mut tickets = self.tickets.lock();
        if tickets.waiting.len() >= most as usize {
            return None;
        }
        let ticket = tickets.next;
        tickets.next += 1;
        self.insert(&mut tickets, ticket, sender);
        Some(Turn {
            queue: Arc::clone(self),
            ticket,
            offer,
        })
    }

    /// Gives a place at a backend, which stays counted, to the request that has waited longest. Returns whether there is one.
    pub(super) fn hand_over(&self, backend: &Arc<Backend>) -> bool {
        self.offer(InFlight::taken(backend), Bound::Unbounded)
            .map_err(InFlight::forget)
            .is_ok()
    }

    /// Offers a place to the first request behind a ticket. The place comes back if there is none.
    fn offer(&self, mut place: InFlight, behind: Bound<u64>) -> Result<(), InFlight> {
        loop {
            let first = {
                let mut tickets = self.tickets.lock();
                let mut behind = tickets.waiting.range((behind, Bound::Unbounded));
                let ticket = behind.next().map(|(ticket, _)| *ticket);
                ticket.and_then(|ticket| self.remove(&mut tickets, ticket))
            };
            let Some(first) = first else {
                return Err(place);
            };
            // Nothing is sent, and no place dropped, while the lock is held.
            match first.send(place) {
                Ok(()) => return Ok(()),
                // The request has just left.
                Err(back) => place = back,
            }
        }
    }

    fn insert(&self, tickets: &mut Tickets, ticket: u64, sender: oneshot::Sender<InFlight>) {
        tickets.waiting.insert(ticket, sender);
        self.waiting.store(tickets.waiting.len(), Ordering::SeqCst);
    }

    fn remove(&self, tickets: &mut Tickets, ticket: u64) -> Option<oneshot::Sender<InFlight>> {
        let removed = tickets.waiting.remove(&ticket);
        self.waiting.store(tickets.waiting.len(), Ordering::SeqCst);
        removed
    }
}

impl Turn {
    /// Ready with a place at a backend.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<InFlight> {
        match Pin::new(&mut self.offer).poll(context) {
            Poll::Ready(Ok(place)) => Poll::Ready(place),
            // A sender is taken out of the queue only to send something.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Declines an offered place, which goes to the requests behind, and keeps the turn. As after [`Queue::join`], the caller then looks
    /// for a free place.
    pub fn decline(&mut self, place: InFlight) {
        let (sender, offer) = oneshot::channel();
        self.offer = offer;
        let queue = &self.queue;
        queue.insert(&mut queue.tickets.lock(), self.ticket, sender);
        self.pass_on(place);
    }

    /// Offers a place to the requests behind. If none of them wants it, it becomes free: those before have declined it.
    pub fn pass_on(&self, mut place: InFlight) {
        let backend = Arc::clone(place.backend());
        let behind = Bound::Excluded(self.ticket);
        loop {
            match self.queue.offer(place, behind) {
                Ok(()) => return,
                Err(unwanted) => unwanted.free(),
            }
            // A request may have begun to wait meanwhile, and seen the place taken.
            let has_come = {
                let tickets = self.queue.tickets.lock();
                let mut others = tickets.waiting.range((behind, Bound::Unbounded));
                others.next().is_some()
            };
            if !has_come {
                return;
            }
            match InFlight::take(&backend, false) {
                Some(again) => place = again,
                None => return,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let removed = self.queue.remove(&mut self.queue.tickets.lock(), self.ticket);
        drop(removed);
        // A place that was offered meanwhile is dropped with `offer`, and goes to the next one.
    }
}

#[cfg(test)]
mod tests;
