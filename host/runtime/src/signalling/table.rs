//! The connections that are open, and how many more may be.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sip::ConnectionId;
use tokio::sync::{Notify, mpsc, watch};

use super::bounds::Bounds;
use super::counters::Refused;
use crate::observe::Gauge;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// The system refused it.
    Failed,
    NoConnection,
    /// Too many bytes wait for that peer; its connection is being closed.
    Stalled,
}

pub(super) struct Table {
    inner: Arc<Mutex<Inner>>,
    connections_max: usize,
    per_address_max: usize,
    send_buffer_bytes: usize,
    active: Gauge,
}

#[derive(Default)]
struct Inner {
    last_id: u64,
    slots: usize,
    per_address: HashMap<IpAddr, usize>,
    open: HashMap<ConnectionId, Handle>,
}

/// The table's end of a connection; dropped, the writer finishes what is queued and closes.
struct Handle {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    queued_bytes: Arc<AtomicUsize>,
    carries_dialogs: watch::Sender<bool>,
    abort: Arc<Notify>,
}

/// The task's end of a connection.
pub(super) struct Ends {
    pub id: ConnectionId,
    pub queue: mpsc::UnboundedReceiver<Vec<u8>>,
    pub queued_bytes: Arc<AtomicUsize>,
    pub carries_dialogs: watch::Receiver<bool>,
    pub abort: Arc<Notify>,
}

/// The right to one connection; dropped, another may be opened.
pub(super) struct Slot {
    inner: Arc<Mutex<Inner>>,
    address: IpAddr,
    active: Gauge,
}

impl Table {
    pub fn new(bounds: &Bounds, active: Gauge) -> Self {
        Self {
            inner: Arc::default(),
            connections_max: bounds.connections,
            per_address_max: bounds.connections_per_address,
            send_buffer_bytes: bounds.send_buffer_bytes,
            active,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    pub fn reserve(&self, remote: IpAddr) -> Result<Slot, Refused> {
        let address = counted_address(remote);
        let mut inner = self.lock();
        if inner.slots >= self.connections_max {
            return Err(Refused::Connections);
        }
        let count = inner.per_address.entry(address).or_default();
        if *count >= self.per_address_max {
            return Err(Refused::ConnectionsPerAddress);
        }
        *count += 1;
        inner.slots += 1;
        self.active.add(1);
        Ok(Slot { inner: self.inner.clone(), address, active: self.active.clone() })
    }

    pub fn open(&self) -> Ends {
        let (sender, queue) = mpsc::unbounded_channel();
        let (carries, carries_dialogs) = watch::channel(false);
        let (queued_bytes, abort) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut inner = self.lock();
        inner.last_id += 1;
        let id = ConnectionId(inner.last_id);
        let handle = Handle {
            queue: sender,
            queued_bytes: queued_bytes.clone(),
            carries_dialogs: carries,
            abort: abort.clone(),
        };
        inner.open.insert(id, handle);
        Ends { id, queue, queued_bytes, carries_dialogs, abort }
    }

    pub fn send(&self, id: ConnectionId, bytes: Vec<u8>) -> Sent {
        let mut inner = self.lock();
        let Some(handle) = inner.open.get(&id) else { return Sent::NoConnection };
        let length = bytes.len();
        let queued = handle.queued_bytes.fetch_add(length, Ordering::Relaxed) + length;
        if queued > self.send_buffer_bytes {
            handle.abort.notify_one();
            inner.open.remove(&id);
            return Sent::Stalled;
        }
        match handle.queue.send(bytes) {
            Ok(()) => Sent::Yes,
            Err(_) => Sent::NoConnection,
        }
    }

    pub fn set_carries_dialogs(&self, id: ConnectionId, carries: bool) {
        if let Some(handle) = self.lock().open.get(&id) {
            handle.carries_dialogs.send_replace(carries);
        }
    }

    pub fn close(&self, id: ConnectionId) {
        self.lock().open.remove(&id);
    }

    pub fn close_all(&self) {
        self.lock().open.clear();
    }

    /// Whether every connection has ended, not only been asked to.
    pub fn is_empty(&self) -> bool {
        self.lock().slots == 0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.slots = inner.slots.saturating_sub(1);
        if let Some(count) = inner.per_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inner.per_address.remove(&self.address);
            }
        }
        self.active.add(-1);
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // Nothing panics while it is held; counts stay usable even then.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One host owns a whole IPv6 /64.
fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_are_counted_together() {
        let counted = |text: &str| counted_address(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
    }
}
