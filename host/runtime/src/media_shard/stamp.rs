//! When the kernel got a datagram. Asked for only while a leg's sender is listened to.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

/// Of the packet that was read last. Source: socket(7), SIOCGSTAMP; Linux's number for the one in nanoseconds.
const SIOCGSTAMPNS: libc::Ioctl = 0x8907;

/// Nothing waits longer before it is read; what seems to is a step of the wall clock.
const WAITED_MAX: Duration = Duration::from_secs(2);

/// From now on the kernel notes when packets come; what came before has no time.
pub fn begin(socket: &UdpSocket) {
    // The first question is the order.
    let _ = last(socket);
}

/// How long the packet that was read last had waited in the socket, in microseconds; 0 if the kernel does not say. By the wall clock: a
/// step of it in these milliseconds makes a wrong phase, and nothing worse.
pub fn waited_us(socket: &UdpSocket) -> i64 {
    let arrived = last(socket).map(|since_1970| SystemTime::UNIX_EPOCH + since_1970);
    let waited = arrived.and_then(|arrived| SystemTime::now().duration_since(arrived).ok());
    waited.filter(|waited| *waited < WAITED_MAX).map_or(0, |waited| waited.as_micros() as i64)
}

fn last(socket: &UdpSocket) -> Option<Duration> {
    let mut stamp = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the request writes one timespec, which is ours.
    let known = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSTAMPNS, &raw mut stamp) } == 0;
    known.then(|| Duration::new(stamp.tv_sec as u64, stamp.tv_nsec as u32))
}
